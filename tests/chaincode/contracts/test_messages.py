"""How many messages a transaction exchanges with its peer: each costs far more than the records it asks for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import pytest
from quorumlearn_chaincode.contracts import FUNCTIONS, Market, ledger
from quorumlearn_chaincode.contracts.reads import FIRST_READS, NAMED
from quorumlearn_chaincode.runtime import Response
from quorumlearn_proto.block_pb2 import BallotReason, Phase, Reason
from quorumlearn_proto.protocol import CARRIED
from quorumlearn_proto.recompute import replays
from quorumlearn_proto.task_pb2 import Exactness, TaskStatus

from tests.chaincode.contracts import ledger_stub, test_endorsers_agree
from tests.chaincode.contracts.ledger_stub import Peer, Simulation, identity
from tests.chaincode.contracts.market_actors import OWNER, TASK, TIMEOUT_S, Play, spec
from tests.chaincode.contracts.recompute_actors import RecomputePlay, recompute, recompute_spec

SEATS = (1, 2, 3)
MOST = {
    "rewards:Account": 3,
    "tasks:Get": 2,
    "tasks:Join": 4,
    "tasks:List": 4,
    "blocks:View": 5,
    "blocks:CommitKey": 4,
    "blocks:RevealKey": 4,
    "blocks:TestKey": 4,
    "blocks:ConfirmKey": 4,
    "blocks:Commit": 3,
    "blocks:RevealBeacon": 4,
    "blocks:Reveal": 3,
    "blocks:OpenTrace": 3,
    "blocks:PostReplay": 4,
    "blocks:PostSketch": 4,
    "blocks:VoteSelection": 4,
    "blocks:PostPartial": 4,
    "blocks:VoteBlock": 4,
    "blocks:CommitKey moves": 4,
    "blocks:RevealKey moves": 4,
    "blocks:TestKey moves": 4,
    "blocks:ConfirmKey moves": 6,  # opens the next ceremony: the seats, their stakes
    "blocks:RevealBeacon moves": 4,
    "blocks:PostReplay moves": 4,
    "blocks:PostSketch moves": 4,
    "blocks:VoteSelection moves": 5,  # slashes: stakes, the treasury
    "blocks:PostPartial moves": 5,  # draws the proposers: the miners' work
    "blocks:Propose moves": 3,
    "blocks:Advance starts": 9,
    "blocks:Advance moves": 7,
    "blocks:ShowBallots pays": 8,  # at a task's end gives everything back
    "blocks:Advance pays": 10,
}
"""Its reads, one message for all that it writes, and its answer."""


class Counted(RecomputePlay):
    """A task of ten miners and three seats. Keeps the most messages that anyone's call took; a view follows each."""

    def __init__(self) -> None:
        self.most: dict[str, int] = {}
        super().__init__(miner_count=10)

    def send(self, who: str, *words: str, timestamp_ms: int | None = None) -> Response:
        if self.pending and FUNCTIONS[words[0]].of_seats:
            words = (*words, "pending")
        simulation = self.peer.endorse(identity(who), *words, timestamp_ms=timestamp_ms)
        response = self.peer.commit(simulation)
        self._count(words[0], simulation)
        if words[0].startswith(("tasks:", "blocks:")):
            self.count("blocks:View", TASK)
        return response

    def count(self, *words: str) -> None:
        self._count(words[0], self.peer.endorse(identity(OWNER), *words))

    def _count(self, name: str, simulation: Simulation) -> None:
        written = {key.split("\x00")[1] for key in simulation.writes}
        kinds = {"block": " pays", "state": " starts", "round": " moves", "ceremony": " moves"}
        what = next((what for table, what in kinds.items() if table in written), "")
        self.most[name + what] = max(self.most.get(name + what, 0), simulation.messages.total())

    def seats_act(self, act: Callable[[int], object], by_advance: bool) -> None:
        """The last seat closes the step, or anyone."""
        for seat in SEATS:
            self.pending = by_advance or seat != SEATS[-1]
            act(seat)
        self.pending = False
        if by_advance:
            self.advance()

    def counted_round(self, by_advance: bool) -> None:
        number = self.round().number
        for function in CARRIED:
            self.seats_act(partial(self.key_step, function, number=number), by_advance)
        self.commit()
        self.advance()
        self.seats_act(lambda seat: self.beacon([seat]), by_advance)
        self.reveal()
        self.advance()
        if replays(self.asked):
            self.trace()
            self.advance()
            self.seats_act(lambda seat: self.replay([seat]), by_advance)
        self.seats_act(lambda seat: self.sketch([seat]), by_advance)
        chosen = self.selection(dict.fromkeys(self.miners[:8], 1), Reason.OUTLIER)
        self.seats_act(lambda seat: self.select(chosen, [seat]), by_advance)
        self.seats_act(lambda seat: self.open([seat]), by_advance)
        self.propose()
        self.vote()


def messages_of_a_deadline_that_pays() -> int:
    play = Counted()
    play.start(spec(max_miners=8, min_miners=5, rounds=1))
    play.to(Phase.VALIDATE)
    play.vote({1: BallotReason.GOOD, 2: BallotReason.GOOD})
    play.wait(TIMEOUT_S / 2)
    play.show(1)
    play.wait(TIMEOUT_S / 2)
    play.advance()
    return play.most["blocks:Advance pays"]


def test_no_function_takes_more_messages_than_it_needs() -> None:
    most: dict[str, int] = {}
    replayed = recompute_spec(recompute(exactness=Exactness.PROFILE), max_miners=10, min_miners=5)
    for by_advance, task in product((False, True), (spec(max_miners=10, min_miners=5), replayed)):
        play = Counted()
        play.start(task)
        for _ in range(2):
            play.counted_round(by_advance)
        assert play.state().status == TaskStatus.COMPLETED
        for words in (("rewards:Account", OWNER), ("tasks:Get", TASK), ("tasks:List", "10", "")):
            play.count(*words)
        if replays(task):  # the seats' profiles stand with their keys, of the attempt that the ceremony names
            for name in ("blocks:VoteSelection", "blocks:VoteSelection moves"):
                play.most[name] = play.most.get(name, 1) - 1
        most = {name: max(most.get(name, 0), play.most.get(name, 0)) for name in most | play.most}
    most["blocks:Advance pays"] = messages_of_a_deadline_that_pays()
    assert {name: count for name, count in most.items() if count > MOST.get(name, 99)} == {}
    assert MOST.keys() <= most.keys()


@pytest.mark.parametrize("phase", [Phase.BEACON, Phase.SCREEN, Phase.SELECT, Phase.OPEN, Phase.VALIDATE])
def test_a_seat_that_knows_of_others_reads_nothing_of_theirs(
    phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play()
    play.start()
    play.to(phase)
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr(play, "send", lambda who, *words: sent.append(words))
    {
        Phase.BEACON: lambda: play.beacon([2]),
        Phase.SCREEN: lambda: play.sketch([2]),
        Phase.SELECT: lambda: play.select(seats=[2]),
        Phase.OPEN: lambda: play.open([2]),
        Phase.VALIDATE: lambda: play.vote({2: BallotReason.GOOD}),
    }[phase]()
    simulation = play.peer.endorse(identity(play.seats[2]), *sent[0], "pending")
    keys = [key.split("\x00")[1:-1] for key in simulation.reads]
    theirs = {"seat", "contribution", "screening", "ballot"}
    assert {key[-1] for key in keys if key[0] in theirs} == {"00002"}
    assert not simulation.ranges
    assert "miner" not in {key[0] for key in keys}


def test_a_query_asks_at_once_for_what_it_read_last_time() -> None:
    play = Play()
    play.start()
    play.to(Phase.SELECT)
    first, again, other = (
        play.peer.endorse(identity(OWNER), *words)
        for words in (("blocks:View", TASK), ("blocks:View", TASK), ("blocks:RoundView", TASK, "1"))
    )
    assert again.messages == {"GET_STATE_MULTIPLE": 1, "GET_STATE_BY_RANGE": 1, "COMPLETED": 1}
    assert again.messages.total() < min(first.messages.total(), other.messages.total())
    assert again.response.payload == first.response.payload
    play.select()
    moved = play.peer.endorse(identity(OWNER), "blocks:View", TASK)
    assert {key.split("\x00")[1] for key in moved.reads} >= {"screening", "submission", "round", "task"}
    assert moved.response.payload != first.response.payload


def test_a_view_by_keys_is_the_view_by_ranges_and_that_of_a_peer_asked_for_the_first_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over a failed key, an accused seat and a changed committee."""
    compared = 0

    def commit(peer: Peer, simulation: Simulation) -> Response:
        nonlocal compared
        response = committed(peer, simulation)
        if peer.keys(f"\x00task\x00{TASK}\x00", f"\x00task\x00{TASK}\x01"):
            by_keys = views(peer)
            with monkeypatch.context() as patched:
                patched.setattr(ledger, "BY_KEY", 0)
                assert views(peer) == by_keys
                patched.setattr(peer, "market", Market(clock_ms=lambda: peer.clock_ms))
                assert views(peer) == by_keys
            compared += len(by_keys)
        return response

    def views(peer: Peer) -> list[bytes]:
        rounds = len(peer.keys(f"\x00round\x00{TASK}\x00", f"\x00round\x00{TASK}\x01"))
        earlier = [("blocks:RoundView", TASK, str(number)) for number in range(1, rounds + 1)]
        return [peer.evaluate(identity(OWNER), *words) for words in (("blocks:View", TASK), *earlier)]

    committed = ledger_stub.Peer.commit
    monkeypatch.setattr(ledger_stub.Peer, "commit", commit)
    test_endorsers_agree.played()
    assert compared > 200


def test_the_table_of_first_reads_names_functions_and_what_their_arguments_name() -> None:
    assert FIRST_READS.keys() <= FUNCTIONS.keys()
    for name, places in FIRST_READS.items():
        named = {"actor"} | {NAMED[one][0] for one in FUNCTIONS[name].parameters if one in NAMED}
        assert all(set(attributes) <= named for _, *attributes in places)
    for function in FUNCTIONS.values():
        assert function.name in FIRST_READS or "task" not in function.parameters
