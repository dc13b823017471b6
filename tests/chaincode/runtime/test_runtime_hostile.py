"""Peers that vanish, hang, lie or speak nonsense: each costs its own transactions, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2
from quorumlearn_chaincode.runtime import ChaincodeStub, PeerError, PeerLostError, Response

from tests.chaincode.runtime.conftest import PACKAGE_ID
from tests.chaincode.runtime.fake_peer import DEADLINE, FakePeer, Message, shim

Start = Callable[..., str]
Dial = Callable[..., FakePeer]


def echo(stub: ChaincodeStub) -> Response:
    return Response(200, "fine", b"|".join(stub.args()[1:]))


def increment(stub: ChaincodeStub) -> Response:
    key = stub.args()[1].decode()
    value = str(int(stub.get_state(key) or b"0") + 1).encode()
    stub.put_state(key, value)
    return Response(payload=value)


def read(stub: ChaincodeStub) -> Response:
    return Response(payload=stub.get_state("key"))


def wait_until(condition: Callable[[], bool]) -> None:
    """Polls until `condition` holds; fails after the tests' deadline."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the deadline passed"
        time.sleep(0.005)


def test_a_peer_that_vanishes_frees_the_transactions_that_wait_for_it(start: Start, dial: Dial) -> None:
    failed: list[Exception] = []
    asked, over = threading.Event(), threading.Event()

    def hang(stub: ChaincodeStub) -> Response:
        try:
            return read(stub)
        except PeerLostError as error:
            failed.append(error)
            raise
        finally:
            over.set()

    address = start({"hang": hang, "echo": echo}, workers=1)
    peer = dial(address)
    peer.override[Message.GET_STATE] = lambda message: asked.set()
    peer.wait_ready().begin("hang")
    assert asked.wait(DEADLINE)
    peer.disconnect()
    assert over.wait(DEADLINE)
    assert "ended the stream" in str(failed[0])
    assert dial(address).wait_ready().transact("echo", "again").payload == b"again"


def test_a_peer_that_hangs_up_in_order_is_left_in_order(start: Start, dial: Dial) -> None:
    peer = dial(start({"echo": echo})).wait_ready()
    peer.transact("echo", "x")
    peer.hang_up()
    assert peer.ended.result(DEADLINE) == grpc.StatusCode.OK


def test_a_peer_that_does_not_answer_costs_one_transaction_and_its_late_answer_nothing(
    start: Start, dial: Dial
) -> None:
    late: list[Message] = []

    def stubborn(stub: ChaincodeStub) -> Response:
        for _ in range(2):
            try:
                stub.get_state("key")
            except PeerLostError as error:
                last = error
        raise last

    peer = dial(start({"stubborn": stubborn, "read": read}, reply_timeout=0.1))
    peer.override[Message.GET_STATE] = late.append
    txid, outcome = peer.wait_ready().begin("stubborn")
    assert "is over: its stub answers no more" in outcome.result(DEADLINE).message
    assert peer.requests_of(txid) == ["GET_STATE"]
    peer.override.clear()
    peer.reply(late[0], b"stale")
    peer.state["", "key"] = b"fresh"
    assert peer.transact("read").payload == b"fresh"


def test_a_stub_kept_beyond_its_transaction_answers_no_more(start: Start, dial: Dial) -> None:
    kept: list[ChaincodeStub] = []

    def keep(stub: ChaincodeStub) -> Response:
        kept.append(stub)
        return Response()

    peer = dial(start({"keep": keep}), offer=chaincode_pb2.ChaincodeAdditionalParams(use_write_batch=True))
    txid, outcome = peer.wait_ready().begin("keep")
    outcome.result(DEADLINE)
    for use in (lambda: kept[0].get_state("k"), lambda: kept[0].put_state("k", b"1")):
        with pytest.raises(PeerLostError, match=f"{txid[:8]} is over"):
            use()


def test_threads_of_one_contract_ask_one_after_the_other(start: Start, dial: Dial) -> None:
    asking = threading.Semaphore(1)
    collisions: list[str] = []

    def slow(message: Message) -> None:
        if not asking.acquire(blocking=False):
            collisions.append(message.txid)

        def answer() -> None:
            asking.release()
            peer.reply(message, b"v")

        threading.Timer(0.01, answer).start()

    def parallel(stub: ChaincodeStub) -> Response:
        got: list[bytes] = []
        threads = [threading.Thread(target=lambda: got.append(stub.get_state("k"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        return Response(payload=b"".join(got))

    peer = dial(start({"parallel": parallel}))
    peer.override[Message.GET_STATE] = slow
    assert peer.wait_ready().transact("parallel").payload == b"v" * 8
    assert collisions == []


def test_keepalive_is_echoed_also_while_transactions_run(start: Start, dial: Dial) -> None:
    peer = dial(start({"echo": echo})).wait_ready()
    peer.send(Message(type=Message.KEEPALIVE, payload=b"beat"))
    assert peer.echoes.get(timeout=DEADLINE).payload == b"beat"
    assert peer.transact("echo", "x").status == 200


def test_a_peer_that_ignores_the_registration_is_told_what_to_check(
    start: Start, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    peer = dial(start({}, registration_timeout=0.05), accept=False)
    assert peer.ended.result(DEADLINE) == grpc.StatusCode.FAILED_PRECONDITION
    assert f"did not accept package id {PACKAGE_ID}" in peer.details
    assert "check that CHAINCODE_ID" in caplog.text


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xff\xff",
        Message(type=Message.READY),
        Message(type=Message.REGISTERED),
        Message(type=Message.GET_STATE),
        Message(type=Message.COMPLETED, txid="x"),
        Message(),
        Message(type=999),
    ],
)
def test_a_message_out_of_place_ends_the_stream_with_a_reason(
    start: Start,
    dial: Dial,
    nonsense: bytes | Message,
) -> None:
    address = start({"echo": echo})
    peer = dial(address).wait_ready()
    peer.send(nonsense)
    assert peer.ended.result(DEADLINE) == grpc.StatusCode.FAILED_PRECONDITION
    assert peer.details in peer.errors
    assert "ChaincodeMessage" in peer.details or "has no place in state ready" in peer.details
    assert dial(address).wait_ready().transact("echo", "x").payload == b"x"


def test_a_transaction_before_registration_is_out_of_place(start: Start, dial: Dial) -> None:
    peer = dial(start({"echo": echo}), accept=False)
    peer.begin("echo")
    assert peer.ended.result(DEADLINE) == grpc.StatusCode.FAILED_PRECONDITION
    assert "has no place in state created" in peer.details


def test_answers_that_nobody_asked_for_are_dropped(start: Start, dial: Dial) -> None:
    peer = dial(start({"echo": echo})).wait_ready()
    peer.send(Message(type=Message.RESPONSE, txid="unknown\n", channel_id="channel", payload=b"x"))
    peer.send(Message(type=Message.ERROR, payload=b"x"))
    assert peer.transact("echo", "x").payload == b"x"


def test_an_id_already_under_way_is_refused_and_free_again_afterwards(start: Start, dial: Dial) -> None:
    peer = dial(start({"increment": increment}))
    requests: list[Message] = []
    peer.override[Message.GET_STATE] = requests.append
    txid, first = peer.wait_ready().begin("increment", "k")
    wait_until(lambda: len(requests) == 1)
    _, second = peer.begin("increment", "k", txid=txid)
    assert "already under way" in second.result(DEADLINE).message
    peer.override.clear()
    peer.simulations[txid].outcome = first
    peer.reply(requests[0], b"4")
    assert first.result(DEADLINE).payload == b"5"
    assert peer.transact("increment", "k", txid=txid).payload == b"1"


GARBAGE = b"\xff\xff\xff"


@pytest.mark.parametrize(
    ("kind", "answer", "ask"),
    [
        (Message.GET_STATE_BY_RANGE, GARBAGE, lambda stub: list(stub.get_state_by_range("", ""))),
        (
            Message.GET_STATE_BY_RANGE,
            shim.QueryResponse(results=[shim.QueryResultBytes(resultBytes=GARBAGE)]).SerializeToString(),
            lambda stub: list(stub.get_state_by_range("", "")),
        ),
        (
            Message.GET_STATE_BY_RANGE,
            shim.QueryResponse(metadata=GARBAGE).SerializeToString(),
            lambda stub: stub.get_state_by_range_with_pagination("", "", 1, ""),
        ),
        (
            Message.GET_STATE_BY_RANGE,
            shim.QueryResponse(has_more=True).SerializeToString(),
            lambda stub: stub.get_state_by_range_with_pagination("", "", 1, ""),
        ),
        (Message.GET_HISTORY_FOR_KEY, GARBAGE, lambda stub: list(stub.get_history_for_key("k"))),
        (
            Message.GET_HISTORY_FOR_KEY,
            shim.QueryResponse(results=[shim.QueryResultBytes(resultBytes=GARBAGE)]).SerializeToString(),
            lambda stub: list(stub.get_history_for_key("k")),
        ),
        (Message.GET_STATE_METADATA, GARBAGE, lambda stub: stub.get_state_validation_parameter("k")),
        (Message.INVOKE_CHAINCODE, GARBAGE, lambda stub: stub.invoke_chaincode("other", [])),
        (
            Message.INVOKE_CHAINCODE,
            Message(type=Message.COMPLETED, payload=GARBAGE).SerializeToString(),
            lambda stub: stub.invoke_chaincode("other", []),
        ),
        (Message.GET_STATE_MULTIPLE, GARBAGE, lambda stub: stub.get_multiple_states(["k"])),
        (Message.GET_STATE_MULTIPLE, b"", lambda stub: stub.get_multiple_states(["k"])),
    ],
)
def test_an_unreadable_answer_is_the_peers_error(
    start: Start, dial: Dial, kind: int, answer: bytes, ask: Callable[[ChaincodeStub], object]
) -> None:
    caught: list[type[Exception]] = []

    def attempt(stub: ChaincodeStub) -> Response:
        try:
            ask(stub)
        except PeerError as error:
            caught.append(type(error))
            raise
        return Response()

    offer = chaincode_pb2.ChaincodeAdditionalParams(use_get_multiple_keys=True)
    peer = dial(start({"attempt": attempt}), offer=offer)
    peer.override[kind] = lambda message: answer
    assert peer.wait_ready().transact("attempt").status == 500
    assert caught == [PeerError]


def test_a_query_that_promises_more_for_ever_ends_in_an_error(start: Start, dial: Dial) -> None:
    def scan(stub: ChaincodeStub) -> Response:
        return Response(payload=str(len(list(stub.get_state_by_range("", "")))).encode())

    empty = shim.QueryResponse(has_more=True, id="q").SerializeToString()
    peer = dial(start({"scan": scan}))
    peer.override = {Message.GET_STATE_BY_RANGE: lambda _: empty, Message.QUERY_STATE_NEXT: lambda _: empty}
    assert "empty page" in peer.wait_ready().transact("scan").message


def test_a_peer_that_refuses_the_waiting_writes_fails_the_transaction(start: Start, dial: Dial) -> None:
    def write(stub: ChaincodeStub) -> Response:
        stub.put_state("_key", b"1")
        stub.set_event("done", b"")
        return Response()

    peer = dial(start({"write": write}), offer=chaincode_pb2.ChaincodeAdditionalParams(use_write_batch=True))
    peer.override[Message.WRITE_BATCH_STATE] = lambda _: "invalid key"
    outcome = peer.wait_ready().transact("write")
    assert (outcome.status, outcome.message, outcome.event) == (500, "invalid key", None)


def test_writes_of_many_bytes_do_not_wait_for_each_other(start: Start, dial: Dial) -> None:
    def write(stub: ChaincodeStub) -> Response:
        for i in range(6):
            stub.put_state(f"k{i}", b"x" * 2_000_000)
        return Response()

    peer = dial(start({"write": write}), offer=chaincode_pb2.ChaincodeAdditionalParams(use_write_batch=True))
    txid, outcome = peer.wait_ready().begin("write")
    assert outcome.result(DEADLINE).status == 200
    assert peer.requests_of(txid) == ["WRITE_BATCH_STATE"] * 2


def test_an_unreadable_ready_means_no_batches(start: Start, dial: Dial) -> None:
    class Strange:
        def SerializeToString(self) -> bytes:
            return GARBAGE

    peer = dial(start({"increment": increment}), offer=Strange()).wait_ready()
    txid, outcome = peer.begin("increment", "k")
    assert outcome.result(DEADLINE).payload == b"1"
    assert peer.requests_of(txid) == ["GET_STATE", "PUT_STATE"]


def test_a_transaction_that_cannot_be_read_gets_an_error_and_no_other_suffers(
    start: Start, dial: Dial
) -> None:
    peer = dial(start({"echo": echo})).wait_ready()
    _, wrong_type = peer.begin("echo", header_type=common_pb2.CONFIG_UPDATE)
    outcome = wrong_type.result(DEADLINE)
    assert (outcome.kind, outcome.message) == (
        Message.ERROR,
        "the proposal's header type is 2, not ENDORSER_TRANSACTION",
    )
    peer.send(Message(type=Message.TRANSACTION, txid="bare", channel_id="channel"))
    wait_until(lambda: "the peer sent a transaction without its signed proposal" in peer.errors)
    unreadable = Message(type=Message.TRANSACTION, txid="bad", channel_id="channel", payload=GARBAGE)
    unreadable.proposal.proposal_bytes = b"\x0a\x00"
    peer.send(unreadable)
    wait_until(lambda: "the peer sent a transaction that cannot be read" in peer.errors)
    assert peer.transact("echo", "x").payload == b"x"
