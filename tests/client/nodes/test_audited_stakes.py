"""An audit computes each slash, absence and payment again: honest ledgers of every kind of penalty hold, and whatever a rogue contract
has moved is found, with whose it is and how much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from google.protobuf.message import Message
from quorumlearn import ckks
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.audit.checks import STAKES, Result, stakes
from quorumlearn.nodes.audit.faults import judged_again
from quorumlearn.nodes.audit.records import read
from quorumlearn.nodes.audit.slashes import What
from quorumlearn.nodes.market import Market
from quorumlearn_chaincode.contracts import tables
from quorumlearn_chaincode.contracts.tables import Table
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto.penalties import FAULTS, MINERS, PROPOSERS, Cost, fault_penalty
from quorumlearn_proto.protocol import ACCUSED
from quorumlearn_proto.reward_pb2 import Movement, MovementKind, Receipt
from quorumlearn_proto.task_pb2 import Recompute, TaskStatus
from quorumlearn_proto.work import OF_WORK

from tests.chaincode.contracts.audited import OnPeer, found
from tests.chaincode.contracts.ledger_stub import MemoryStub, Simulation, identity
from tests.chaincode.contracts.market_actors import OWNER, TASK, TIMEOUT_S, Play, spec
from tests.chaincode.contracts.recompute_actors import RecomputePlay, recompute, recompute_spec

M = TypeVar("M", bound=Message)


def started(rounds: int = 3, asked: Recompute | None = None) -> RecomputePlay:
    """A task whose trainings are replayed, if anything is asked for that."""
    play = RecomputePlay()
    play.start(spec(rounds=rounds) if asked is None else recompute_spec(asked, rounds=rounds))
    return play


def go_to(play: Play, phase: b.Phase) -> None:
    """With the next round's key made, so that nobody misses a step of it."""
    if play.round().phase in (b.KEY, b.COMMIT):
        play.to(b.COMMIT)
        ahead = play.view().ceremonies[1:]
        if ahead and ahead[0].step == b.KEY_COMMIT:
            play.ceremony(ahead[0].round, list(ahead[0].seats))
    play.to(phase)


def late(play: Play) -> None:
    """Whatever is due, once the phase's time is over."""
    play.wait(TIMEOUT_S)
    play.advance()


def to_the_end(play: Play) -> None:
    while play.state().status == TaskStatus.RUNNING:
        go_to(play, b.VALIDATE)
        play.vote()


def assert_well(play: Play, slashed: int) -> None:
    """As the round's are, and once the task has ended; `slashed` in all."""
    assert [str(one) for one in found(play.peer, TASK)] == []
    to_the_end(play)
    assert [str(one) for one in found(play.peer, TASK)] == []
    assert sum(play.stake(who).slashed for who in (*play.miners, *play.seats.values())) == slashed


# Honest ledgers


@pytest.mark.parametrize("reason", MINERS, ids=b.Reason.Name)
def test_what_a_verdict_costs_is_found_due(reason: b.Reason) -> None:
    asked = recompute(replicas=2 if reason == b.REPLICA else 1) if reason in OF_WORK else None
    play, twice = started(asked=asked), (b.ABSENT, b.WITHHELD)
    for _ in range(2 if reason in twice else 1):
        _, *others = play.round().miners
        go_to(play, b.COMMIT)
        if reason in twice:
            play.commit(others if reason == b.ABSENT else None)
            late(play)
            play.beacon()
            play.reveal(others)
            late(play)
        if reason == b.NO_TRACE:
            go_to(play, b.TRACE)
            play.trace(others)
            late(play)
        go_to(play, b.SELECT)
        judged = reason not in (b.CONTRIBUTES, b.REPLICA, b.NO_TRACE, *twice)
        assert judged or reason in {one.reason for one in play.selection().verdicts}
        play.select(play.selection(dict.fromkeys(others, 1), reason) if judged else None)
        go_to(play, b.VALIDATE)
        play.vote()
    costs = MINERS[reason].cost in (Cost.STAKE, Cost.WITHHOLDING)
    assert_well(play, 40 if costs else 0)


@pytest.mark.parametrize("fault", FAULTS, ids=b.Fault.Name)
def test_what_a_fault_of_a_seat_costs_is_found_due(fault: b.Fault) -> None:
    play = started(asked=recompute() if fault == b.FALSE_REPLAY else None)
    cost = FAULTS[fault].cost
    if fault == b.MISSED_STEP:
        for _ in range(2):
            go_to(play, b.SCREEN)
            play.sketch([1, 2])
            late(play)
            go_to(play, b.VALIDATE)
            play.vote()
    elif fault == b.FALSE_VOTE:
        go_to(play, b.OPEN)
        play.open([1, 2])
        play.open([3], "another")
    elif phase := next((phase for phase, faults in ACCUSED.items() if fault in faults), None):
        go_to(play, phase)
        for seat in (1, 2):
            play.accuse(seat, 3, fault)
    else:
        failed_key(play, fault)
    go_to(play, b.VALIDATE)
    play.vote()
    assert_well(play, 50 if cost in (Cost.STAKE, Cost.SECOND) else 0)


def failed_key(play: Play, fault: b.Fault) -> None:
    """Seat 3 confirms another key than the others, or complains; all blame it."""
    for function in ("CommitKey", "RevealKey", "TestKey", "ConfirmKey", "OpenKey"):
        for seat in play.seats:
            if function == "ConfirmKey" and seat == 3 and fault == b.UNFOUNDED_COMPLAINT:
                play.complain(function, seat)
            else:
                play.key_step(function, seat, 1, key="lie" if seat == 3 else "key")
    for seat in play.seats:
        play.blame(seat, {3: fault})


@pytest.mark.parametrize("phase", [b.BEACON, b.SELECT, b.OPEN, b.VALIDATE], ids=b.Phase.Name)
def test_a_seat_that_misses_twice_on_end_is_found_due_a_slash_whatever_the_phase(phase: b.Phase) -> None:
    play = started()
    act = {b.BEACON: play.beacon, b.SELECT: lambda seats: play.select(None, seats), b.OPEN: play.open}
    for _ in range(2):
        go_to(play, phase)
        if phase == b.VALIDATE:
            play.vote(dict.fromkeys((1, 2), b.GOOD))
            play.wait(TIMEOUT_S // 2 + 1)
            play.show(1)
        else:
            act[phase]([1, 2])
        late(play)
        to_round_end(play)
    assert_well(play, 50)


def to_round_end(play: Play) -> None:
    if play.round().phase not in (b.KEY, b.COMMIT):
        go_to(play, b.VALIDATE)
        play.vote()


def test_a_seat_that_misses_a_step_of_two_keys_on_end_is_found_due_a_slash() -> None:
    play = started()
    for number in (1, 2):
        for seat in (1, 2):
            play.key_step("CommitKey", seat, number)
        late(play)
        for function in ("RevealKey", "TestKey", "ConfirmKey"):
            for seat in (1, 2):
                play.key_step(function, seat, number)
    assert [one.slashed for one in play.misconducts()] == [0, 50]
    assert found(play.peer, TASK) == []


@pytest.mark.parametrize("reason", PROPOSERS, ids=b.BallotReason.Name)
def test_what_ballots_cost_a_proposer_is_found_due(reason: b.BallotReason) -> None:
    """With seat 3 against the others, on the first candidate."""
    play = started()
    go_to(play, b.VALIDATE)
    play.vote({1: reason, 2: reason, 3: b.WRONG_MODEL if reason != b.WRONG_MODEL else b.GOOD})
    false = reason != b.UNAVAILABLE
    slashed = 40 if PROPOSERS[reason].cost is Cost.STAKE else 0
    assert_well(play, slashed + 50 * false)


def test_challenges_lost_open_and_won_are_found_due() -> None:
    play = started()
    for _ in range(2):
        go_to(play, b.VALIDATE)
        play.vote()
    for height, reason in ((1, b.GOOD), (2, b.WRONG_MODEL)):
        play.send(OWNER, "blocks:Challenge", TASK, str(height), "why")
        assert found(play.peer, TASK) == []
        ballot = canonical.to_json(play.ballot(reason, play.block(height).core.model.digest)).decode()
        for seat in (1, 2):
            play.send(play.seats[seat], "blocks:VoteChallenge", TASK, str(height), ballot)
    assert_well(play, 0)


def test_who_leaves_and_a_task_that_is_cancelled_are_found_due() -> None:
    play = started()
    go_to(play, b.OPEN)
    play.send(play.miners[0], "tasks:Leave", TASK)
    play.send(play.seats[3], "tasks:LeaveCommittee", TASK)
    play.send(OWNER, "tasks:Cancel", TASK)
    assert_well(play, 0)
    assert play.state().status == TaskStatus.CANCELLED


# What a rogue contract has written


class Rogue:
    """A contract of which nothing is asked but to write, by the stub that any contract has."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.simulation = Simulation("f" * 64, play.peer.clock_ms)
        self.stub = MemoryStub(play.peer, identity("RogueMSP/eve"), ["rogue:Take"], self.simulation)

    def write(self, table: Table[M], record: M, *key: str | int) -> None:
        self.stub.put_state(
            self.stub.create_composite_key(table.name, tables.key_parts(key)), canonical.to_json(record)
        )

    def rewrite(self, table: Table[M], change: Callable[[M], None], *key: str | int) -> None:
        place = self.stub.create_composite_key(table.name, tables.key_parts(key))
        record = canonical.from_json(table.kind, self.stub.get_state(place))
        change(record)
        self.stub.put_state(place, canonical.to_json(record))

    def slash(self, who: str, tokens: int) -> None:
        def taken(stake: Message) -> None:
            stake.amount -= tokens  # type: ignore[attr-defined]
            stake.slashed += tokens  # type: ignore[attr-defined]

        self.rewrite(tables.STAKES, taken, TASK, who)

    def misconduct(self, fault: b.Fault, step: str, slashed: int) -> None:
        """Of seat 3 in round 1."""
        who = self.play.seats[3]
        said = b.Misconduct(task_id=TASK, round=1, seat=3, verifier=who, fault=fault, step=step)
        said.slashed, said.at_ms = slashed, self.play.peer.clock_ms
        self.write(tables.MISCONDUCTS, said, TASK, 1, 0, 3, int(fault))
        if slashed:
            self.slash(who, slashed)


def slashes_a_miner(rogue: Rogue) -> None:
    rogue.slash(rogue.play.miners[0], 40)


def slashes_for_a_vote_in_select(rogue: Rogue) -> None:
    rogue.misconduct(b.FALSE_VOTE, "SELECT", 50)


def slashes_for_a_first_miss(rogue: Rogue) -> None:
    rogue.misconduct(b.MISSED_STEP, "SCREEN", 50)


def slashes_more_than_the_task_says(rogue: Rogue) -> None:
    rogue.misconduct(b.BAD_PARTIAL, "PROPOSE", 120)


def spares_a_seat(rogue: Rogue) -> None:
    rogue.misconduct(b.BAD_PARTIAL, "PROPOSE", 0)


def takes_a_stake(rogue: Rogue) -> None:
    rogue.rewrite(tables.STAKES, lambda stake: stake.ClearField("amount"), TASK, rogue.play.miners[1])


def invents_an_absence(rogue: Rogue) -> None:
    rogue.rewrite(tables.ROUNDS, lambda one: one.absentees.append(rogue.play.miners[2]), TASK, 1)


def removes_a_seat(rogue: Rogue) -> None:
    rogue.rewrite(tables.ROUNDS, lambda one: one.seats.remove(3), TASK, 1)


def pays_itself(rogue: Rogue) -> None:
    who = rogue.play.miners[0]
    move = Movement(kind=MovementKind.PAYOUT, amount=70, task_id=TASK, round=1)
    rogue.write(tables.RECEIPTS, Receipt(account_id=who, tx_id="f" * 64, movements=[move]), who, "f" * 64)


def empties_the_escrow(rogue: Rogue) -> None:
    def taken(escrow: Message) -> None:
        escrow.amount -= 100  # type: ignore[attr-defined]
        escrow.refunded += 100  # type: ignore[attr-defined]

    rogue.rewrite(tables.ESCROWS, taken, TASK)


FIRST, SECOND, THIRD, SEAT = "M2MSP/miner01", "M1MSP/miner02", "M2MSP/miner03", "V3MSP/vera"
FORGED: dict[Callable[[Rogue], None], tuple[int, What, str, int, int]] = {
    slashes_a_miner: (0, What.SLASH, FIRST, 40, 0),
    slashes_for_a_vote_in_select: (1, What.SLASH, SEAT, 50, 0),
    slashes_for_a_first_miss: (1, What.SLASH, SEAT, 50, 0),
    slashes_more_than_the_task_says: (1, What.SLASH, SEAT, 120, 50),
    spares_a_seat: (1, What.SLASH, SEAT, 0, 50),
    takes_a_stake: (0, What.STAKE, SECOND, 0, 100),
    invents_an_absence: (1, What.ABSENCE, THIRD, 1, 0),
    removes_a_seat: (1, What.FAULT, SEAT, 0, 1),
    pays_itself: (1, What.PAY, FIRST, 245, 175),
    empties_the_escrow: (0, What.ESCROW, OWNER, 100, 0),
}
"""What a rogue does after an honest round, and what is found: round, what, whose, recorded and due."""


@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__)
def test_whatever_a_rogue_contract_has_moved_is_found(forge: Callable[[Rogue], None]) -> None:
    play = started()
    go_to(play, b.VALIDATE)
    play.vote()
    assert found(play.peer, TASK) == []
    rogue = Rogue(play)
    forge(rogue)
    play.peer.commit(rogue.simulation)
    record = read(Market(OnPeer(play.peer)), TASK)
    named = [(one.round, one.what, one.who, one.recorded, one.due) for one in found(play.peer, TASK)]
    assert FORGED[forge] in named
    checks = list(stakes(record))
    assert {one.what for one in checks} == {STAKES}
    assert all(one.result is Result.VIOLATION for one in checks)
    assert any(FORGED[forge][2] in one.detail and one.round == FORGED[forge][0] for one in checks)


def test_a_ledger_that_moved_on_while_it_was_read_is_not_judged() -> None:
    play = started()
    record = read(Market(OnPeer(play.peer)), TASK)
    assert [one.result for one in stakes(record)] == [Result.OK]
    moved = replace(record, money=replace(record.money, settled=False))
    assert [one.result for one in stakes(moved)] == [Result.UNKNOWN]


def test_a_vote_in_select_costs_no_stake() -> None:
    assert fault_penalty(b.FALSE_VOTE, "SELECT").cost is Cost.PAY
    play = started()
    go_to(play, b.SELECT)
    play.select(seats=[1, 2])
    play.select(play.selection(dict.fromkeys(play.miners[:3], 1)), [3])
    assert [(one.fault, one.slashed) for one in play.misconducts()] == [(b.FALSE_VOTE, 0)]
    assert_well(play, 0)


def test_faults_on_an_earlier_candidate_are_judged_by_its_ballots(tmp_path: Path) -> None:
    """Seat 3 finds the first candidate good, against t; no seat misses it. Of the second the votes say nothing of that."""
    play = started()
    go_to(play, b.VALIDATE)
    play.wait(1)
    play.vote({1: b.WRONG_MODEL, 2: b.WRONG_MODEL, 3: b.GOOD})
    go_to(play, b.VALIDATE)
    record = read(Market(OnPeer(play.peer)), TASK)
    (fault,), store = record.misconducts, ArtifactStore(str(tmp_path))
    assert (fault.fault, fault.seat, fault.step) == (b.FALSE_VOTE, 3, "VALIDATE")
    turns = [record.ballots[1, turn] for turn in range(2)]
    parameters = ckks.Parameters.named("default", 100, seats=3, threshold=2, max_weight_sum=8)

    def judged(one: b.Misconduct) -> bool | None:
        return judged_again(parameters, store, record.views[0], {}, one, turns).holds

    assert judged(fault) is True
    for seat, kind in ((1, b.FALSE_VOTE), (3, b.MISSED_STEP), (1, b.MISSED_STEP)):
        forged = b.Misconduct()
        forged.CopyFrom(fault)
        forged.seat, forged.fault = seat, kind
        assert judged(forged) is False


def test_a_ballot_that_was_fixed_and_not_shown_is_a_missed_step_when_it_is_judged_again(
    tmp_path: Path,
) -> None:
    play = started()
    go_to(play, b.VALIDATE)
    for seat in (1, 2, 3):
        play.cast(seat, play.ballot())
    play.show(1, of=(1, 2))
    late(play)
    (fault,) = play.misconducts()
    assert (fault.seat, fault.fault, fault.step) == (3, b.MISSED_STEP, "VALIDATE")
    record = read(Market(OnPeer(play.peer)), TASK)
    parameters = ckks.Parameters.named("default", 100, seats=3, threshold=2, max_weight_sum=8)
    store = ArtifactStore(str(tmp_path / "store"), create=True)
    judged = judged_again(parameters, store, record.views[0], {}, fault, [record.ballots[1, 0]])
    assert judged.holds is True
    assert found(play.peer, TASK) == []
