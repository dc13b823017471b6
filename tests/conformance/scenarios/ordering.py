"""Submit and CommitStatus.

What the gateway and the orderer refuse before anything is ordered, and who may ask what became of it.
"""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import transaction_pb2
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.identities import ensure_user, open_organisation

from tests.conformance.crafting import HighS, with_header, with_payload
from tests.conformance.network import OWNER, Network
from tests.conformance.observing import Observation, case, outcome
from tests.network.devnet.raw_gateway import CHANNEL, Client


def taken(network: Network, envelope: common_pb2.Envelope | None, channel: str = CHANNEL) -> Observation:
    """What Submit says to an envelope."""
    request = gateway_pb2.SubmitRequest(channel_id=channel, prepared_transaction=envelope)

    def submit() -> str:
        network.owner.gateway.Submit(request, timeout=30)
        return "taken"

    return outcome(network, submit)


def endorsed(network: Network) -> common_pb2.Envelope:
    return network.owner.endorse("put", "ordered", "x")[1]


@case("Submit without a transaction")
def no_envelope(network: Network) -> Observation:
    return taken(network, None)


@case("Submit without a signature")
def unsigned(network: Network) -> Observation:
    envelope = endorsed(network)
    envelope.ClearField("signature")
    return taken(network, envelope)


@case("Submit to an unknown channel")
def unknown_channel(network: Network) -> Observation:
    return taken(network, endorsed(network), channel="elsewhere")


@case("Submit of an envelope for an unknown channel")
def envelope_elsewhere(network: Network) -> Observation:
    envelope = with_header(
        network.owner, endorsed(network), lambda header: setattr(header, "channel_id", "elsewhere")
    )
    return taken(network, envelope)


@case("Submit with the creator's signature over something else")
def bad_signature(network: Network) -> Observation:
    envelope = endorsed(network)
    envelope.signature = network.owner.signer.sign(b"something else")
    return taken(network, envelope)


@case("Submit with a signature of a high S")
def high_s(network: Network) -> Observation:
    envelope = endorsed(network)
    envelope.signature = HighS(network.owner.signer).sign(envelope.payload)
    return taken(network, envelope)


@case("Submit of a payload that cannot be read")
def garbage(network: Network) -> Observation:
    return taken(network, common_pb2.Envelope(payload=b"\xff\xff", signature=b"x"))


@case("Submit of a payload without a header")
def no_header(network: Network) -> Observation:
    return taken(network, common_pb2.Envelope(signature=b"x"))


@case("Submit of a stranger's transaction")
def stranger(network: Network) -> Observation:
    strange = open_organisation(network.folder / "strangers", "stranger", "StrangerMSP")
    return _of(network, SigningIdentity.load("StrangerMSP", ensure_user(strange, "eve")))


@case("Submit of an impostor's transaction")
def impostor(network: Network) -> Observation:
    strange = open_organisation(network.folder / "strangers", "stranger", "StrangerMSP")
    return _of(network, SigningIdentity.load(OWNER, ensure_user(strange, "eve")))


@case("Submit of a peer's transaction")
def peer_submits(network: Network) -> Observation:
    return _of(network, network.peer_signer("V1MSP"))


@case("Submit with an expired certificate")
def expired(network: Network) -> Observation:
    folder = ensure_user(network.organisation("V2MSP"), "late", validity=datetime.timedelta(seconds=-1))
    return _of(network, SigningIdentity.load("V2MSP", folder))


@case("Submit of 11 MB where 10 MB are the limit")
def too_large(network: Network) -> Observation:
    envelope = with_payload(
        network.owner, endorsed(network), lambda payload: setattr(payload, "data", bytes(11 << 20))
    )
    return taken(network, envelope)


@case("Submit of a configuration update that is none")
def configuration_update(network: Network) -> Observation:
    found = taken(network, _typed(network, common_pb2.CONFIG_UPDATE))
    return _code_only(found)


@case("Submit of a configuration")
def configuration(network: Network) -> Observation:
    return _code_only(taken(network, _typed(network, common_pb2.CONFIG)))


@case("CommitStatus without a request")
def status_empty(network: Network) -> Observation:
    return _status(network, b"")


@case("CommitStatus of a request that cannot be read")
def status_garbage(network: Network) -> Observation:
    return _status(network, b"\xff\xff")


@case("CommitStatus without identity, channel or transaction")
def status_fields(network: Network) -> Observation:
    whole = {"channel_id": CHANNEL, "transaction_id": "0" * 64, "identity": network.owner.signer.serialized}
    return {
        name: _status(
            network,
            gateway_pb2.CommitStatusRequest(
                **{field: value for field, value in whole.items() if field != name}
            ).SerializeToString(),
        )
        for name in whole
    }


@case("CommitStatus of an unknown channel")
def status_elsewhere(network: Network) -> Observation:
    return _asked(network, network.owner, channel="elsewhere")


@case("CommitStatus with a signature of a high S")
def status_high_s(network: Network) -> Observation:
    client = network.client(HighS(network.signer(OWNER)))  # type: ignore[arg-type]
    return _asked(network, client)


@case("CommitStatus of a stranger and of an impostor")
def status_stranger(network: Network) -> Observation:
    strange = open_organisation(network.folder / "strangers", "stranger", "StrangerMSP")
    folder = ensure_user(strange, "eve")
    return {
        msp_id: _asked(network, network.client(SigningIdentity.load(msp_id, folder)))
        for msp_id in ("StrangerMSP", OWNER)
    }


@case("CommitStatus asked by a peer")
def status_peer(network: Network) -> Observation:
    return _asked(network, network.client(network.peer_signer("V1MSP")), timeout=1)


@case("CommitStatus with an expired certificate")
def status_expired(network: Network) -> Observation:
    folder = ensure_user(network.organisation("V2MSP"), "late", validity=datetime.timedelta(seconds=-1))
    return _asked(network, network.client(SigningIdentity.load("V2MSP", folder)), timeout=1)


@case("CommitStatus of a transaction that nobody sent")
def status_unknown(network: Network) -> Observation:
    return outcome(network, lambda: network.owner.status("0" * 64, timeout=0.5)[0])


@case("CommitStatus before the transaction is ordered")
def status_before(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "waited-for", "x")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(network.owner.status, txid)
        network.owner.order(txid, envelope)
        return waiting.result(30)[0]


@case("CommitStatus at another organisation's peer")
def status_other(network: Network) -> Observation:
    committed = network.submit("put", "seen", "x")
    return [
        client.status(committed.txid) == (committed.code, committed.block)
        for client in network.clients.values()
    ]


def _of(network: Network, signer: SigningIdentity) -> Observation:
    def change(payload: common_pb2.Payload) -> None:
        header = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
        header.creator = signer.serialized
        payload.header.signature_header = header.SerializeToString()

    return taken(network, with_payload(network.client(signer), endorsed(network), change))


def _typed(network: Network, kind: int) -> common_pb2.Envelope:
    return with_header(network.owner, endorsed(network), lambda header: setattr(header, "type", kind))


def _code_only(found: Observation) -> Observation:
    assert isinstance(found, dict)
    return {"code": found["code"], "status": str(found["message"]).partition("info=")[0]}


def _status(network: Network, request: bytes) -> Observation:
    signed = gateway_pb2.SignedCommitStatusRequest(
        request=request, signature=network.owner.signer.sign(request)
    )

    def ask() -> str:
        found = network.owner.gateway.CommitStatus(signed, timeout=30)
        return transaction_pb2.TxValidationCode.Name(found.result)

    return outcome(network, ask)


def _asked(network: Network, client: Client, channel: str = CHANNEL, timeout: float = 30) -> Observation:
    request = gateway_pb2.CommitStatusRequest(
        channel_id=channel, transaction_id="0" * 64, identity=client.signer.serialized
    ).SerializeToString()
    signed = gateway_pb2.SignedCommitStatusRequest(request=request, signature=client.signer.sign(request))
    return outcome(network, lambda: str(client.gateway.CommitStatus(signed, timeout=timeout)))
