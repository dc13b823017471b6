"""Random actors, times, orders and garbage against every function: what holds after every transaction.

Checked on the raw state: minted = balances + escrows + stakes (open deposits among them); nothing negative;
the good blocks are one hash-linked chain from the specification to the head; a refused or conflicting
transaction changes nothing; what was paid never exceeds what was escrowed. At the end only time passes and
anyone calls Advance: the task ends, its escrow and stakes are empty.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from quorumlearn_chaincode.contracts import FUNCTIONS, Refusal
from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import Ballot, BallotReason, Block, Phase, Reason
from quorumlearn_proto.task_pb2 import TaskStatus

from tests.chaincode.contracts.ledger_stub import ConflictError, identity
from tests.chaincode.contracts.market_actors import OWNER, TASK, TIMEOUT_S, TREASURY, Play, js, spec

SUBSETS = st.sets(st.integers(1, 3))
ACTORS = st.sampled_from(
    [TREASURY, OWNER, "OwnerMSP/anyone", "StrangeMSP/eve"]
    + [f"V{n}MSP/{who}" for n in (1, 2, 3) for who in ("vera", "other")]
    + [f"M{1 + n % 2}MSP/miner{n:02d}" for n in range(1, 6)]
)
WORDS = st.one_of(
    st.sampled_from(
        [TASK, "nowhere-1", "1", "2", "3", "0", "-1", "+5", "10", "1000000", str(10**15), "0" * 64, "", "{}"]
    ),
    st.sampled_from([OWNER, "M1MSP/miner02", "V1MSP/vera", "TreasuryMSP/treasury", js(spec())]),
    st.text(max_size=20),
)
MINERS_PHASES = (Phase.COMMIT, Phase.REVEAL)
VERIFIERS_PHASES = (Phase.BEACON, Phase.SCREEN, Phase.SELECT, Phase.OPEN, Phase.PROPOSE, Phase.VALIDATE)
OPEN = (TaskStatus.PUBLISHED, TaskStatus.RUNNING)


class MarketMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.play = Play(miner_count=5)

    @initialize(
        rounds=st.integers(1, 4),
        slash=st.sampled_from([0, 40, 100]),
        per_round=st.integers(1, 1000),
        enrolled=st.sampled_from([True, True, True, True, False]),
        steps=st.integers(0, 20),
    )
    def publish(self, rounds: int, slash: int, per_round: int, enrolled: bool, steps: int) -> None:
        task = spec()
        task.rounds, task.stakes.miner_slash, task.reward.per_round = rounds, slash, per_round
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

    # Moves that belong somewhere
    @rule(seats=SUBSETS, miners=st.integers(0, 5))
    def enrol(self, seats: set[int], miners: int) -> None:
        for seat in sorted(seats):
            self._try(lambda seat=seat: self.play.take_seats([seat]))
        for miner in self.play.miners[:miners]:
            self._try(lambda miner=miner: self.play.join([miner]))

    @rule(seats=SUBSETS, liar=st.integers(0, 6))
    def ceremonies(self, seats: set[int], liar: int) -> None:
        for ceremony in self.play.view().ceremonies:
            for function in ("CommitKey", "RevealKey", "TestKey", "ConfirmKey"):
                for seat in sorted(seats):
                    key = "lie" if seat == liar else "key"
                    self._try(
                        lambda f=function, s=seat, c=ceremony, k=key: self.play.key_step(
                            f, s, c.round, c.attempt, k
                        )
                    )

    @precondition(lambda self: self._phase() == Phase.KEY)
    @rule()
    def honest_ceremony(self) -> None:
        round_ = self.play.round()
        ceremony = next(c for c in self.play.view().ceremonies if c.round == round_.number)
        for function in ("CommitKey", "RevealKey", "TestKey", "ConfirmKey"):
            for seat in ceremony.seats:
                self._try(
                    lambda f=function, s=seat: self.play.key_step(f, s, ceremony.round, ceremony.attempt)
                )

    @precondition(lambda self: self._phase() in MINERS_PHASES)
    @rule(left_out=st.sets(st.integers(0, 4), max_size=2), close=st.booleans())
    def miners_act(self, left_out: set[int], close: bool) -> None:
        committing = self._phase() == Phase.COMMIT
        for index, miner in enumerate(self.play.miners):
            if index not in left_out:
                act = self.play.commit if committing else self.play.reveal
                self._try(lambda miner=miner, act=act: act([miner]))
        if close:
            self._try(self.play.advance)

    @precondition(lambda self: self._phase() in VERIFIERS_PHASES)
    @rule(
        seats=st.one_of(st.just({1, 2, 3}), st.just({1, 2, 3}), SUBSETS),
        weights=st.lists(st.integers(0, 2), min_size=5, max_size=5),
        fault=st.sampled_from([Reason.DUPLICATE, Reason.OUTLIER, Reason.NOT_SELECTED]),
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
            acts = {
                Phase.BEACON: lambda s=seat: play.beacon([s]),
                Phase.SCREEN: lambda s=seat: play.sketch([s]),
                Phase.SELECT: lambda s=seat, o=other: play.select(None if o else chosen, [s]),
                Phase.OPEN: lambda s=seat, o=other: play.open([s], "other" if o else "aggregate"),
                Phase.VALIDATE: lambda s=seat, o=other: play.vote({s: BallotReason.GOOD if o else ballot}),
            }
            if self._phase() == phase:
                self._try(acts[phase])

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

    @rule(who=ACTORS, function=st.sampled_from(["tasks:Leave", "tasks:Join", "tasks:Cancel"]))
    def come_and_go(self, who: str, function: str) -> None:
        self._try(lambda: self.play.send(who, function, TASK))

    @rule(who=ACTORS, to=ACTORS, amount=st.integers(1, 2_000_000), mint=st.booleans())
    def tokens(self, who: str, to: str, amount: int, mint: bool) -> None:
        name = "rewards:Mint" if mint else "rewards:Transfer"
        self._try(lambda: self.play.send(who, name, to, str(amount)))

    @rule(seconds=st.sampled_from([1, 1, TIMEOUT_S // 2, TIMEOUT_S]))
    def time_passes(self, seconds: int) -> None:
        self.play.wait(seconds)
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
            for call in (("blocks:Advance", TASK), ("tasks:Leave", TASK), ("rewards:Transfer", OWNER, "7")):
                try:
                    endorsed.append(peer.endorse(identity(actor), *call))
                except Refusal:
                    continue
        for simulation in endorsed:
            try:
                peer.commit(simulation)
            except ConflictError:
                continue
            self.tokens_are_conserved()

    # What holds
    @invariant()
    def tokens_are_conserved(self) -> None:
        rows = self._rows
        balances = [int(row.get("balance", 0)) for row in rows("account")]
        escrows = [int(row.get("amount", 0)) for row in rows("escrow")]
        stakes = [int(row.get("amount", 0)) for row in rows("stake")]
        deposits = [int(r.get("deposit", 0)) for r in rows("challenge") if r["status"] == "UNDECIDED"]
        assert min([0, *balances, *escrows, *stakes, *deposits]) == 0
        minted = int(rows("supply")[0].get("minted", 0))
        assert minted == sum(balances) + sum(escrows) + sum(stakes) + sum(deposits)

    @invariant()
    def every_token_of_the_escrow_is_accounted_for(self) -> None:
        for row, task in zip(self._rows("escrow"), self._rows("task"), strict=True):
            locked = task["spec"]["rounds"] * int(task["spec"]["reward"]["per_round"])
            assert locked == sum(int(row.get(name, 0)) for name in ("amount", "paid", "refunded"))
        paid = sum(int(row.get("paid", 0)) for row in self._rows("escrow"))
        assert paid == sum(int(row.get("paid", 0)) for row in self._rows("stake"))

    @invariant()
    def the_good_blocks_are_one_chain_to_the_head(self) -> None:
        for task, state in zip(self._rows("task"), self._rows("state"), strict=True):
            blocks = [
                canonical.from_json(Block, json.dumps(row).encode())
                for row in self._rows("block", task["spec"]["task_id"])
                if row["status"] == "GOOD_BLOCK"
            ]
            link = task["spec_digest"]
            for block in blocks:
                assert block.core.previous == link
                assert block.digest == canonical.digest(block.core)
                link = block.digest
            assert state["head"]["digest"] == link

    @invariant()
    def the_movements_of_an_account_add_up_to_its_balance(self) -> None:
        for key, entries in self.play.peer.history.items():
            if key.startswith("\x00account\x00"):
                last = [json.loads(entry.value) for entry in entries[-2:]]
                before = int(last[0].get("balance", 0)) if len(last) == 2 else 0
                moves = [last[-1]["last"], *last[-1].get("earlier", [])]
                moved = sum(int(move["amount"]) for move in moves)
                assert int(last[-1].get("balance", 0)) == before + moved

    def teardown(self) -> None:
        for _ in range(80):
            if not any(self.play.ask_status(task) in OPEN for task in self._tasks()):
                break
            self.play.wait(TIMEOUT_S)
            for task in self._tasks():
                self._try(lambda task=task: self.play.send("OwnerMSP/anyone", "blocks:Advance", task))
            self.tokens_are_conserved()
        for task in self._tasks():
            assert self.play.ask_status(task) not in OPEN
            assert all(int(row.get("amount", 0)) == 0 for row in self._rows("escrow", task))
            assert all(int(row.get("amount", 0)) == 0 for row in self._rows("stake", task))

    def _tasks(self) -> list[str]:
        return [row["spec"]["task_id"] for row in self._rows("task")]

    def _phase(self) -> Phase:
        """Read from the raw state: preconditions ask for it many times a step."""
        states = self._rows("state", TASK)
        number = states[0].get("round", 0) if states else 0
        rounds = self._rows("round", TASK, f"{number:05d}")
        return Phase.Value(rounds[0]["phase"]) if rounds else Phase.PHASE_UNSPECIFIED

    def _vote_challenge(self, height: int, seat: int, reason: BallotReason) -> None:
        ballot = Ballot(model=self.play.block(height).core.model.digest, reason=reason)
        self.play.send(self.play.seats[seat], "blocks:VoteChallenge", TASK, str(height), js(ballot))

    def _rows(self, table: str, *attributes: str) -> list[dict[str, Any]]:
        prefix = "\x00" + "".join(part + "\x00" for part in (table, *attributes))
        state = self.play.peer.state
        return [json.loads(state[key][0]) for key in sorted(state) if key.startswith(prefix)]

    def _try(self, act: Any) -> None:
        """One transaction. A refusal is an answer that changes nothing; anything else raised is a failure."""
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
