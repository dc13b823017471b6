"""Transactions that no chaincode made: what peers whose organisations are in league would endorse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2
from quorumlearn_network.devnet.blocks import proposal_hash
from quorumlearn_network.devnet.lifecycle import LIFECYCLE
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.identities import Organisation
from quorumlearn_network.spec import NetworkSpec

from tests.network.devnet.raw_gateway import Client, action_of

SYSTEM_VERSION = "syscc"


@dataclass(frozen=True)
class Forgery:
    """What is to be written in a chaincode's namespace."""

    namespace: str
    writes: kv_rwset_pb2.KVRWSet


class Forger:
    """Signs with the keys of any organisation's peer, and hands in at one of them."""

    def __init__(self, spec: NetworkSpec, folder: Path) -> None:
        self.spec = spec
        self._folders = {
            one.msp_id: Organisation(folder / "organisations" / one.name, one.name, one.msp_id)
            for one in spec.organisations
        }
        first = spec.organisations[0]
        home = self._folders[first.msp_id]
        user = SigningIdentity.load(first.msp_id, home.folder / "users" / first.users[0].name / "msp")
        self.client = Client(first.peer.address, home.tls_authority, user)
        self._peers: dict[str, SigningIdentity] = {}

    def close(self) -> None:
        self.client.close()

    def peer(self, msp_id: str) -> SigningIdentity:
        """The identity of an organisation's peer."""
        if msp_id not in self._peers:
            self._peers[msp_id] = SigningIdentity.load(msp_id, self._folders[msp_id].peer / "msp")
        return self._peers[msp_id]

    def send(self, forgery: Forgery, endorsers: Sequence[str]) -> str:
        """Have it ordered, endorsed by these organisations' peers; its transaction id."""
        txid, signed = self.client.propose("forged", chaincode=forgery.namespace)
        proposal = proposal_pb2.Proposal.FromString(signed.proposal_bytes)
        header = common_pb2.Header.FromString(proposal.header)
        version = SYSTEM_VERSION if forgery.namespace == LIFECYCLE else self.spec.chaincode.version
        results = rwset_pb2.TxReadWriteSet(
            data_model=rwset_pb2.TxReadWriteSet.KV,
            ns_rwset=[
                rwset_pb2.NsReadWriteSet(
                    namespace=forgery.namespace, rwset=forgery.writes.SerializeToString()
                )
            ],
        )
        action = proposal_pb2.ChaincodeAction(
            results=results.SerializeToString(),
            response=proposal_response_pb2.Response(status=200),
            chaincode_id=chaincode_pb2.ChaincodeID(name=forgery.namespace, version=version),
        )
        response = proposal_response_pb2.ProposalResponsePayload(
            proposal_hash=proposal_hash(header.channel_header, header.signature_header, proposal.payload),
            extension=action.SerializeToString(),
        ).SerializeToString()
        endorsed = transaction_pb2.ChaincodeEndorsedAction(proposal_response_payload=response)
        for peer in map(self.peer, endorsers):
            endorsed.endorsements.add(
                endorser=peer.serialized, signature=peer.sign(response + peer.serialized)
            )
        content = transaction_pb2.ChaincodeActionPayload(
            chaincode_proposal_payload=proposal.payload, action=endorsed
        )
        transaction = transaction_pb2.Transaction(
            actions=[
                transaction_pb2.TransactionAction(
                    header=header.signature_header, payload=content.SerializeToString()
                )
            ]
        )
        payload = common_pb2.Payload(header=header, data=transaction.SerializeToString()).SerializeToString()
        self.client.order(
            txid, common_pb2.Envelope(payload=payload, signature=self.client.signer.sign(payload))
        )
        return txid

    def records(self) -> dict[str, tuple[str, bytes]]:
        """A record of each kind that the chaincode has written: its key, and the value it was last given."""
        found: dict[str, tuple[str, bytes]] = {}
        for number in range(1, self.client.chain_info().height):
            for data in self.client.block(number).data.data:
                for write in _writes(data, self.spec.chaincode.name):
                    kind = write.key.split("\x00")[1]
                    if kind not in found or found[kind][0] == write.key:
                        found[kind] = write.key, write.value
        return found

    def code(self, txid: str) -> str:
        """How a transaction that was sent ended."""
        return self.client.status(txid)[0]


def _writes(envelope: bytes, namespace: str) -> list[kv_rwset_pb2.KVWrite]:
    """What a transaction writes in a namespace."""
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(envelope).payload)
    header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    if header.type != common_pb2.ENDORSER_TRANSACTION:
        return []
    action = action_of(common_pb2.Envelope.FromString(envelope))
    sets = rwset_pb2.TxReadWriteSet.FromString(action.results).ns_rwset
    return [
        write
        for one in sets
        if one.namespace == namespace
        for write in kv_rwset_pb2.KVRWSet.FromString(one.rwset).writes
    ]


def writing(namespace: str, key: str, value: bytes) -> Forgery:
    written = kv_rwset_pb2.KVWrite(key=key, value=value)
    return Forgery(namespace, kv_rwset_pb2.KVRWSet(writes=[written]))


def deleting(namespace: str, key: str) -> Forgery:
    written = kv_rwset_pb2.KVWrite(key=key, is_delete=True)
    return Forgery(namespace, kv_rwset_pb2.KVRWSet(writes=[written]))


def repolicing(namespace: str, key: str, policy: bytes) -> Forgery:
    """Gives the key another endorsement policy."""
    entry = kv_rwset_pb2.KVMetadataEntry(name="VALIDATION_PARAMETER", value=policy)
    written = kv_rwset_pb2.KVMetadataWrite(key=key, entries=[entry])
    return Forgery(namespace, kv_rwset_pb2.KVRWSet(metadata_writes=[written]))
