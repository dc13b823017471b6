"""The system chaincode `qscc`: queries of the chain and its blocks, answered from the ledger itself.

It can be asked by clients only, not by other chaincodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim
from fabric_protos.peer import proposal_response_pb2, transaction_pb2
from google.protobuf.message import Message

from quorumlearn_network.devnet.blocks import header_hash
from quorumlearn_network.devnet.chain import Chain
from quorumlearn_network.devnet.errors import LedgerUnavailableError, NotFoundError

QSCC = "qscc"


def run_qscc(chain: Chain, channel: str, arguments: Sequence[bytes]) -> proposal_response_pb2.Response:
    """Answer one query; whatever is wrong with it is a response of status 500, as from any chaincode."""
    if len(arguments) < 2:
        return _error(f"Incorrect number of arguments, {len(arguments)}")
    name, where = (argument.decode(errors="replace") for argument in arguments[:2])
    if name != "GetChainInfo" and len(arguments) < 3:
        return _error(f"missing 3rd argument for {name}")
    if where != channel:
        return _error(f"Invalid chain ID, {where}")
    try:
        if name == "GetChainInfo":
            return _success(_chain_info(chain))
        argument = arguments[2]
        text = argument.decode(errors="replace")
        if name == "GetBlockByNumber":
            if not (text.isascii() and text.isdigit()) or int(text) >= 1 << 64:
                reason = f'strconv.ParseUint: parsing "{text}": invalid syntax'
                return _error(f"Failed to parse block number with error {reason}")
            number = chain.height - 1 if int(text) == (1 << 64) - 1 else int(text)
            return _found(chain, number, f"Failed to get block number {text}")
        if name == "GetBlockByHash":
            try:
                number = chain.ledger.block_number_of_hash(argument)
            except NotFoundError as error:
                return _error(f"Failed to get block hash {text}, error {error}")
            return _found(chain, number, f"Failed to get block hash {text}")
        if name in {"GetBlockByTxID", "GetTransactionByID"}:
            return _by_transaction(chain, name, text)
    except LedgerUnavailableError as error:
        return _error(str(error))
    return _error(f"access denied for [{name}][{where}]: [Unmapped policy for qscc/{name}]")


def refuse_call(txid: str, caller: str) -> shim.ChaincodeMessage:
    """What a chaincode is told that calls this one."""
    refusal = _error(
        "Rejecting invoke of QSCC from another chaincode because of potential for deadlocks, "
        f"original invocation for '{caller}'"
    )
    completed = shim.ChaincodeMessage.COMPLETED
    return shim.ChaincodeMessage(type=completed, payload=refusal.SerializeToString(), txid=txid)


def _by_transaction(chain: Chain, name: str, txid: str) -> proposal_response_pb2.Response:
    place = chain.ledger.transaction(txid)
    if place is None:
        what = "block for txID" if name == "GetBlockByTxID" else "transaction with id"
        return _error(f"Failed to get {what} {txid}, error no such transaction ID [{txid}] in index")
    if name == "GetBlockByTxID":
        return _found(chain, place.block, f"Failed to get block for txID {txid}")
    envelope = common_pb2.Envelope.FromString(chain.block(place.block).block.data.data[place.position])
    return _success(
        transaction_pb2.ProcessedTransaction(transactionEnvelope=envelope, validationCode=place.code)
    )


def _chain_info(chain: Chain) -> ledger_pb2.BlockchainInfo:
    last = chain.block(chain.height - 1).block
    return ledger_pb2.BlockchainInfo(
        height=chain.height,
        currentBlockHash=header_hash(last.header),
        previousBlockHash=last.header.previous_hash,
    )


def _found(chain: Chain, number: int, otherwise: str) -> proposal_response_pb2.Response:
    try:
        return _success(chain.block(number).block)
    except NotFoundError as error:
        return _error(f"{otherwise}, error {error}")


def _success(message: Message) -> proposal_response_pb2.Response:
    return proposal_response_pb2.Response(status=200, payload=message.SerializeToString())


def _error(text: str) -> proposal_response_pb2.Response:
    return proposal_response_pb2.Response(status=500, message=text)
