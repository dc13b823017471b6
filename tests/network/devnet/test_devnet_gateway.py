"""The Gateway service: who is asked, who may ask, what errors say."""

from __future__ import annotations

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from fabric_protos.common import ledger_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import peer_pb2_grpc, transaction_pb2
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.devnet.policy import parse_policy
from quorumlearn_network.identities import ensure_user, open_organisation

from tests.conformance.crafting import HighS
from tests.network.devnet.conftest import Members, Net
from tests.network.devnet.raw_gateway import CHANNEL, Client, content_of, details_of


def endorsers_of(envelope: object) -> set[str]:
    return {
        identities_pb2.SerializedIdentity.FromString(endorsement.endorser).mspid
        for endorsement in content_of(envelope).action.endorsements
    }


def test_endorsers_satisfy_the_policy_with_the_own_organisation_first(
    owner: Client, verifier: Client
) -> None:
    quorum = endorsers_of(verifier.endorse("put", "plan", "x")[1])
    assert len(quorum) == 2
    assert "V1MSP" in quorum
    assert len(endorsers_of(owner.endorse("put", "plan", "x")[1]) & {"V1MSP", "V2MSP", "V3MSP"}) == 2


def test_key_policies_choose_other_endorsers(owner: Client, verifier: Client) -> None:
    policy = parse_policy("AND('OwnerMSP.peer','V3MSP.peer')").SerializeToString()
    assert owner.submit("put-with-policy", "owned", "1", policy).code == "VALID"
    assert endorsers_of(verifier.endorse("put", "owned", "2")[1]) >= {"OwnerMSP", "V3MSP"}
    assert verifier.submit("put", "owned", "2").code == "VALID"


def test_named_organisations_endorse_and_nobody_else(owner: Client) -> None:
    assert endorsers_of(owner.endorse("put", "named", "x", orgs=["V2MSP", "V3MSP"])[1]) == {"V2MSP", "V3MSP"}
    with pytest.raises(grpc.RpcError) as failed:
        owner.endorse("put", "named", "x", orgs=["V2MSP", "NobodyMSP"])
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert failed.value.details() == "failed to find any endorsing peers for org(s): NobodyMSP"


def test_a_gateway_without_the_chaincode_asks_others(owner: Client) -> None:
    committed = owner.submit("put", "from-owner", "x", chaincode="other")
    assert committed.code == "VALID"
    assert owner.evaluate("get", "from-owner", chaincode="other") == b"x"
    with pytest.raises(grpc.RpcError) as failed:
        owner.endorse("transient", chaincode="other", transient={"a": b"b"})
    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "to protect transient data" in str(failed.value.details())


def test_an_unknown_chaincode(owner: Client) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        owner.evaluate("get", "k", chaincode="nothing")
    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert failed.value.details() == f"no peers available to evaluate chaincode nothing in channel {CHANNEL}"
    with pytest.raises(grpc.RpcError) as failed:
        owner.endorse("get", "k", chaincode="nothing")
    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert str(failed.value.details()).startswith(
        "no combination of peers can be derived which satisfy the endorsement policy"
    )


def test_endorsers_that_disagree(verifier: Client) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        verifier.endorse("differ")
    assert failed.value.code() is grpc.StatusCode.ABORTED
    assert "failed to collect enough transaction endorsements" in str(failed.value.details())
    details = details_of(failed.value)
    assert details
    assert {message for _, message in details} == {"ProposalResponsePayloads do not match"}


def refused(client: Client, **options: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as failed:
        client.evaluate("get", "k", **options)
    return failed.value.code(), str(failed.value.details())


def refused_by_each(client: Client, **options: Any) -> tuple[grpc.StatusCode, list[tuple[str, str]]]:
    """The code, and what every peer of the devnet said."""
    with pytest.raises(grpc.RpcError) as failed:
        client.evaluate("get", "k", **options)
    assert failed.value.details() == "failed to evaluate transaction, see attached details for more info"
    found = details_of(failed.value)
    assert {msp_id for msp_id, _ in found} == {"OwnerMSP", "V1MSP", "V2MSP", "V3MSP"}
    return failed.value.code(), found


def test_proposals_that_a_peer_refuses(owner: Client) -> None:
    code, reason = refused(owner, txid="0" * 64)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "incorrectly computed txid" in reason
    code, details = refused_by_each(owner, timestamp=False)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert all("incorrect timestamp 1970-01-01T00:00:00Z" in message for _, message in details)
    code, reason = refused(owner, channel="elsewhere")
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "could not get last config for channel elsewhere" in reason


def test_a_transaction_on_the_ledger_is_not_endorsed_again(owner: Client) -> None:
    txid, signed = owner.propose("put", "replay", "x")
    request = gateway_pb2.EndorseRequest(transaction_id=txid, channel_id=CHANNEL, proposed_transaction=signed)
    envelope = owner.gateway.Endorse(request).prepared_transaction
    envelope.signature = owner.signer.sign(envelope.payload)
    owner.order(txid, envelope)
    assert owner.status(txid)[0] == "VALID"
    with pytest.raises(grpc.RpcError) as failed:
        owner.gateway.Endorse(request)
    assert failed.value.code() is grpc.StatusCode.ABORTED
    assert details_of(failed.value)[0][1].startswith(f"duplicate transaction found [{txid}]")


def test_a_high_s_is_access_denied(net: Net, members: Members) -> None:
    client = net.client("OwnerMSP", HighS(members.signer("OwnerMSP")))  # type: ignore[arg-type]
    code, reason = refused(client)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert reason.endswith("access denied: channel [quorumlearn] creator org [OwnerMSP]")


def test_strangers_are_kept_out(net: Net, members: Members, tmp_path: Path) -> None:

    stranger = open_organisation(tmp_path, "stranger", "StrangerMSP")
    unknown = SigningIdentity.load("StrangerMSP", ensure_user(stranger, "eve"))
    code, reason = refused(net.client("OwnerMSP", unknown))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "creator org unknown, creator is malformed" in reason
    impostor = SigningIdentity.load("OwnerMSP", ensure_user(stranger, "eve"))
    client = net.client("OwnerMSP", impostor)
    code, reason = refused(client)
    assert "creator org unknown, creator is malformed" in reason
    with pytest.raises(grpc.RpcError) as failed:
        client.status("0" * 64)
    assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.RpcError) as failed:
        next(iter(client.events(start=0)))
    assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_an_expired_certificate_proposes_nothing_but_may_ask_what_was_committed(
    net: Net, members: Members
) -> None:
    organisation = members.organisations["V2MSP"]
    folder = ensure_user(organisation, "late", validity=datetime.timedelta(seconds=-1))
    client = net.client("OwnerMSP", SigningIdentity.load("V2MSP", folder))
    code, details = refused_by_each(client)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert all(message.endswith("proposal client identity expired") for _, message in details)
    committed = net.client("OwnerMSP").submit("put", "expired", "x")
    assert client.status(committed.txid)[0] == "VALID"


@pytest.mark.parametrize("call", ["Evaluate", "Endorse"])
def test_garbage_is_an_invalid_argument(owner: Client, call: str) -> None:
    kind = gateway_pb2.EvaluateRequest if call == "Evaluate" else gateway_pb2.EndorseRequest
    for data in (b"", b"\xff\xff", b"\x0a\x02\xff\xff"):
        request = kind()
        request.proposed_transaction.proposal_bytes = data
        with pytest.raises(grpc.RpcError) as failed:
            getattr(owner.gateway, call)(request)
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_submissions_without_a_transaction_or_signature(owner: Client) -> None:
    _, envelope = owner.endorse("put", "unsigned", "x")
    envelope.ClearField("signature")
    for request in (
        gateway_pb2.SubmitRequest(channel_id=CHANNEL),
        gateway_pb2.SubmitRequest(channel_id=CHANNEL, prepared_transaction=envelope),
    ):
        with pytest.raises(grpc.RpcError) as failed:
            owner.gateway.Submit(request)
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_commit_status_waits_until_there_is_one(owner: Client) -> None:
    txid, envelope = owner.endorse("put", "waited-for", "x")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(owner.status, txid)
        owner.order(txid, envelope)
        assert waiting.result(30)[0] == "VALID"
    with pytest.raises(grpc.RpcError) as failed:
        owner.status("0" * 64, timeout=0.2)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_events_come_in_order_and_resume_after_a_transaction(owner: Client, verifier: Client) -> None:
    sent = [owner.submit("event", "thing", str(i)) for i in range(4)]
    call = verifier.events(start=sent[0].block)
    seen: list[tuple[int, str, str, bytes, str]] = []
    for response in call:
        for event in response.events:
            seen.append(
                (response.block_number, event.tx_id, event.event_name, event.payload, event.chaincode_id)
            )
        if len(seen) == 4:
            break
    call.cancel()  # type: ignore[attr-defined]
    assert seen == [
        (commit.block, commit.txid, "thing", str(i).encode(), "kv") for i, commit in enumerate(sent)
    ]
    resumed = verifier.events(after=sent[2].txid)
    response = next(iter(resumed))
    resumed.cancel()  # type: ignore[attr-defined]
    assert [event.tx_id for event in response.events] == [sent[3].txid]


def test_new_events_reach_a_listener_without_a_start(owner: Client, verifier: Client) -> None:
    call = verifier.events()
    found: list[str] = []
    arrived = threading.Event()

    def listen() -> None:
        try:
            for response in call:
                found.extend(event.payload.decode() for event in response.events)
                arrived.set()
        except grpc.RpcError:
            pass

    listener = threading.Thread(target=listen)
    listener.start()
    for i in range(50):
        owner.submit("event", "live", f"live-{i}")
        if arrived.wait(0.05):
            break
    call.cancel()  # type: ignore[attr-defined]
    listener.join(30)
    assert found
    assert found[0].startswith("live-")


def test_invalid_transactions_emit_no_event(owner: Client) -> None:
    failed = owner.submit("event", "never", "x", orgs=["OwnerMSP"])
    assert failed.code == "ENDORSEMENT_POLICY_FAILURE"
    marker = owner.submit("event", "marker", "y")
    call = owner.events(start=failed.block)
    response = next(iter(call))
    call.cancel()  # type: ignore[attr-defined]
    assert [(event.event_name, event.tx_id) for event in response.events] == [("marker", marker.txid)]


def test_qscc_answers_about_the_chain(owner: Client) -> None:
    committed = owner.submit("put", "qscc", "x")
    info = owner.chain_info()
    assert info.height == committed.block + 1
    block = owner.block(committed.block)
    for name, argument in (
        ("GetBlockByTxID", committed.txid.encode()),
        ("GetBlockByHash", info.currentBlockHash),
    ):
        found = owner.evaluate(name, CHANNEL, argument, chaincode="qscc")
        assert found == block.SerializeToString()
    data = owner.evaluate("GetTransactionByID", CHANNEL, committed.txid, chaincode="qscc")
    processed = transaction_pb2.ProcessedTransaction.FromString(data)
    assert processed.validationCode == 0
    assert processed.transactionEnvelope.SerializeToString() == block.data.data[0]
    assert ledger_pb2.BlockchainInfo.FromString(info.SerializeToString()) == info


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["GetBlockByNumber", CHANNEL, "99999"], "no such block number [99999] in index"),
        (["GetBlockByNumber", CHANNEL, "x"], "Failed to parse block number"),
        (["GetBlockByNumber", CHANNEL], "missing 3rd argument for GetBlockByNumber"),
        (["GetBlockByTxID", CHANNEL, "no"], "no such transaction ID [no] in index"),
        (["GetTransactionByID", CHANNEL, "no"], "no such transaction ID [no] in index"),
        (["GetBlockByHash", CHANNEL, "no"], "no such block hash [6e6f] in index"),
        (["GetChainInfo", "elsewhere"], "Invalid chain ID, elsewhere"),
        (["GetChainInfo"], "Incorrect number of arguments, 1"),
        (
            ["Unknown", CHANNEL, "x"],
            "access denied for [Unknown][quorumlearn]: [Unmapped policy for qscc/Unknown]",
        ),
    ],
)
def test_qscc_refuses_as_fabric_does(owner: Client, args: list[str], reason: str) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        owner.evaluate(*args, chaincode="qscc")
    assert failed.value.code() is grpc.StatusCode.UNKNOWN
    assert reason in str(failed.value.details())


def test_many_clients_at_once(net: Net) -> None:
    clients = [net.client(name) for name in ("OwnerMSP", "V1MSP", "V2MSP", "V3MSP")]

    def work(i: int) -> str:
        return clients[i % 4].submit("put", f"parallel{i}", str(i)).code

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(work, range(96))) == {"VALID"}
    assert clients[0].evaluate("get", "parallel95") == b"95"


def test_long_errors_arrive_shortened_with_their_details(owner: Client) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        owner.endorse("x" * 50_000)
    assert failed.value.code() is grpc.StatusCode.ABORTED
    ((msp_id, message),) = details_of(failed.value)
    assert msp_id == "OwnerMSP"
    assert message.startswith("chaincode response 500, ValueError: no function xxx")


def test_the_endorser_service_answers_directly(owner: Client) -> None:
    stub = peer_pb2_grpc.EndorserStub(owner.channel)
    response = stub.ProcessProposal(owner.propose("put", "direct", "x")[1])
    assert response.response.status == 200
    assert response.endorsement.endorser
    failed = stub.ProcessProposal(owner.propose("no such")[1])
    assert failed.response.status == 500
    assert not failed.HasField("endorsement")
