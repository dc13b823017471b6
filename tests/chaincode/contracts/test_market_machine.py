"""Random actors, times, orders and garbage against every function: what holds after every transaction.

Checked after each: `market_invariants` and `market_promises`, on the raw state; a refused or conflicting transaction changes nothing.
At the end only time passes and anyone calls Advance: the task ends, its escrow and stakes are empty. An audit, which computes every
slash and payment again by other code, finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from quorumlearn_chaincode.contracts import FUNCTIONS, Refusal
from quorumlearn_proto.block_pb2 import BallotReason, Ceremony, CeremonyStep, Fault, Phase, Reason
from quorumlearn_proto.protocol import ACCUSED
from quorumlearn_proto.recompute import replays
from quorumlearn_proto.task_pb2 import Exactness, TaskStatus

from tests.chaincode.contracts.audited import found
from tests.chaincode.contracts.ledger_stub import ConflictError, identity
from tests.chaincode.contracts.market_actors import OWNER, TASK, TIMEOUT_S, TREASURY, js, spec
from tests.chaincode.contracts.market_invariants import INVARIANTS, rows, tokens_are_conserved
from tests.chaincode.contracts.market_malice import SPLITS, SUBSETS, Malice, greedy
from tests.chaincode.contracts.market_promises import PROMISES
from tests.chaincode.contracts.recompute_actors import RecomputePlay, recompute, recompute_spec

ACTORS = st.sampled_from(
    [TREASURY, OWNER, "OwnerMSP/anyone", "StrangeMSP/eve"]
    + [f"V{n}MSP/{who}" for n in range(1, 6) for who in ("vera", "other")]
    + [f"M{1 + n % 2}MSP/miner{n:02d}" for n in range(1, 6)]
)
WORDS = st.one_of(
    st.sampled_from(
        [TASK, "nowhere-1", "1", "2", "3", "0", "-1", "+5", "10", "1000000", str(10**15), "0" * 64, "", "{}"]
    ),
    st.sampled_from([OWNER, "M1MSP/miner02", "V1MSP/vera", "TreasuryMSP/treasury", js(spec())]),
    st.text(max_size=20),
)
VERIFIERS = st.sampled_from([f"V{n}MSP/vera" for n in range(1, 6)])
MINERS_PHASES = (Phase.COMMIT, Phase.REVEAL, Phase.TRACE)
VERIFIERS_PHASES = (
    Phase.BEACON,
    Phase.REPLAY,
    Phase.SCREEN,
    Phase.SELECT,
    Phase.OPEN,
    Phase.PROPOSE,
    Phase.VALIDATE,
)
REPLAYED: tuple[dict[str, object], ...] = (
    {},
    {"pay_by_steps": True},
    {"exactness": Exactness.PROFILE},
    {"sealed": True, "seats_read": True},
    {"sealed": True, "replicas": 2},
)
"""What a task asks for whose trainings are replayed or have replicas; half of all tasks are robust."""
FUNCTION_OF_STEP = {
    CeremonyStep.KEY_COMMIT: "CommitKey",
    CeremonyStep.KEY_REVEAL: "RevealKey",
    CeremonyStep.KEY_TEST: "TestKey",
    CeremonyStep.KEY_CONFIRM: "ConfirmKey",
    CeremonyStep.KEY_OPEN: "OpenKey",
}
OPEN = (TaskStatus.PUBLISHED, TaskStatus.RUNNING)


class MarketMachine(Malice):
    def __init__(self) -> None:
        super().__init__()
        self.play = RecomputePlay(seats=5, miner_count=5)
        self.everyone = self.play.seats
        self._sit()

    @initialize(
        rounds=st.integers(1, 6),
        slash=st.sampled_from([0, 40, 100]),
        verifier_slash=st.sampled_from([0, 50, 150]),
        per_round=st.integers(150, 1000),
        enrolled=st.sampled_from([True, True, True, True, False]),
        steps=st.integers(0, 20),
        split=st.sampled_from(SPLITS),
        short=st.sampled_from(["", "", "open", "propose", "validate", "reveal", "screen"]),
        tolerance=st.sampled_from([0, 100]),
        by_contribution=st.booleans(),
        replayed=st.one_of(st.none(), st.sampled_from(REPLAYED)),
    )
    def publish(
        self,
        rounds: int,
        slash: int,
        verifier_slash: int,
        per_round: int,
        enrolled: bool,
        steps: int,
        split: tuple[int, int, int],
        short: str,
        tolerance: int,
        by_contribution: bool,
        replayed: dict[str, object] | None,
    ) -> None:
        task = spec() if replayed is None else recompute_spec(recompute(**replayed))
        if task.recompute.replicas > 1:
            task.min_miners, by_contribution = 4, False
        task.rounds, task.stakes.miner_slash, task.reward.per_round = rounds, slash, per_round
        task.stakes.verifier_slash = verifier_slash
        task.reward.by_contribution = by_contribution
        greedy(task, split, short, tolerance)
        task.committee.reserve_msp_ids.extend(["V4MSP", "V5MSP"])
        self.play.publish(task)
        if enrolled:
            self.play.take_seats()
            self.play.join()
            self.play.wait()
            self.play.advance()
            self.honest(steps)

    @rule(steps=st.integers(1, 6))
    def honest(self, steps: int) -> None:
        """Everyone does what the phase asks for, several phases on."""
        for _ in range(steps):
            if self.play.state().status != TaskStatus.RUNNING:
                return
            round_ = self.play.round()
            if round_.phase == Phase.KEY:
                self.honest_ceremony()
            elif round_.phase in MINERS_PHASES:
                self.miners_act(set(), True)
            else:
                self.verifiers_act({1, 2, 3}, [1, 1, 1, 1, 1], Reason.NOT_SELECTED, 0, BallotReason.GOOD)
            self._close()

    # Moves that belong somewhere
    @rule(seats=SUBSETS, miners=st.integers(0, 5))
    def enrol(self, seats: set[int], miners: int) -> None:
        for seat in sorted(seats):
            self._try(lambda seat=seat: self.play.take_seats([seat]))
        for miner in self.play.miners[:miners]:
            self._try(lambda miner=miner: self.play.join([miner]))

    @rule(
        seats=st.one_of(st.just({1, 2, 3}), SUBSETS),
        liar=st.integers(0, 6),
        complainer=st.integers(0, 6),
        blamed=st.lists(st.sampled_from([0, 1, 3]), min_size=3, max_size=3),
    )
    def ceremonies(self, seats: set[int], liar: int, complainer: int, blamed: list[int]) -> None:
        """One step of each open ceremony; a liar confirms another key, votes of blame may differ."""
        for ceremony in self.play.view().ceremonies:
            for seat in sorted(seats):
                self._try(lambda c=ceremony, s=seat: self._key_step(c, s, s == liar, s == complainer, blamed))

    @precondition(lambda self: self._phase() == Phase.KEY)
    @rule()
    def honest_ceremony(self) -> None:
        number = self.play.round().number
        for _ in range(6):
            if self.play.round().number != number or self._phase() != Phase.KEY:
                return  # what others had spoiled has failed, or the key is ready
            ceremony = next(c for c in self.play.view().ceremonies if c.round == number)
            for seat in ceremony.seats:
                self._try(lambda c=ceremony, s=seat: self._key_step(c, s, False, False, [0, 0, 0]))
            self._close()

    @rule(liar=st.integers(1, 3), votes=st.lists(st.sampled_from([0, 1, 3]), min_size=3, max_size=3))
    def failed_attempt(self, liar: int, votes: list[int]) -> None:
        """The round's key, or the next, fails by one liar; mostly the votes agree on somebody."""
        blamed = votes if len(set(votes)) == 3 else [max(votes, key=votes.count)] * 3
        for ceremony in self.play.view().ceremonies[-1:]:
            for step in [*list(FUNCTION_OF_STEP)[ceremony.step - 1 :], CeremonyStep.KEY_BLAME]:
                ceremony.step = step
                for seat in ceremony.seats:
                    self._try(lambda c=ceremony, s=seat: self._key_step(c, s, s == liar, False, blamed))
                self._close()

    @rule(
        accusers=st.one_of(st.just({1, 2}), SUBSETS),
        accused=st.sampled_from([3, 3, 2, 1, 0]),
        fault=st.sampled_from(sorted({fault for faults in ACCUSED.values() for fault in faults})),
    )
    def accuse(self, accusers: set[int], accused: int, fault: Fault) -> None:
        for _ in range(12):
            if fault in ACCUSED.get(self._phase(), ()):
                break
            self.honest(1)
        for accuser in sorted(accusers):
            self._try(lambda accuser=accuser: self.play.accuse(accuser, accused, fault))

    @rule(moves=st.lists(st.tuples(VERIFIERS, st.booleans()), min_size=1, max_size=6))
    def change_committee(self, moves: list[tuple[str, bool]]) -> None:
        for who, leaves in moves:
            function = "tasks:LeaveCommittee" if leaves else "tasks:JoinCommittee"
            self._try(lambda who=who, function=function: self.play.send(who, function, TASK))

    @precondition(lambda self: self._phase() in MINERS_PHASES)
    @rule(left_out=st.sets(st.integers(0, 4), max_size=2), close=st.booleans())
    def miners_act(self, left_out: set[int], close: bool) -> None:
        acts = {
            Phase.COMMIT: self.play.commit,
            Phase.REVEAL: self.play.reveal,
            Phase.TRACE: self.play.trace,
        }
        act = acts[self._phase()]
        for index, miner in enumerate(self.play.miners):
            if index not in left_out:
                self._try(lambda miner=miner, act=act: act([miner]))
        if close:
            self._try(self.play.advance)

    @precondition(lambda self: self._phase() in VERIFIERS_PHASES)
    @rule(
        seats=st.one_of(st.just({1, 2, 3}), st.just({1, 2, 3}), SUBSETS),
        weights=st.lists(st.integers(0, 2), min_size=5, max_size=5),
        fault=st.sampled_from(
            [
                Reason.DUPLICATE,
                Reason.OUTLIER,
                Reason.NOT_SELECTED,
                Reason.MALFORMED,
                Reason.WRONG_WORK,
                Reason.UNCONFIRMED,
            ]
        ),
        dissent=st.integers(0, 6),
        ballot=st.sampled_from([*BallotReason.values()[1:], BallotReason.GOOD, BallotReason.GOOD]),
    )
    def verifiers_act(
        self, seats: set[int], weights: list[int], fault: Reason, dissent: int, ballot: BallotReason
    ) -> None:
        phase, play = self._phase(), self.play
        given = dict(zip(play.miners, weights, strict=True))
        chosen = play.selection(given, fault) if phase == Phase.SELECT else None
        if phase == Phase.PROPOSE:
            self._try(play.propose)
            return
        for seat in sorted(seats):
            other = seat == dissent
            acts: dict[Phase, Callable[[], None]] = {
                Phase.BEACON: partial(play.beacon, [seat]),
                Phase.REPLAY: partial(play.replay, [seat]),
                Phase.SCREEN: partial(play.sketch, [seat]),
                Phase.SELECT: partial(play.select, None if other else chosen, [seat]),
                Phase.OPEN: partial(play.open, [seat], "other" if other else "aggregate"),
                Phase.VALIDATE: partial(play.vote, {seat: BallotReason.GOOD if other else ballot}),
            }
            if self._phase() == phase:
                self._try(acts[phase])

    @rule(votes=st.lists(st.sampled_from([0, *BallotReason.values()[1:]]), min_size=3, max_size=3))
    def judge_and_let_time_pass(self, votes: list[BallotReason]) -> None:
        """Each seat votes as it likes on the round's candidate, or not at all (0); then the phase's time is over."""
        for _ in range(12):
            if self._phase() == Phase.VALIDATE:
                break
            self.honest(1)
        for seat, reason in enumerate(votes, 1):
            if reason and self._phase() == Phase.VALIDATE:
                self._try(lambda seat=seat, reason=reason: self.play.vote({seat: reason}))
        self.time_passes(TIMEOUT_S // 2)
        self.show_ballots(1 + votes.index(max(votes)))
        self.time_passes(TIMEOUT_S // 2)

    @rule(seat=st.integers(1, 3))
    def show_ballots(self, seat: int) -> None:
        self._try(lambda: self.play.show(seat))

    @rule(
        back=st.integers(-1, 2),
        who=st.one_of(st.just(OWNER), ACTORS),
        seats=st.one_of(st.just({1, 2, 3}), SUBSETS),
        reason=st.sampled_from([*BallotReason.values(), BallotReason.WRONG_MODEL]),
    )
    def challenge(self, back: int, who: str, seats: set[int], reason: BallotReason) -> None:
        height = max(self.play.state().head.height - back, 0)
        self._try(lambda: self.play.send(who, "blocks:Challenge", TASK, str(height), "why"))
        for seat in sorted(seats):
            self._try(lambda seat=seat: self._vote_challenge(height, seat, reason))

    @rule(keys=st.sampled_from(["keys", "others"]), who=st.one_of(st.just(OWNER), ACTORS))
    def give_and_show_keys(self, keys: str, who: str) -> None:
        """Where data are sealed, in COMMIT."""
        for _ in range(12):
            if not self.play.asked.recompute.sealed or self._phase() == Phase.COMMIT:
                break
            self.honest(1)
        self._try(lambda: self.play.grant(keys))
        self._try(lambda: self.play.show_key(who))

    @rule(
        cheat=st.integers(0, 4),
        reason=st.sampled_from([Reason.WRONG_WORK, Reason.UNCONFIRMED, Reason.MISSING_ARTIFACT]),
        seats=st.one_of(st.just({1, 2, 3}), SUBSETS),
    )
    def work_is_judged(self, cheat: int, reason: Reason, seats: set[int]) -> None:
        """Where trainings are replayed, these seats find that one miner's does not stand."""
        for _ in range(16):
            if not replays(self.play.asked) or self._phase() == Phase.SELECT:
                break
            self.honest(1)
        if not replays(self.play.asked) or self._phase() != Phase.SELECT:
            return
        others = {miner: 1 for index, miner in enumerate(self.play.miners) if index != cheat}
        chosen = self.play.selection(others, reason)
        for seat in sorted(seats):
            self._try(lambda seat=seat: self.play.select(chosen, [seat]))

    @rule(who=ACTORS, function=st.sampled_from(["tasks:Leave", "tasks:Join", "tasks:Cancel"]))
    def come_and_go(self, who: str, function: str) -> None:
        self._try(lambda: self.play.send(who, function, TASK))

    @rule(who=ACTORS, to=ACTORS, amount=st.integers(1, 2_000_000), mint=st.booleans())
    def tokens(self, who: str, to: str, amount: int, mint: bool) -> None:
        name = "rewards:Mint" if mint else "rewards:Transfer"
        self._try(lambda: self.play.send(who, name, to, str(amount)))

    @rule(pending=st.booleans())
    def seats_say_pending(self, pending: bool) -> None:
        self.play.pending = pending

    @rule(carrying=st.booleans())
    def seats_carry_key_steps(self, carrying: bool) -> None:
        self.play.carrying = carrying

    @rule(seconds=st.sampled_from([1, 1, TIMEOUT_S // 2, TIMEOUT_S]))
    def time_passes(self, seconds: int) -> None:
        self.wait(seconds)
        self._try(self.play.advance)

    # Moves that belong nowhere
    @rule(
        who=ACTORS,
        name=st.sampled_from(sorted(FUNCTIONS)),
        words=st.lists(WORDS, min_size=5, max_size=5),
        off_ms=st.sampled_from([0, 0, 1_000, -30_000, 70_000]),
    )
    def garbage(self, who: str, name: str, words: list[str], off_ms: int) -> None:
        call = (name, *words[: len(FUNCTIONS[name].parameters)])
        when = self.play.peer.clock_ms + off_ms
        self._try(lambda: self.play.send(who, *call, timestamp_ms=when))

    @rule(who=st.lists(ACTORS, min_size=2, max_size=4))
    def several_in_one_block(self, who: list[str]) -> None:
        peer, endorsed = self.play.peer, []
        for actor in who:
            for call in (
                ("blocks:Advance", TASK),
                ("tasks:Leave", TASK),
                ("tasks:Join", TASK),
                ("tasks:LeaveCommittee", TASK),
                ("tasks:JoinCommittee", TASK),
                ("rewards:Transfer", OWNER, "7"),
            ):
                try:
                    endorsed.append(peer.endorse(identity(actor), *call))
                except Refusal:
                    continue
        for simulation in endorsed:
            try:
                peer.commit(simulation)
            except ConflictError:
                continue
            tokens_are_conserved(peer)

    # What holds
    @invariant()
    def what_holds(self) -> None:
        for holds in (*INVARIANTS, *PROMISES):
            holds(self.play.peer)

    def teardown(self) -> None:
        for _ in range(80):
            if not any(self.play.ask_status(task) in OPEN for task in self._tasks()):
                break
            self.play.off_ms = 0
            self.wait(TIMEOUT_S)
            for task in self._tasks():
                self._try(lambda task=task: self.play.send("OwnerMSP/anyone", "blocks:Advance", task))
            tokens_are_conserved(self.play.peer)
        for task in self._tasks():
            assert self.play.ask_status(task) not in OPEN
            assert all(int(row.get("amount", 0)) == 0 for row in rows(self.play.peer, "escrow", task))
            assert all(int(row.get("amount", 0)) == 0 for row in rows(self.play.peer, "stake", task))
            assert [str(one) for one in found(self.play.peer, task)] == []

    def _tasks(self) -> list[str]:
        return [row["spec"]["task_id"] for row in rows(self.play.peer, "task")]

    def _phase(self) -> Phase:
        """Read from the raw state: preconditions ask for it many times a step."""
        states = rows(self.play.peer, "state", TASK)
        number = states[0].get("round", 0) if states else 0
        rounds = rows(self.play.peer, "round", TASK, f"{number:05d}")
        return getattr(Phase, rounds[0]["phase"]) if rounds else Phase.PHASE_UNSPECIFIED

    def _key_step(
        self, ceremony: Ceremony, seat: int, lies: bool, complains: bool, blamed: list[int]
    ) -> None:
        play, at = self.play, (ceremony.round, ceremony.attempt)
        if ceremony.step == CeremonyStep.KEY_BLAME:
            guilty = blamed[seat - 1]
            play.blame(seat, {guilty: Fault.BAD_DEALING} if guilty else {}, *at)
        elif ceremony.step in FUNCTION_OF_STEP:
            function = FUNCTION_OF_STEP[ceremony.step]
            if complains and function in ("TestKey", "ConfirmKey"):
                play.complain(function, seat, *at)
            else:
                play.key_step(function, seat, *at, "lie" if lies else "key")

    def _close(self) -> None:
        """What seats have completed, each thinking that others were to come."""
        if self.play.pending:
            self._try(self.play.advance)

    def _sit(self) -> None:
        """Who plays a seat's part: its holder, or who may take it first."""
        self.play.seats = {n: self.everyone[n] for n in (1, 2, 3)} | {
            row["seat"]: row["verifier"] for row in rows(self.play.peer, "seat", TASK) if "verifier" in row
        }

    def _vote_challenge(self, height: int, seat: int, reason: BallotReason) -> None:
        ballot = self.play.ballot(reason, self.play.block(height).core.model.digest)
        self.play.send(self.play.seats[seat], "blocks:VoteChallenge", TASK, str(height), js(ballot))

    def _try(self, act: Any) -> None:
        """One transaction. A refusal is an answer that changes nothing; anything else raised is a failure."""
        self._sit()
        before = dict(self.play.peer.state)
        try:
            act()
        except Refusal:
            assert self.play.peer.state == before


TestMarketMachine = MarketMachine.TestCase
TestMarketMachine.settings = settings(
    max_examples=50,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
