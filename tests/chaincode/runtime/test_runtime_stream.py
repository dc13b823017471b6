"""How the service talks with peers: many transactions at once, values, failures, the log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from quorumlearn_chaincode.runtime import ChaincodeError, ChaincodeStub, Response

from tests.chaincode.runtime.conftest import PACKAGE_ID
from tests.chaincode.runtime.fake_peer import DEADLINE, FakePeer, Message

Start = Callable[..., str]
Dial = Callable[..., FakePeer]


def echo(stub: ChaincodeStub) -> Response:
    return Response(200, "fine", b"|".join(stub.args()[1:]))


def increment(stub: ChaincodeStub) -> Response:
    key = stub.args()[1].decode()
    value = str(int(stub.get_state(key) or b"0") + 1).encode()
    stub.put_state(key, value)
    return Response(payload=value)


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
    seen: dict[str, Any] = {}

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
