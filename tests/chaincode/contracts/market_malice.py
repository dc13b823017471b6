"""What the malicious do beside what may happen by chance: an owner that takes the model, a store that shows things to some, clocks that
their clients set. Seats that lie are in test_market_machine, among the moves of the honest.

Of clocks this holds after every move: nobody is late before its time was over by the endorsers' own clock, but for what clocks may take.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from quorumlearn_chaincode.contracts.call import shortened_ms
from quorumlearn_proto.block_pb2 import (
    BallotReason,
    CeremonyStep,
    Complaint,
    Fault,
    KeyContribution,
    Phase,
    Reason,
)
from quorumlearn_proto.protocol import STEPS
from quorumlearn_proto.task_pb2 import TaskSpec, TaskStatus

from tests.chaincode.contracts.market_actors import OWNER, SLACK_MS, TASK, TIMEOUT_S, config, ref
from tests.chaincode.contracts.market_invariants import rows
from tests.chaincode.contracts.recompute_actors import RecomputePlay

SUBSETS = st.sets(st.integers(1, 3))
SHORTEST_S = shortened_ms(config()) // 1000 + 1
SPLITS = ((7000, 2000, 1000), (7000, 2000, 1000), (10_000 - 4000, 4000, 0), (3000, 3000, 4000))
"""Parts of the reward in basis points: miners, verifiers, proposer."""


def greedy(task: TaskSpec, split: tuple[int, int, int], short: str, tolerance: int) -> None:
    """What an owner may write to its own ends: who gets least, which phase is over soonest, and what counts as a fall."""
    task.reward.miners_bp, task.reward.verifiers_bp, task.reward.proposer_bp = split
    task.tolerance_bp = tolerance
    if short:
        setattr(task.timeouts, short, SHORTEST_S)


class Malice(RuleBasedStateMachine):
    """Moves of the malicious, and what they must not come to."""

    play: RecomputePlay

    def __init__(self) -> None:
        super().__init__()
        self.begun: dict[tuple[int, int, str], int] = {}
        self.entered: dict[int, int] = {}
        self.late: set[tuple[int, int, int]] = set()

    @rule(slacks=st.sampled_from([0, 0, 0, 1, 2, -1, -5, -6]))
    def clients_date_their_transactions(self, slacks: int) -> None:
        """From now on, by so many of the Config's slacks off the endorsers' clock."""
        self.play.off_ms = slacks * SLACK_MS

    @rule(behind=st.sampled_from([0, 5]), ahead=st.sampled_from([0, 1]), missing_ms=st.sampled_from([0, 1]))
    def owner_cuts_a_phase_short(self, behind: int, ahead: int, missing_ms: int) -> None:
        """A step begins by a transaction dated behind, and ends by one dated ahead, as soon as the two come to its time, or just before."""
        self.play.off_ms = -behind * SLACK_MS
        self.honest(1)
        round_ = self.play.round()
        if round_.phase in (Phase.PHASE_UNSPECIFIED, Phase.KEY, Phase.ENDED):
            return
        whole_ms = STEPS[Phase.Name(round_.phase)].seconds(self._task().timeouts) * 1000
        self.wait((whole_ms - (behind + ahead) * SLACK_MS - missing_ms) / 1000)
        self.play.off_ms = ahead * SLACK_MS
        self._try(self.play.advance)
        self.play.off_ms = 0

    @rule(posting=SUBSETS, cancels=st.booleans(), proposes=st.booleans())
    def owner_takes_the_model(self, posting: set[int], cancels: bool, proposes: bool) -> None:
        """Some seats post their partial decryptions, the owner ends the task, and whoever is in league with it lets time pass."""
        for _ in range(12):
            if self._phase() == Phase.OPEN:
                break
            self.honest(1)
        number = self.play.state().round
        if self._phase() != Phase.OPEN:
            return
        for seat in sorted(posting):
            self._try(lambda seat=seat: self.play.open([seat]))
        if cancels:
            self._try(lambda: self.play.send(OWNER, "tasks:Cancel", TASK))
        for _ in range(12):
            state = self.play.state()
            if state.status != TaskStatus.RUNNING or state.round != number:
                return
            if proposes and self._phase() == Phase.PROPOSE:
                self._try(self.play.propose)
            self.wait(TIMEOUT_S)
            self._try(self.play.advance)

    @rule(blind=SUBSETS, victim=st.integers(0, 4), dealer=st.integers(1, 3))
    def store_hides(self, blind: set[int], victim: int, dealer: int) -> None:
        """From some seats, what one miner or one other seat has put there; they say so, as they must, and the others do not."""
        play, phase = self.play, self._phase()
        for ceremony in play.view().ceremonies if phase else ():
            if ceremony.step in (CeremonyStep.KEY_TEST, CeremonyStep.KEY_CONFIRM):
                function = "TestKey" if ceremony.step == CeremonyStep.KEY_TEST else "ConfirmKey"
                fault = Fault.BAD_DEALING if function == "TestKey" else Fault.BAD_TEST_PARTIAL
                gone = Complaint(seat=dealer, fault=fault, artifact=ref(f"sealed {dealer}"))
                part = KeyContribution(complaint="not in the store", withheld=gone)
                at = (ceremony.round, ceremony.attempt)
                for seat in ceremony.seats:
                    if seat in blind:
                        self._try(lambda s=seat, f=function, p=part, a=at: play.contribute(f, s, p, *a))
                    else:
                        self._try(lambda s=seat, f=function, a=at: play.key_step(f, s, *a))
        if phase == Phase.SELECT:
            whole = {miner: int(index != victim) for index, miner in enumerate(play.miners)}
            missing = play.selection(whole, Reason.MISSING_ARTIFACT)
            for seat in list(play.round().seats):
                self._try(lambda s=seat: play.select(missing if s in blind else None, [s]))
        if phase == Phase.VALIDATE:
            for seat in list(play.round().seats):
                says = BallotReason.UNAVAILABLE if seat in blind else BallotReason.GOOD
                self._try(lambda s=seat, r=says: play.vote({s: r}))

    def wait(self, seconds: float) -> None:
        """Time passes, by the endorsers' clock."""
        self.watch()
        self.play.wait(seconds)

    def watch(self) -> None:
        """Remember when what is under way has begun."""
        peer = self.play.peer
        for row in rows(peer, "round", TASK):
            if self.entered.get(row["number"]) != len(row["times"]):
                self.entered[row["number"]] = len(row["times"])
                self.begun[row["number"], 0, row["phase"]] = peer.clock_ms
        for row in rows(peer, "ceremony", TASK):
            self.begun.setdefault((row["round"], row["attempt"], row["step"]), peer.clock_ms)

    @invariant()
    def nobody_is_late_before_its_time(self) -> None:
        peer = self.play.peer
        for row in rows(peer, "misconduct", TASK):
            attempt = row.get("attempt", 0)
            key = row["round"], attempt, row["seat"]
            begun = self.begun.get((row["round"], attempt, row["step"]))
            if row["fault"] == "MISSED_STEP" and key not in self.late and begun is not None:
                self.late.add(key)
                timeouts = self._task().timeouts
                least = STEPS[row["step"]].seconds(timeouts) * 1000 - shortened_ms(config())
                assert peer.clock_ms - begun >= least, row
        self.watch()

    def _task(self) -> TaskSpec:
        return self.play.view().task.spec

    # What the machine has
    def _phase(self) -> Phase:
        raise NotImplementedError

    def _try(self, act: Any) -> None:
        raise NotImplementedError

    def honest(self, steps: int) -> None:
        raise NotImplementedError
