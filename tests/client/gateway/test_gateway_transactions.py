"""Transactions through a gateway peer: what is sent, what comes back, what is tried again and what is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.peer import proposal_pb2, transaction_pb2
from quorumlearn.gateway import (
    ClosedError,
    CommitError,
    CommitStatusError,
    EndorseError,
    EvaluateError,
    Gateway,
    GatewayError,
    Identity,
    Options,
    PeerError,
    Signer,
    SizeError,
    SubmitError,
    Timeouts,
    connect,
    read_transaction,
)

from tests.client.gateway.conftest import QUICK
from tests.client.gateway.scripted_peer import CHANNEL, ScriptedPeer

MVCC, PHANTOM, POLICY, BAD_RWSET = 11, 12, 10, 22
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def contract(gateway: Gateway, name: str = "") -> Any:
    return gateway.network(CHANNEL).contract("cc", name)


def sent_args(request: Any) -> list[bytes]:
    from fabric_protos.peer import chaincode_pb2

    proposal = proposal_pb2.Proposal.FromString(request.proposed_transaction.proposal_bytes)
    payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
    return list(chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input).chaincode_spec.input.args)


def test_evaluate_returns_the_result_and_submits_nothing(gateway: Gateway, peer: ScriptedPeer) -> None:
    assert contract(gateway).evaluate("echo", "ä", b"\xff\x00") == b"\xc3\xa4|\xff\x00"
    assert peer.calls == ["Evaluate"]


def test_a_contract_name_goes_before_the_function(gateway: Gateway, peer: ScriptedPeer) -> None:
    contract(gateway, "rewards").submit("Mint", "a", "5")
    assert sent_args(peer.requests["Endorse"][0]) == [b"rewards:Mint", b"a", b"5"]


def test_submit_returns_the_result_once_it_is_committed(gateway: Gateway, peer: ScriptedPeer) -> None:
    assert contract(gateway).submit("put", "k", "v") == b"done:v"
    assert peer.calls == ["Endorse", "Submit", "CommitStatus"]
    assert len(peer.blocks) == 1


def test_the_steps_apart_share_one_transaction_id(gateway: Gateway, peer: ScriptedPeer) -> None:
    proposal = contract(gateway).propose("put", "k", "v")
    assert peer.calls == []
    transaction = proposal.endorse()
    assert transaction.result == b"done:v"
    assert peer.calls == ["Endorse"]
    commit = transaction.submit()
    status = commit.status()
    assert {proposal.transaction_id, transaction.transaction_id, commit.transaction_id} == {
        status.transaction_id
    }
    assert (status.successful, status.code, status.block) == (True, "VALID", 0)


def test_organisations_and_transient_data_reach_the_peer_and_not_the_ledger(
    gateway: Gateway, peer: ScriptedPeer
) -> None:
    contract(gateway).submit("put", "k", "v", transient={"s": b"sesame"}, endorsing_organisations=["BMSP"])
    request = peer.requests["Endorse"][0]
    proposal = proposal_pb2.Proposal.FromString(request.proposed_transaction.proposal_bytes)
    assert proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload).TransientMap["s"] == b"sesame"
    assert list(request.endorsing_organizations) == ["BMSP"]
    assert b"sesame" not in peer.blocks[0].SerializeToString()
    assert "sesame" not in repr(contract(gateway).propose("put", transient={"s": b"sesame"}).__dict__)
    contract(gateway).evaluate("echo", endorsing_organisations=["CMSP"])
    assert list(peer.requests["Evaluate"][0].target_organizations) == ["CMSP"]


@pytest.mark.parametrize(
    ("rpc", "kind"),
    [
        ("Evaluate", EvaluateError),
        ("Endorse", EndorseError),
        ("Submit", SubmitError),
        ("CommitStatus", CommitStatusError),
    ],
)
def test_each_step_has_its_error_with_the_peers_own_words(
    gateway: Gateway, peer: ScriptedPeer, rpc: str, kind: type[GatewayError]
) -> None:
    details = (("p0:1", "AMSP", "[WRONG_ROLE] not a miner"), ("p1:2", "BMSP", "no such key"))
    peer.fail(rpc, grpc.StatusCode.ABORTED, "failed to do it", *details)
    call = contract(gateway).evaluate if rpc == "Evaluate" else contract(gateway).submit
    with pytest.raises(kind) as caught:
        call("put", "k", "v")
    error = caught.value
    assert type(error) is kind
    assert error.status is grpc.StatusCode.ABORTED
    assert error.details == tuple(PeerError(*detail) for detail in details)
    assert len(error.transaction_id) == 64
    assert error.endpoint == peer.address
    assert not error.unreachable
    shown = error.diagnostics()
    assert all(part in shown for part in ("AMSP at p0:1: [WRONG_ROLE] not a miner", "no such key", "ABORTED"))
    assert peer.calls.count(rpc) == 1


@pytest.mark.parametrize("rpc", ["Evaluate", "Endorse", "Submit", "CommitStatus"])
def test_an_unavailable_peer_is_tried_again(gateway: Gateway, peer: ScriptedPeer, rpc: str) -> None:
    peer.fail(rpc, UNAVAILABLE, "starting")
    peer.fail(rpc, UNAVAILABLE, "starting")
    if rpc == "Evaluate":
        contract(gateway).evaluate("echo")
    else:
        contract(gateway).submit("put", "k", "v")
        assert len({request.transaction_id for request in peer.requests["Submit"]}) == 1
        assert len(peer.blocks) == 1
    assert peer.calls.count(rpc) == 3


def test_trying_again_ends(gateway: Gateway, peer: ScriptedPeer) -> None:
    for _ in range(9):
        peer.fail("Evaluate", UNAVAILABLE, "starting")
    with pytest.raises(EvaluateError, match="starting") as caught:
        contract(gateway).evaluate("echo")
    assert not caught.value.unreachable
    assert peer.calls.count("Evaluate") == QUICK.unavailable.attempts


@pytest.mark.parametrize("status", [s for s in grpc.StatusCode if s not in (UNAVAILABLE, grpc.StatusCode.OK)])
def test_no_other_status_is_tried_again(
    gateway: Gateway, peer: ScriptedPeer, status: grpc.StatusCode
) -> None:
    peer.fail("Endorse", status, "no")
    with pytest.raises(EndorseError) as caught:
        contract(gateway).submit("put", "k", "v")
    assert caught.value.status is status
    assert peer.calls == ["Endorse"]


@pytest.mark.parametrize("code", [MVCC, PHANTOM])
def test_a_lost_race_is_endorsed_anew(gateway: Gateway, peer: ScriptedPeer, code: int) -> None:
    peer.codes.extend([code, code, 0])
    assert contract(gateway).submit("put", "k", "v") == b"done:v"
    assert peer.calls.count("Endorse") == 3
    assert len({request.transaction_id for request in peer.requests["Endorse"]}) == 3


def test_peers_that_are_not_at_the_same_block_are_asked_again(gateway: Gateway, peer: ScriptedPeer) -> None:
    behind = ("p1:2", "BMSP", "ProposalResponsePayloads do not match")
    for _ in range(2):
        peer.fail("Endorse", grpc.StatusCode.ABORTED, "failed to collect enough endorsements", behind)
    assert contract(gateway).submit("put", "k", "v") == b"done:v"
    assert len({request.transaction_id for request in peer.requests["Endorse"]}) == 3
    for _ in range(QUICK.conflict.attempts):
        peer.fail("Endorse", grpc.StatusCode.ABORTED, "failed to collect enough endorsements", behind)
    with pytest.raises(EndorseError) as caught:
        contract(gateway).submit("put", "k", "v")
    assert caught.value.disagreement


def test_a_race_lost_too_often_is_a_commit_error(gateway: Gateway, peer: ScriptedPeer) -> None:
    peer.codes.extend([MVCC] * 9)
    with pytest.raises(CommitError, match="MVCC_READ_CONFLICT") as caught:
        contract(gateway).submit("put", "k", "v")
    assert caught.value.block == QUICK.conflict.attempts - 1
    assert peer.calls.count("Endorse") == QUICK.conflict.attempts


@pytest.mark.parametrize(
    ("codes", "calls"), [([POLICY], 2), ([POLICY, MVCC], 3), ([MVCC, POLICY, PHANTOM], 4)]
)
def test_the_race_for_a_new_key_may_be_lost_once(
    gateway: Gateway, peer: ScriptedPeer, codes: list[int], calls: int
) -> None:
    peer.codes.extend([*codes, 0])
    assert contract(gateway).submit("put", "k", "v") == b"done:v"
    assert len({request.transaction_id for request in peer.requests["Endorse"]}) == calls


@pytest.mark.parametrize("codes", [[POLICY, POLICY, 0], [POLICY, MVCC, POLICY, 0]])
def test_endorsements_that_do_not_suffice_are_not_asked_for_again_and_again(
    gateway: Gateway, peer: ScriptedPeer, codes: list[int]
) -> None:
    peer.codes.extend(codes)
    with pytest.raises(CommitError, match="ENDORSEMENT_POLICY_FAILURE"):
        contract(gateway).submit("put", "k", "v")
    assert peer.calls.count("Endorse") == len(codes) - 1


def test_any_other_invalid_transaction_is_not_tried_again(gateway: Gateway, peer: ScriptedPeer) -> None:
    peer.codes.append(BAD_RWSET)
    with pytest.raises(CommitError) as caught:
        contract(gateway).submit("put", "k", "v")
    assert (caught.value.code, caught.value.block) == ("BAD_RWSET", 0)
    assert peer.calls.count("Endorse") == 1


def test_who_is_to_endorse_is_asked_at_each_attempt(gateway: Gateway, peer: ScriptedPeer) -> None:
    """The one asked hears why those that it named did not, and names others, or nobody."""
    failures: list[str] = []

    def name(failure: EndorseError | None) -> Sequence[str] | None:
        if failure is not None:
            failures.append(str(failure))
        return (["BMSP"], ["CMSP"], None)[len(failures)]

    peer.fail("Endorse", grpc.StatusCode.ABORTED, "first")
    peer.codes.extend([MVCC, 0])
    assert contract(gateway).submit("put", "k", "v", endorsing_organisations=name) == b"done:v"
    named = ["".join(request.endorsing_organizations) for request in peer.requests["Endorse"]]
    assert named == ["BMSP", "CMSP", "CMSP"]
    peer.fail("Endorse", grpc.StatusCode.ABORTED, "second")
    with pytest.raises(EndorseError, match="second"):
        contract(gateway).submit("put", "k", "v", endorsing_organisations=name)
    assert failures == ["endorsing put: first", "endorsing put: second"]


def test_those_at_another_block_are_waited_for_before_others_are_named(
    gateway: Gateway, peer: ScriptedPeer
) -> None:
    peer.behind = {"BMSP"}
    names = iter([["AMSP", "BMSP"], ["AMSP", "CMSP"]])
    result = contract(gateway).submit("put", "k", "v", endorsing_organisations=lambda _: next(names))
    assert result == b"done:v"
    named = ["".join(request.endorsing_organizations) for request in peer.requests["Endorse"]]
    assert named == ["AMSPBMSP"] * QUICK.disagreement.attempts + ["AMSPCMSP"]


def test_a_transaction_too_large_is_refused_before_anyone_is_asked(
    peer: ScriptedPeer, alice: tuple[Identity, Signer]
) -> None:
    options = Options(max_envelope_bytes=100_000)
    with connect(peer.address, *alice, tls_root=None, options=options) as opened:
        with pytest.raises(SizeError, match="over the orderer's limit of 100000"):
            contract(opened).submit("put", "k", "v" * 50_000)
        assert peer.calls == []
        contract(opened).submit("put", "k", "v" * 40_000)
        assert len(contract(opened).evaluate("echo", "v" * 50_000)) == 50_000


def test_an_envelope_that_grew_too_large_is_not_submitted(
    peer: ScriptedPeer, alice: tuple[Identity, Signer]
) -> None:
    def grow(payload: Any) -> None:
        transaction = transaction_pb2.Transaction.FromString(payload.data)
        action = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload)
        action.action.endorsements.add(endorser=b"x" * 100_000)
        transaction.actions[0].payload = action.SerializeToString()
        payload.data = transaction.SerializeToString()

    peer.tamper = grow
    options = Options(max_envelope_bytes=100_000)
    with (
        connect(peer.address, *alice, tls_root=None, options=options) as opened,
        pytest.raises(SizeError, match=r"is 10\d+ bytes"),
    ):
        contract(opened).submit("put", "k", "v")
    assert "Submit" not in peer.calls


def _other_header(payload: Any) -> None:
    header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    header.tx_id = "0" * 64
    payload.header.channel_header = header.SerializeToString()


def _other_call(payload: Any) -> None:
    transaction = transaction_pb2.Transaction.FromString(payload.data)
    action = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload)
    action.chaincode_proposal_payload = proposal_pb2.ChaincodeProposalPayload(input=b"").SerializeToString()
    transaction.actions[0].payload = action.SerializeToString()
    payload.data = transaction.SerializeToString()


def _two_actions(payload: Any) -> None:
    transaction = transaction_pb2.Transaction.FromString(payload.data)
    transaction.actions.append(transaction.actions[0])
    payload.data = transaction.SerializeToString()


def _garbage(payload: Any) -> None:
    payload.data = b"\xff\xff\xff"


@pytest.mark.parametrize("tamper", [_other_header, _other_call, _two_actions, _garbage])
def test_a_client_signs_nothing_but_what_it_proposed(
    gateway: Gateway, peer: ScriptedPeer, tamper: Any
) -> None:
    peer.tamper = tamper
    with pytest.raises(EndorseError, match="it was not signed"):
        contract(gateway).submit("put", "k", "v")
    assert peer.calls == ["Endorse"]


def test_a_peer_that_is_not_there_is_told_apart(alice: tuple[Identity, Signer]) -> None:
    with ScriptedPeer() as gone:
        address = gone.address
    with (
        connect(address, *alice, tls_root=None, options=QUICK) as opened,
        pytest.raises(EvaluateError, match="no peer answers at") as caught,
    ):
        contract(opened).evaluate("echo")
    assert caught.value.unreachable
    assert "is the peer running" in caught.value.diagnostics()


def test_the_connection_comes_back_with_the_peer(alice: tuple[Identity, Signer]) -> None:
    with ScriptedPeer() as first:
        opened = connect(first.address, *alice, tls_root=None)
        assert contract(opened).evaluate("echo", "1") == b"1"
    with opened, ScriptedPeer(first.address):
        assert contract(opened).evaluate("echo", "2") == b"2"


@pytest.fixture
def hasty(peer: ScriptedPeer, alice: tuple[Identity, Signer]) -> Iterator[Gateway]:
    """A gateway with short deadlines, for what does not answer."""
    options = replace(QUICK, timeouts=Timeouts(0.3, 0.3, 0.3, 0.3), submissions=3)
    with connect(peer.address, *alice, tls_root=None, options=options) as opened:
        yield opened


@pytest.mark.parametrize("lost", ["Submit", "CommitStatus", "in the orderer"])
def test_a_transaction_without_news_is_submitted_again_and_commits_once(
    hasty: Gateway, peer: ScriptedPeer, lost: str
) -> None:
    """An orderer's leader that is frozen: what it was sent is not taken, or taken and lost."""
    if lost == "in the orderer":
        peer.losing = 2
    else:
        peer.hanging[lost] = 2
    assert contract(hasty).submit("put", "k", "v") == b"done:v"
    assert peer.calls.count("Endorse") == 1
    assert len({request.transaction_id for request in peer.requests["Submit"]}) == 1
    assert peer.calls.count("Submit") == 3
    assert len(peer.blocks) == 1


@pytest.mark.parametrize(("rpc", "kind"), [("Submit", SubmitError), ("CommitStatus", CommitStatusError)])
def test_submitting_again_ends(
    hasty: Gateway, peer: ScriptedPeer, rpc: str, kind: type[GatewayError]
) -> None:
    peer.hanging[rpc] = 9
    with pytest.raises(kind) as caught:
        contract(hasty).submit("put", "k", "v")
    assert caught.value.timed_out
    assert peer.calls.count("Submit") == 3


def test_who_may_be_why_nobody_endorsed_is_told_from_who_refused(hasty: Gateway, peer: ScriptedPeer) -> None:
    named = ["AMSP", "BMSP", "CMSP"]

    def suspects(status: grpc.StatusCode, message: str, *details: tuple[str, str, str]) -> set[str]:
        peer.fail("Endorse", status, message, *details)
        with pytest.raises(EndorseError) as caught:
            contract(hasty).submit("put", "k", "v", endorsing_organisations=named)
        return set(caught.value.suspects(named))

    collected = "failed to collect enough transaction endorsements"
    aborted = grpc.StatusCode.ABORTED
    assert suspects(grpc.StatusCode.DEADLINE_EXCEEDED, "endorsement timeout expired") == set(named)
    assert suspects(UNAVAILABLE, "failed to find any endorsing peers for org(s): CMSP, DMSP") == {"CMSP"}
    assert peer.calls.count("Endorse") == 2
    refused = ("p0:1", "AMSP", "chaincode response 500, [WRONG_PHASE] too late")
    assert suspects(aborted, collected, refused) == set()
    assert suspects(aborted, collected, ("p1:2", "BMSP", "could not launch chaincode cc"), refused) == {
        "BMSP"
    }


def test_of_results_that_differ_the_odd_one_is_suspect_and_of_two_both() -> None:
    def unlike(*odd: str) -> EndorseError:
        details = [PeerError("p", one, "ProposalResponsePayloads do not match") for one in odd]
        return EndorseError("failed to collect enough transaction endorsements", details=details)

    assert unlike("BMSP").suspects(["AMSP", "BMSP"]) == {"AMSP", "BMSP"}
    assert unlike("BMSP").suspects(["AMSP", "BMSP", "CMSP"]) == {"BMSP"}
    assert unlike("BMSP", "CMSP").suspects(["AMSP", "BMSP", "CMSP"]) == {"AMSP", "BMSP", "CMSP"}


def test_many_threads_share_one_gateway(gateway: Gateway, peer: ScriptedPeer) -> None:
    shared = contract(gateway)
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda n: shared.submit("put", f"k{n}", f"v{n}"), range(64)))
    assert results == [f"done:v{n}".encode() for n in range(64)]
    assert len({request.transaction_id for request in peer.requests["Submit"]}) == 64


def test_a_closed_gateway_says_so_and_wakes_who_waits(
    peer: ScriptedPeer, alice: tuple[Identity, Signer]
) -> None:
    opened = connect(peer.address, *alice, tls_root=None, options=QUICK)
    stream = opened.network(CHANNEL).block_events(start=0)
    ended = threading.Event()

    def read() -> None:
        assert list(stream) == []
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    opened.close()
    reader.join(10)
    assert ended.is_set()
    opened.close()
    with pytest.raises(ClosedError):
        contract(opened).evaluate("echo")


def test_what_was_submitted_can_be_read_back(gateway: Gateway, peer: ScriptedPeer) -> None:
    network = gateway.network(CHANNEL)
    status = network.contract("cc").propose("put", "k", "v").endorse().submit().status()
    envelope = common_pb2.Envelope.FromString(network.block(status.block).data.data[0])
    record = read_transaction(
        transaction_pb2.ProcessedTransaction(transactionEnvelope=envelope, validationCode=0)
    )
    assert record.transaction_id == status.transaction_id
    assert (record.creator, record.function, record.arguments[1:]) == ("OrgMSP/alice", "put", (b"k", b"v"))
    assert (record.chaincode, record.event_name, record.code) == ("cc", "called", "VALID")
    assert network.position(status.transaction_id) == (0, 0)


def test_a_position_that_the_peer_does_not_back_is_an_error(gateway: Gateway, peer: ScriptedPeer) -> None:
    network = gateway.network(CHANNEL)
    first = network.contract("cc").propose("put", "k", "v").endorse().submit()
    network.contract("cc").submit("put", "k", "w")
    peer.statuses[first.transaction_id] = (0, 1)
    with pytest.raises(EvaluateError, match="does not hold"):
        network.position(first.transaction_id)
