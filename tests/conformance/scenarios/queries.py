"""System chaincodes.

Those that clients ask about the chain: what they find and what they refuse.
"""

from __future__ import annotations

import hashlib

from fabric_protos.common import common_pb2
from fabric_protos.peer import query_pb2, transaction_pb2
from fabric_protos.peer.lifecycle import lifecycle_pb2

from tests.conformance.network import OWNER, Network
from tests.conformance.observing import Observation, case, outcome
from tests.conformance.scenarios.blocks import der
from tests.network.devnet.raw_gateway import CHANNEL, Client


@case("qscc: the chain, blocks by number, hash and transaction, transactions")
def qscc(network: Network) -> Observation:
    committed = network.must_submit("put", "qscc", "x")
    owner = network.owner
    info, block = owner.chain_info(), owner.block(committed.block)
    by_txid = owner.evaluate("GetBlockByTxID", CHANNEL, committed.txid, chaincode="qscc")
    header_hash = hashlib.sha256(der(block.header)).digest()
    by_hash = owner.evaluate("GetBlockByHash", CHANNEL, header_hash, chaincode="qscc")
    newest = owner.evaluate("GetBlockByNumber", CHANNEL, str((1 << 64) - 1), chaincode="qscc")
    processed = transaction_pb2.ProcessedTransaction.FromString(
        owner.evaluate("GetTransactionByID", CHANNEL, committed.txid, chaincode="qscc")
    )
    return {
        "height": info.height - committed.block,
        "by transaction": common_pb2.Block.FromString(by_txid) == block,
        "by hash": common_pb2.Block.FromString(by_hash) == block,
        "the newest": common_pb2.Block.FromString(newest).header.number - committed.block,
        "transaction": [
            processed.validationCode,
            processed.transactionEnvelope.SerializeToString() in block.data.data,
        ],
    }


@case("qscc: an invalid transaction")
def qscc_invalid(network: Network) -> Observation:
    failed = network.submit("put", "qscc", "x", orgs=[OWNER])
    found = network.owner.evaluate("GetTransactionByID", CHANNEL, failed.txid, chaincode="qscc")
    code = transaction_pb2.ProcessedTransaction.FromString(found).validationCode
    return str(transaction_pb2.TxValidationCode.Name(code))


@case("qscc: what it refuses")
def qscc_refuses(network: Network) -> Observation:
    asked: dict[str, list[str]] = {
        "a block to come": ["GetBlockByNumber", CHANNEL, "99999"],
        "no number": ["GetBlockByNumber", CHANNEL, "x"],
        "a negative number": ["GetBlockByNumber", CHANNEL, "-1"],
        "no argument": ["GetBlockByNumber", CHANNEL],
        "an unknown transaction's block": ["GetBlockByTxID", CHANNEL, "no"],
        "an empty transaction id": ["GetBlockByTxID", CHANNEL, ""],
        "an unknown transaction": ["GetTransactionByID", CHANNEL, "no"],
        "an unknown hash": ["GetBlockByHash", CHANNEL, "no"],
        "an unknown channel": ["GetChainInfo", "elsewhere"],
        "no channel": ["GetChainInfo"],
        "an unknown function": ["Unknown", CHANNEL, "x"],
    }

    def ask(args: list[str], client: Client) -> Observation:
        return outcome(network, lambda: client.evaluate(*args, chaincode="qscc"))

    return {name: ask(args, network.owner) for name, args in asked.items()}


@case("qscc asked by a peer")
def qscc_peer(network: Network) -> Observation:
    client = network.client(network.peer_signer("V1MSP"))
    return outcome(network, lambda: bool(client.evaluate("GetChainInfo", CHANNEL, chaincode="qscc")))


@case("qscc through Endorse")
def qscc_endorsed(network: Network) -> Observation:
    def endorse() -> str:
        network.owner.endorse("GetChainInfo", CHANNEL, chaincode="qscc")
        return "endorsed"

    return outcome(network, endorse)


@case("cscc: the channels that a peer is on")
def channels(network: Network) -> Observation:
    def ask() -> Observation:
        found = network.owner.evaluate("GetChannels", chaincode="cscc")
        return [one.channel_id for one in query_pb2.ChannelQueryResponse.FromString(found).channels]

    return outcome(network, ask)


@case("_lifecycle: a chaincode's definition")
def definition(network: Network) -> Observation:
    asked = lifecycle_pb2.QueryChaincodeDefinitionArgs(name="kv").SerializeToString()

    def ask() -> Observation:
        data = network.owner.evaluate("QueryChaincodeDefinition", asked, chaincode="_lifecycle")
        found = lifecycle_pb2.QueryChaincodeDefinitionResult.FromString(data)
        return [found.sequence, found.version, found.endorsement_plugin, found.validation_plugin]

    return outcome(network, ask)
