"""How the service talks with peers: many transactions at once, failures, peers that vanish or misbehave."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2
from quorumlearn_chaincode.runtime import ChaincodeError, ChaincodeStub, PeerError, PeerLostError, Response

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


def test_the_service_registers_under_its_package_id(start: Start, dial: Dial) -> None:
    assert dial(start({})).wait_ready().package_id == PACKAGE_ID


def test_a_response_arrives_whole(start: Start, dial: Dial) -> None:
    outcome = dial(start({"echo": echo})).wait_ready().transact("echo", b"\x00\xff", "b")
    assert (outcome.kind, outcome.status, outcome.message) == (Message.COMPLETED, 200, "fine")
    assert (outcome.payload, outcome.event) == (b"\x00\xff|b", None)


def test_the_stub_tells_who_when_and_what(start: Start, dial: Dial) -> None:
    seen = {}

    def look(stub: ChaincodeStub) -> Response:
        seen["client"] = stub.client
        seen["rest"] = (stub.transaction_id, stub.channel_id, stub.timestamp_ms, dict(stub.transient))
        seen["call"] = stub.function_and_parameters()
        return Response()

    peer = dial(start({"look": look})).wait_ready()
    txid, outcome = peer.begin("look", "é", transient={"secret": b"\x01"}, timestamp_ms=1_700_000_000_999)
    assert outcome.result(DEADLINE).status == 200
    assert seen["rest"] == (txid, "channel", 1_700_000_000_999, {"secret": b"\x01"})
    assert seen["call"] == ("look", ["é"])
    client = seen["client"]
    assert (client.msp_id, client.name, client.organisational_units) == ("Org1MSP", "alice", ("client",))
    assert dict(client.attributes) == {"quorumlearn.role": "miner"}


def test_an_event_is_sent_with_success_and_not_with_a_refusal(start: Start, dial: Dial) -> None:
    def emit(stub: ChaincodeStub) -> Response:
        stub.set_event("first", b"1")
        stub.set_event("last", b"2")
        return Response(int(stub.args()[1]))

    peer = dial(start({"emit": emit})).wait_ready()
    assert peer.transact("emit", "200").event == ("last", b"2")
    assert peer.transact("emit", "400").event is None


def test_fifty_transactions_go_on_beside_one_that_blocks(start: Start, dial: Dial) -> None:
    release = threading.Event()

    def block(stub: ChaincodeStub) -> Response:
        assert release.wait(DEADLINE)
        return increment(stub)

    peer = dial(start({"block": block, "increment": increment})).wait_ready()
    _, blocked = peer.begin("block", "b")
    begun = [peer.begin("increment", f"k{i}") for i in range(50)]
    for txid, outcome in begun:
        assert outcome.result(DEADLINE).payload == b"1"
        peer.commit(txid)
    assert not blocked.done()
    release.set()
    assert blocked.result(DEADLINE).payload == b"1"
    assert {key for _, key in peer.state} == {f"k{i}" for i in range(50)}


def test_several_peers_are_served_side_by_side(start: Start, dial: Dial) -> None:
    address = start({"increment": increment})
    peers = [dial(address).wait_ready() for _ in range(5)]
    same = "ab" * 32
    outcomes = [peer.begin("increment", f"k{i}", txid=same)[1] for i, peer in enumerate(peers)]
    assert [outcome.result(DEADLINE).payload for outcome in outcomes] == [b"1"] * 5
    for i, peer in enumerate(peers):
        assert set(peer.simulations[same].writes) == {("", f"k{i}")}


def test_more_transactions_than_workers_all_get_their_turn(start: Start, dial: Dial) -> None:
    peer = dial(start({"increment": increment}, workers=2)).wait_ready()
    begun = [peer.begin("increment", f"k{i}") for i in range(40)]
    assert all(outcome.result(DEADLINE).payload == b"1" for _, outcome in begun)


def test_a_transaction_that_waited_too_long_for_a_worker_is_refused(start: Start, dial: Dial) -> None:
    release = threading.Event()
    late = threading.Event()

    def block(stub: ChaincodeStub) -> Response:
        assert release.wait(DEADLINE)
        return Response()

    def mark(stub: ChaincodeStub) -> Response:
        late.set()
        return Response()

    peer = dial(start({"block": block, "mark": mark}, workers=1, reply_timeout=0.05)).wait_ready()
    _, blocked = peer.begin("block")
    _, waiting = peer.begin("mark")
    arrived = time.monotonic()
    wait_until(lambda: time.monotonic() - arrived > 0.3)
    release.set()
    assert blocked.result(DEADLINE).status == 200
    assert "workers were busy" in waiting.result(DEADLINE).message
    assert not late.is_set()


def test_values_of_five_megabytes_pass_both_ways(start: Start, dial: Dial) -> None:
    def keep(stub: ChaincodeStub) -> Response:
        before = stub.get_state("key")
        stub.put_state("key", stub.args()[1])
        return Response(payload=before)

    big = bytes(range(256)) * (5 * 4096)
    peer = dial(start({"keep": keep})).wait_ready()
    assert peer.transact("keep", big).payload == b""
    assert peer.state["", "key"] == big
    assert peer.transact("keep", b"1").payload == big


def test_a_message_over_the_limit_ends_the_stream_and_a_new_one_works(start: Start, dial: Dial) -> None:
    address = start({"echo": echo}, max_message_bytes=100_000)
    peer = dial(address).wait_ready()
    _, outcome = peer.begin("echo", b"x" * 200_000)
    assert peer.ended.result(DEADLINE) == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert isinstance(outcome.exception(DEADLINE), ConnectionError)
    assert dial(address).wait_ready().transact("echo", "x").payload == b"x"


def test_a_refusal_is_told_word_for_word(start: Start, dial: Dial) -> None:
    def refuse(stub: ChaincodeStub) -> Response:
        raise ChaincodeError("[NOT_DUE] the phase ends at 12:00 \udcff", 425)

    outcome = dial(start({"refuse": refuse})).wait_ready().transact("refuse")
    assert (outcome.kind, outcome.status) == (Message.COMPLETED, 425)
    assert outcome.message == "[NOT_DUE] the phase ends at 12:00 \\udcff"


@pytest.mark.parametrize(
    "raised", [KeyError("s3cret"), RecursionError("s3cret"), SystemExit("s3cret"), TypeError("s3cret")]
)
def test_an_unexpected_exception_tells_neither_caller_nor_log_what_it_holds(
    start: Start, dial: Dial, caplog: pytest.LogCaptureFixture, raised: BaseException
) -> None:
    def crash(stub: ChaincodeStub) -> Response:
        stub.put_state("key", b"1")
        raise raised

    peer = dial(start({"crash": crash})).wait_ready()
    with caplog.at_level(logging.DEBUG):
        outcome = peer.transact("crash", "argument-s3cret")
        wait_until(lambda: "500" in caplog.text)
    assert (outcome.kind, outcome.status, outcome.message) == (Message.COMPLETED, 500, "internal error")
    assert type(raised).__name__ in caplog.text
    assert "in crash" in caplog.text
    assert "s3cret" not in caplog.text
    assert peer.state == {}


@pytest.mark.parametrize(
    "wrong",
    [None, "text", Response(200, "", "text"), Response(2**40), Response(200, 5)],  # type: ignore[arg-type]
)
def test_a_contract_that_returns_nonsense_is_an_internal_error(
    start: Start, dial: Dial, wrong: Response
) -> None:
    outcome = dial(start({"wrong": lambda stub: wrong})).wait_ready().transact("wrong")
    assert (outcome.status, outcome.message) == (500, "internal error")


def test_the_log_has_one_line_a_transaction_without_arguments(
    start: Start, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    peer = dial(start({"tasks:Get": echo})).wait_ready()
    with caplog.at_level(logging.INFO):
        txid, outcome = peer.begin("tasks:Get", "private", transient={"k": b"private"})
        outcome.result(DEADLINE)
        peer.transact("no\nsuch\x1b[31m" + "x" * 500)
        wait_until(lambda: sum(" ms " in record.getMessage() for record in caplog.records) == 2)
    lines = [record.getMessage() for record in caplog.records if " ms " in record.getMessage()]
    assert lines[0].startswith(f"tasks:Get {txid[:8]} ")
    assert lines[0].endswith(" ms 200")
    assert lines[1].startswith("no?such?[31m")
    assert len(lines[1]) < 120
    assert "private" not in caplog.text


def test_arguments_that_are_not_text_are_refused_when_text_is_asked_for(start: Start, dial: Dial) -> None:
    def parse(stub: ChaincodeStub) -> Response:
        stub.function_and_parameters()
        return Response()

    outcome = dial(start({"parse": parse})).wait_ready().transact("parse", b"\xff")
    assert (outcome.status, outcome.message) == (500, "argument 1 is not UTF-8 text")


def test_a_transaction_without_arguments_reaches_the_chaincode(start: Start, dial: Dial) -> None:
    outcome = (
        dial(start({"": lambda stub: Response(payload=str(stub.args()).encode())})).wait_ready().transact()
    )
    assert outcome.payload == b"[]"


def test_init_completes_or_ends_in_an_error(start: Start, dial: Dial) -> None:
    def init(stub: ChaincodeStub) -> Response:
        if len(stub.args()) > 1:
            raise ChaincodeError("[NO] not so")
        stub.put_state("key", b"1")
        return Response()

    peer = dial(start({"init": init})).wait_ready()
    refused = peer.transact("x", "y", kind=Message.INIT)
    assert (refused.kind, refused.message) == (Message.ERROR, "[NO] not so")
    assert peer.transact("x", kind=Message.INIT).status == 200
    assert peer.state == {("", "key"): b"1"}


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
    late: list[Message] = []  # type: ignore[valid-type]

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

    def slow(message: Message) -> bytes:  # type: ignore[valid-type]
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
    nonsense: bytes | Message,  # type: ignore[valid-type]
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
    requests: list[Message] = []  # type: ignore[valid-type]
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
