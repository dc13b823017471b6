"""What a contract does with its stub, through a real stream to a peer, with batches and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fabric_protos.peer import chaincode_pb2, proposal_response_pb2
from quorumlearn_chaincode.runtime import (
    ChaincodeError,
    ChaincodeStub,
    InvalidArgumentError,
    PeerError,
    Response,
    SignedBy,
    policy_bytes,
)

from tests.chaincode.runtime.fake_peer import FakePeer, Message

BATCHES = chaincode_pb2.ChaincodeAdditionalParams(
    use_write_batch=True, max_size_write_batch=4, use_get_multiple_keys=True, max_size_get_multiple_keys=2
)
Run = Callable[[Callable[..., Any]], Any]


def plain(value: object) -> object:
    """`value` as JSON would give it back, bytes as text."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@pytest.fixture(params=[None, BATCHES], ids=["one-by-one", "batches"])
def peer(
    request: pytest.FixtureRequest, start: Callable[..., str], dial: Callable[..., FakePeer]
) -> FakePeer:
    connected: FakePeer = dial(start({"call": call}), offer=request.param).wait_ready()
    return connected


CALLS: list[Callable[[ChaincodeStub], object]] = []


def call(stub: ChaincodeStub) -> Response:
    """Runs the function that a test put aside, and gives back what it returned."""
    return Response(payload=json.dumps(plain(CALLS[int(stub.args()[1])](stub))).encode())


@pytest.fixture
def run(peer: FakePeer) -> Run:
    """Runs a function as a transaction, commits it, and gives its result; a refusal is raised."""

    def transact(function: Callable[[ChaincodeStub], object]) -> object:
        CALLS.append(function)
        outcome = peer.transact("call", str(len(CALLS) - 1))
        if outcome.status >= 400:
            raise ChaincodeError(outcome.message, outcome.status)
        return json.loads(outcome.payload)

    return transact


def put_all(pairs: dict[str, bytes]) -> Callable[[ChaincodeStub], None]:
    def put(stub: ChaincodeStub) -> None:
        for key, value in pairs.items():
            stub.put_state(key, value)

    return put


def test_a_missing_key_reads_as_empty(run: Run) -> None:
    assert run(lambda stub: stub.get_state("nothing")) == ""


def test_reads_see_committed_values_only(run: Run) -> None:
    def put_and_read(stub: ChaincodeStub) -> bytes:
        stub.put_state("key", b"new")
        return stub.get_state("key")

    assert run(put_and_read) == ""
    assert run(lambda stub: stub.get_state("key")) == "new"
    run(lambda stub: stub.delete_state("key"))
    assert run(lambda stub: stub.get_state("key")) == ""


def test_the_last_of_several_writes_of_a_key_counts(run: Run, peer: FakePeer) -> None:
    def write(stub: ChaincodeStub) -> None:
        stub.put_state("a", b"1")
        stub.delete_state("a")
        stub.put_state("a", b"2")
        stub.put_state("b", b"1")
        stub.delete_state("b")

    run(write)
    assert peer.state == {("", "a"): b"2"}


def test_a_failed_transaction_leaves_nothing(run: Run, peer: FakePeer) -> None:
    def write_and_refuse(stub: ChaincodeStub) -> None:
        stub.put_state("key", b"value")
        raise ChaincodeError("[NO] not today", 409)

    with pytest.raises(ChaincodeError, match=r"^\[NO\] not today$") as refusal:
        run(write_and_refuse)
    assert refusal.value.status == 409
    assert peer.state == {}


def test_several_values_at_once(run: Run) -> None:
    run(put_all({f"k{i}": str(i).encode() for i in range(5)}))
    read = run(lambda stub: stub.get_multiple_states(["k3", "none", "k0", "k4", "k1"]))
    assert read == ["3", "", "0", "4", "1"]


def test_a_range_goes_over_all_pages_in_byte_order(run: Run) -> None:
    keys = ["a", "b", "é", "z", "\U0001f600", "ab", "B", "0"]
    run(put_all(dict.fromkeys(keys, b"v")))
    everything = run(lambda stub: [key for key, _ in stub.get_state_by_range("", "")])
    assert everything == sorted(keys)
    assert run(lambda stub: [key for key, _ in stub.get_state_by_range("a", "b")]) == ["a", "ab"]


def test_a_range_of_simple_keys_holds_no_composite_ones(run: Run) -> None:
    def put(stub: ChaincodeStub) -> None:
        stub.put_state("simple", b"1")
        stub.put_state(stub.create_composite_key("type", ["x"]), b"2")

    run(put)
    assert run(lambda stub: [key for key, _ in stub.get_state_by_range("", "")]) == ["simple"]


def test_a_partial_composite_key_gives_its_own_and_no_neighbours(run: Run) -> None:
    def put(stub: ChaincodeStub) -> None:
        for parts in (["t1", "r1"], ["t1", "r2"], ["t10", "r1"], ["t1"], ["t1", "r1", "m"]):
            stub.put_state(stub.create_composite_key("sub", parts), b"1")

    run(put)

    def read(stub: ChaincodeStub) -> list[list[str]]:
        found = stub.get_state_by_partial_composite_key("sub", ["t1"])
        return [stub.split_composite_key(key)[1] for key, _ in found]

    assert run(read) == [["t1"], ["t1", "r1"], ["t1", "r1", "m"], ["t1", "r2"]]


def test_pages_join_up_to_the_whole_range(run: Run) -> None:
    run(put_all({f"k{i:02}": str(i).encode() for i in range(11)}))
    bookmark, seen = "", []
    while True:
        at = bookmark
        page, bookmark = run(lambda stub, at=at: stub.get_state_by_range_with_pagination("", "", 4, at))
        assert len(page) <= 4
        seen += [key for key, _ in page]
        if not bookmark:
            break
    assert seen == [f"k{i:02}" for i in range(11)]


def test_composite_keys_are_paged_too(run: Run) -> None:
    def put(stub: ChaincodeStub) -> None:
        for i in range(5):
            stub.put_state(stub.create_composite_key("t", ["x", str(i)]), b"1")
        stub.put_state(stub.create_composite_key("u", ["x", "9"]), b"1")

    run(put)
    page, bookmark = run(
        lambda stub: stub.get_state_by_partial_composite_key_with_pagination("t", ["x"], 3, "")
    )
    rest, end = run(
        lambda stub: stub.get_state_by_partial_composite_key_with_pagination("t", ["x"], 3, bookmark)
    )
    assert (len(page), len(rest), end) == (3, 2, "")


def test_a_bookmark_from_outside_the_range_is_refused(run: Run) -> None:
    run(put_all({"a": b"1", "m": b"2", "z": b"3"}))
    for bookmark in ("a", "z", "\x00secret\x00"):
        with pytest.raises(ChaincodeError, match="outside the range"):
            run(lambda stub, at=bookmark: stub.get_state_by_range_with_pagination("m", "n", 1, at))


@pytest.mark.parametrize("page_size", [0, -1, 2**31])
def test_a_page_size_out_of_range_is_refused(run: Run, page_size: int) -> None:
    with pytest.raises(ChaincodeError, match=f"page size {page_size} is out of range"):
        run(lambda stub: stub.get_state_by_range_with_pagination("", "", page_size, ""))


def test_a_transaction_that_pages_may_not_write(run: Run, peer: FakePeer) -> None:
    def page_and_write(stub: ChaincodeStub) -> None:
        stub.get_state_by_range_with_pagination("", "", 1, "")
        stub.put_state("key", b"value")

    with pytest.raises(ChaincodeError, match="Writes are not allowed"):
        run(page_and_write)
    assert peer.state == {}


def test_a_query_left_open_is_closed_and_one_read_to_its_end_is_not(run: Run, peer: FakePeer) -> None:
    run(put_all({f"k{i}": b"1" for i in range(7)}))

    def read_one(stub: ChaincodeStub) -> str:
        return next(stub.get_state_by_range("", ""))[0]

    assert run(read_one) == "k0"
    txid = list(peer.simulations)[-1]
    assert peer.requests_of(txid) == ["GET_STATE_BY_RANGE", "QUERY_STATE_CLOSE"]
    assert peer.simulations[txid].queries == {}
    run(lambda stub: list(stub.get_state_by_range("", "")))
    assert peer.requests_of(list(peer.simulations)[-1]) == [
        "GET_STATE_BY_RANGE",
        "QUERY_STATE_NEXT",
        "QUERY_STATE_NEXT",
    ]


def test_history_is_newest_first_with_times_and_deletions(run: Run) -> None:
    for i in range(4):
        run(put_all({"key": str(i).encode()}))
    run(lambda stub: stub.delete_state("key"))

    def read(stub: ChaincodeStub) -> list[object]:
        entries = stub.get_history_for_key("key")
        return [[entry.value, entry.is_delete, entry.timestamp_ms] for entry in entries]

    moment = 1_700_000_000_123
    deleted, *values = run(read)
    assert deleted == ["", True, moment]
    assert values == [[str(i), False, moment] for i in (3, 2, 1, 0)]


def test_a_key_keeps_the_policy_it_was_given(run: Run, peer: FakePeer) -> None:
    policy = policy_bytes(SignedBy("Org1MSP"))
    assert run(lambda stub: len(stub.get_state_validation_parameter("key"))) == 0
    run(lambda stub: stub.set_state_validation_parameter("key", policy))
    assert peer.policies == {("", "key"): policy}
    assert run(lambda stub: stub.get_state_validation_parameter("key") == policy) is True


def test_private_data_stays_in_its_collection(run: Run, peer: FakePeer) -> None:
    def put(stub: ChaincodeStub) -> None:
        stub.put_private_data("coll", "a", b"secret")
        stub.put_private_data("coll", "b", b"x")
        stub.put_private_data("coll", stub.create_composite_key("t", ["1"]), b"y")
        stub.set_private_data_validation_parameter("coll", "a", b"policy")

    run(put)
    assert set(peer.state) == {("coll", "a"), ("coll", "b"), ("coll", "\x00t\x001\x00")}
    assert run(lambda stub: stub.get_private_data("coll", "a")) == "secret"
    assert run(lambda stub: stub.get_state("a")) == ""
    assert run(lambda stub: len(stub.get_private_data_hash("coll", "a"))) == 32
    assert run(lambda stub: stub.get_private_data_validation_parameter("coll", "a")) == "policy"
    assert run(lambda stub: list(stub.get_private_data_by_range("coll", "a", "b"))) == [["a", "secret"]]
    found = run(lambda stub: [v for _, v in stub.get_private_data_by_partial_composite_key("coll", "t", [])])
    assert found == ["y"]
    run(lambda stub: stub.delete_private_data("coll", "a"))
    run(lambda stub: stub.purge_private_data("coll", "b"))
    assert set(peer.state) == {("coll", "\x00t\x001\x00")}


def test_another_chaincodes_answer_comes_back_whole(run: Run, peer: FakePeer) -> None:
    def other(args: object) -> Message:
        assert args == [b"f", b"x"]
        response = proposal_response_pb2.Response(status=404, message="no", payload=b"p")
        return Message(type=Message.COMPLETED, payload=response.SerializeToString())

    peer.chaincodes = {"other": other, "other/far": other, "broken": lambda _: Message(type=Message.ERROR)}

    def invoke(channel: str) -> Callable[[ChaincodeStub], object]:
        def read(stub: ChaincodeStub) -> object:
            response = stub.invoke_chaincode("other", [b"f", b"x"], channel)
            return [response.status, response.message, response.payload]

        return read

    assert run(invoke("")) == [404, "no", "p"]
    assert run(invoke("far")) == [404, "no", "p"]
    with pytest.raises(ChaincodeError, match="chaincode gone not found"):
        run(lambda stub: stub.invoke_chaincode("gone", []).status)
    with pytest.raises(ChaincodeError, match="chaincode broken did not complete"):
        run(lambda stub: stub.invoke_chaincode("broken", []).status)


def test_the_peers_refusal_is_raised_where_it_happens(run: Run) -> None:
    caught: list[PeerError] = []

    def query(stub: ChaincodeStub) -> str:
        try:
            list(stub.get_query_result("{}"))
        except PeerError as error:
            caught.append(error)
        return "went on"

    assert run(query) == "went on"
    assert "not supported for leveldb" in str(caught[0])
    with pytest.raises(ChaincodeError, match="not supported for leveldb"):
        run(lambda stub: stub.get_query_result_with_pagination("{}", 1, ""))
    with pytest.raises(ChaincodeError, match="not supported for leveldb"):
        run(lambda stub: list(stub.get_private_data_query_result("coll", "{}")))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda stub: stub.get_state(""),
        lambda stub: stub.put_state("", b"1"),
        lambda stub: stub.put_state("key", b""),
        lambda stub: stub.put_state("\ud800", b"1"),
        lambda stub: stub.delete_state(""),
        lambda stub: stub.get_state_by_range("\x00a", ""),
        lambda stub: stub.get_state_by_range("", "\x00b"),
        lambda stub: stub.create_composite_key("", ["a"]),
        lambda stub: stub.create_composite_key("t", ["a\x00"]),
        lambda stub: stub.split_composite_key("simple"),
        lambda stub: stub.get_private_data("", "key"),
        lambda stub: stub.put_private_data("", "key", b"1"),
        lambda stub: stub.set_event("", b""),
        lambda stub: stub.get_history_for_key(""),
        lambda stub: stub.get_multiple_states(["a", ""]),
    ],
)
def test_what_fabric_cannot_take_is_refused_before_the_peer_is_asked(
    run: Run, peer: FakePeer, wrong: Callable[[ChaincodeStub], object]
) -> None:
    kinds: list[type[Exception]] = []

    def attempt(stub: ChaincodeStub) -> None:
        try:
            wrong(stub)
        except ChaincodeError as error:
            kinds.append(type(error))
            raise

    with pytest.raises(ChaincodeError):
        run(attempt)
    assert kinds == [InvalidArgumentError]
    assert set(peer.requests_of(list(peer.simulations)[-1])) <= {"GET_STATE"}


def test_writes_go_in_batches_where_the_peer_takes_them(
    start: Callable[..., str], dial: Callable[..., FakePeer]
) -> None:
    def write(stub: ChaincodeStub) -> Response:
        put_all({f"k{i}": b"1" for i in range(10)})(stub)
        return Response()

    address = start({"write": write})
    batching, simple = dial(address, offer=BATCHES).wait_ready(), dial(address).wait_ready()
    for peer in (batching, simple):
        assert peer.transact("write").status == 200
    assert batching.requests_of(next(iter(batching.simulations))) == ["WRITE_BATCH_STATE"] * 3
    assert simple.requests_of(next(iter(simple.simulations))) == ["PUT_STATE"] * 10
    assert batching.state == simple.state
