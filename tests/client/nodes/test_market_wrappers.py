"""The typed client speaks the contracts' functions: each by its name, with its arguments in their number."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from google.protobuf.message import Message
from quorumlearn.gateway import EvaluateError
from quorumlearn.nodes.market import CarriedKey, Market, StepOptions
from quorumlearn_chaincode.contracts import FUNCTIONS
from quorumlearn_proto.block_pb2 import (
    Accusation,
    Ballot,
    Ballots,
    Candidate,
    Fault,
    KeyContribution,
    Manifest,
    Phase,
    Selection,
)
from quorumlearn_proto.common_pb2 import SKETCH_DECRYPTION, ArtifactRef, Config
from quorumlearn_proto.task_pb2 import TaskSpec

from tests.chaincode.contracts.ledger_stub import identity
from tests.chaincode.contracts.market_actors import OWNER, TASK, Play

GIVEN: dict[str, object] = {
    "account": "OwnerMSP/olivia",
    "accusation": Accusation(),
    "aggregate": "0" * 64,
    "amount": 5,
    "ballot": Ballot(),
    "ballots": Ballots(),
    "basis": "0" * 64,
    "candidate": Candidate(),
    "ceremony": (TASK, 1, 1),
    "claim": "0" * 64,
    "config": Config(),
    "contribution": KeyContribution(),
    "fixed": ArtifactRef(),
    "function": "OpenKey",
    "height": 1,
    "key": bytes(32),
    "keys": ArtifactRef(),
    "manifest": Manifest(),
    "manifest_digest": "0" * 64,
    "number": 1,
    "opening": ArtifactRef(),
    "partial": ArtifactRef(),
    "reason": "why",
    "report": ArtifactRef(),
    "secret": bytes(32),
    "selection": Selection(),
    "shares": ArtifactRef(),
    "spec": TaskSpec(),
    "task": TASK,
    "turn": 0,
}
METHODS = sorted(name for name in vars(Market) if not name.startswith("_"))


class Recorder:
    """Takes every call; answers with an empty record."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def evaluate(self, function: str, *args: str) -> bytes:
        self.calls.append((function, *args))
        return b""

    submit = evaluate


class OnPeer:
    """A contract on the in-memory peer, for one identity."""

    def __init__(self, play: Play, who: str) -> None:
        self.peer, self.client = play.peer, identity(who)

    def evaluate(self, function: str, *args: str) -> bytes:
        return self.peer.evaluate(self.client, function, *args)

    def submit(self, function: str, *args: str) -> bytes:
        return self.peer.submit(self.client, function, *args).payload


@pytest.mark.parametrize("name", METHODS)
def test_every_method_calls_a_function_of_the_contracts_with_its_arguments(name: str) -> None:
    recorder = Recorder()
    method = getattr(Market(recorder), name)
    parameters = inspect.signature(method).parameters
    wanted = [one for one in parameters if one not in {"pending", "options"}]
    answer = method(*(GIVEN[one] for one in wanted))
    if isinstance(answer, Iterator):
        assert not list(answer)
    ((function, *args),) = recorder.calls
    query = FUNCTIONS[function].query
    assert query == isinstance(answer, Message | Iterator)
    assert len(args) == len(FUNCTIONS[function].parameters) + query
    assert args[-1:] == ["binary"] or not query
    if FUNCTIONS[function].of_seats:
        arguments = [GIVEN[one] for one in wanted]
        method(
            *arguments,
            **({"options": StepOptions(pending=True)} if "options" in parameters else {"pending": True}),
        )
        assert recorder.calls[1] == (function, *args, "pending")
        if "options" in parameters:
            key = CarriedKey("TestKey", 2, KeyContribution(complaint="why"))
            for pending in (False, True):
                method(*arguments, options=StepOptions(pending, key))
            carried = ("TestKey", "2", '{"complaint":"why"}')
            assert recorder.calls[2:] == [(function, *args, *carried), (function, *args, "pending", *carried)]
        assert FUNCTIONS[function].carries == ("options" in parameters)


@pytest.mark.parametrize("name", ["view", "totals", "task", "account"])
def test_what_a_peer_answers_is_the_record_or_a_gateways_error(name: str) -> None:
    play = Play()
    play.start()
    method = getattr(Market(OnPeer(play, OWNER)), name)
    arguments = [{"account": OWNER, "task": TASK}[one] for one in inspect.signature(method).parameters]
    answer = method(*arguments)
    assert answer.ByteSize()

    class Garbled(OnPeer):
        def evaluate(self, function: str, *args: str) -> bytes:
            return super().evaluate(function, *args)[:-1]

    with pytest.raises(EvaluateError, match=f"the peer's answer is no {type(answer).__name__}"):
        getattr(Market(Garbled(play, OWNER)), name)(*arguments)


def test_lists_of_misconducts_and_authorisations_go_over_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorumlearn.nodes.market.PAGE", 1)
    play = Play()
    play.start()
    play.to(Phase.BEACON)
    play.beacon([1, 2])
    play.wait()
    play.advance()
    play.to(Phase.SCREEN)
    market = Market(OnPeer(play, OWNER))
    found = [(one.round, one.seat, one.fault) for one in market.misconducts(TASK)]
    assert found == [(1, 3, Fault.MISSED_STEP), *((2, seat, Fault.MISSED_STEP) for seat in (1, 2, 3))]
    assert [one.purpose for one in market.authorisations(TASK)] == [SKETCH_DECRYPTION]


def test_a_seat_accuses_and_leaves_by_the_client() -> None:
    play = Play()
    play.start()
    play.to(Phase.SELECT)
    for seat in (1, 2):
        market = Market(OnPeer(play, play.seats[seat]))
        market.accuse(TASK, 1, Accusation(seat=3, fault=Fault.BAD_SKETCH_SHARES, detail="it opens to others"))
    assert [one.fault for one in market.misconducts(TASK)] == [Fault.BAD_SKETCH_SHARES]
    market.leave_committee(TASK)
    assert [one.leaves_after for one in market.view(TASK).seats] == [0, 2, 0]
