"""Scripted identities that play a task on the in-memory peer, phase by phase."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from google.protobuf.message import Message
from quorumlearn_chaincode.contracts import FUNCTIONS
from quorumlearn_chaincode.runtime import ClientIdentity, Response
from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import (
    Accusation,
    Ballot,
    BallotReason,
    Ballots,
    Blame,
    BlameVote,
    Block,
    Candidate,
    CeremonyStep,
    Fault,
    KeyContribution,
    Manifest,
    Misconduct,
    Phase,
    Reason,
    Round,
    Selection,
    TaskView,
    Verdict,
)
from quorumlearn_proto.common_pb2 import ArtifactRef, Config, OrganisationRoles
from quorumlearn_proto.contribution import UNIT
from quorumlearn_proto.derived import fixed_ballot
from quorumlearn_proto.page_pb2 import MisconductPage, TaskSummary
from quorumlearn_proto.protocol import BINARY, ROUND
from quorumlearn_proto.reward_pb2 import Account, Escrow, Stake, Totals
from quorumlearn_proto.task_pb2 import (
    CkksParameters,
    Committee,
    RewardSplit,
    RobustRule,
    Stakes,
    TaskSpec,
    TaskState,
    TaskStatus,
    Timeouts,
    VerificationMode,
    Workload,
)

from tests.ballots import counted
from tests.chaincode.contracts.ledger_stub import Peer, identity

M = TypeVar("M", bound=Message)

TASK = "digits-1"
TREASURY = "TreasuryMSP/admin"
OWNER = "OwnerMSP/olivia"
FUNDS = 1_000_000
TIMEOUT_S = 100
SLACK_MS = 500
SEALING_KEY = bytes(range(64))
TIMEOUTS = set(Timeouts.DESCRIPTOR.fields_by_name) - {"trace", "replay"}
"""Of a task in which nobody replays."""
PHASES = [phase for phase, step in ROUND.items() if not step.replayed]
"""Of a round of such a task."""
CARRIED_STEPS = {
    CeremonyStep.KEY_COMMIT: "CommitKey",
    CeremonyStep.KEY_REVEAL: "RevealKey",
    CeremonyStep.KEY_TEST: "TestKey",
    CeremonyStep.KEY_CONFIRM: "ConfirmKey",
}


def verifiers(count: int) -> list[str]:
    return [f"V{number}MSP/vera" for number in range(1, count + 1)]


def miners(count: int) -> list[str]:
    return [f"M{1 + number % 2}MSP/miner{number:02d}" for number in range(1, count + 1)]


def config(verifier_count: int = 3) -> Config:
    roles = {"TreasuryMSP": ["treasury"], "OwnerMSP": ["owner"], "M1MSP": ["miner"], "M2MSP": ["miner"]}
    roles |= {f"V{number}MSP": ["verifier"] for number in range(1, verifier_count + 1)}
    return Config(
        treasury_msp="TreasuryMSP",
        verifier_msps=[f"V{number}MSP" for number in range(1, verifier_count + 1)],
        verifier_quorum=verifier_count // 2 + 1,
        clock_slack_ms=SLACK_MS,
        organisations=[OrganisationRoles(msp_id=msp, roles=given) for msp, given in roles.items()],
    )


def spec(**changes: object) -> TaskSpec:
    """A valid TaskSpec for 3 seats, 2 of them a quorum, 3 to 4 honest miners, 2 rounds of 1000 tokens."""
    made = TaskSpec(
        task_id=TASK,
        title="Digits",
        workload=Workload(
            name="mnist-cnn", version="1", config={"epochs": "1"}, public_blocks=["top"], digest="d" * 64
        ),
        initial_model=ref("initial model", 1000),
        rounds=2,
        min_miners=3,
        max_miners=4,
        rule=RobustRule(name="multi-krum"),
        mode=VerificationMode.ROBUST,
        committee=Committee(msp_ids=["V1MSP", "V2MSP", "V3MSP"], threshold=2),
        ckks=CkksParameters(
            poly_modulus_degree=8192,
            coeff_modulus_bits=[48, 48, 60],
            scale_bits=77,
            sign_scale_bits=12,
            step_bits=14,
            bound_steps=16384,
            max_weight_sum=8,
            flooding_bits=40,
            sketch_size=256,
            update_size=51154,
        ),
        timeouts=Timeouts(**dict.fromkeys(TIMEOUTS, TIMEOUT_S)),
        reward=RewardSplit(per_round=1000, miners_bp=7000, verifiers_bp=2000, proposer_bp=1000),
        stakes=Stakes(miner=100, miner_slash=40, verifier=200, verifier_slash=50, challenge=30),
        tolerance_bp=100,
        challenge_window_seconds=1000,
        seed=7,
    )
    made.MergeFrom(TaskSpec(**changes))  # type: ignore[arg-type]
    return made


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def ref(text: str, size: int = 10) -> ArtifactRef:
    return ArtifactRef(digest=sha(text), size=size)


def js(message: Message) -> str:
    return canonical.to_json(message).decode()


def secret(seat: int, number: int) -> str:
    return sha(f"secret {seat} {number}")


def reveal_words(manifest: Manifest, number: int = 1) -> tuple[str, ...]:
    return "blocks:Reveal", TASK, str(number), js(manifest), sha(f"sketch of {manifest.miner}")


def commitment(seat: int, number: int) -> str:
    return hashlib.sha256(bytes.fromhex(secret(seat, number))).hexdigest()


class Play:
    """A market on a peer, with everyone's moves as methods named after what they do."""

    off_ms = 0
    """How far ahead of the endorsers' clock clients date their transactions."""

    def __init__(self, seats: int = 3, miner_count: int = 4) -> None:
        self.peer = Peer()
        self.seats = dict(enumerate(verifiers(seats), 1))
        self.miners = miners(miner_count)
        self.ballots: dict[int, Ballot] = {}  # what seats have fixed last
        self.pending = False  # whether seats say that others have yet to act
        self.carrying = (
            False  # whether a seat's step in a round carries its step of the next round's ceremony
        )
        self.peer.submit(identity(TREASURY, units=("admin",)), "rewards:Initialise", js(config(seats)))
        for account in (OWNER, *self.miners, *self.seats.values()):
            self.send(TREASURY, "rewards:Mint", account, str(FUNDS))

    # The ledger
    def send(self, who: str, *words: str, timestamp_ms: int | None = None) -> Response:
        if self.pending and words[0] in FUNCTIONS and FUNCTIONS[words[0]].of_seats:
            words = (*words, "pending")
        if self.carrying and words[0] in FUNCTIONS and FUNCTIONS[words[0]].carries and words[1] == TASK:
            words = (*words, *self.key_along(who))
        when = self.peer.clock_ms + self.off_ms if timestamp_ms is None else timestamp_ms
        return self.peer.submit(self.client(who), *words, timestamp_ms=when)

    def key_along(self, who: str) -> tuple[str, ...]:
        """What this seat's step in the round can carry: nothing, or a step's name, the attempt and the contribution."""
        view = self.view()
        seat = next((number for number, holder in self.seats.items() if holder == who), 0)
        for ceremony in view.ceremonies:
            if ceremony.round == view.round.number + 1 and ceremony.step in CARRIED_STEPS:
                *_, attempt, contribution = self.key_words(
                    CARRIED_STEPS[ceremony.step], seat, ceremony.round, ceremony.attempt
                )
                return CARRIED_STEPS[ceremony.step], attempt, contribution
        return ()

    def client(self, who: str) -> ClientIdentity:
        return identity(who)

    def ask(self, kind: type[M], *words: str) -> M:
        """In the binary form, as nodes ask; that JSON says the same holds of every function in test_function_table."""
        return kind.FromString(self.peer.evaluate(identity("OwnerMSP/anyone"), *words, BINARY))

    def view(self) -> TaskView:
        return self.ask(TaskView, "blocks:View", TASK)

    def round(self) -> Round:
        """The round under way, or the last; an empty one before the start."""
        number = self.state().round
        return self.ask(Round, "blocks:Round", TASK, str(number)) if number else Round()

    def state(self) -> TaskState:
        return self.ask(TaskSummary, "tasks:Get", TASK).state

    def ask_status(self, task: str) -> TaskStatus:
        return self.ask(TaskSummary, "tasks:Get", task).state.status

    def balance(self, account: str) -> int:
        return self.ask(Account, "rewards:Account", account).balance

    def stake(self, account: str) -> Stake:
        return self.ask(Stake, "rewards:Stake", TASK, account)

    def escrow(self) -> Escrow:
        return self.ask(Escrow, "rewards:Escrow", TASK)

    def block(self, height: int) -> Block:
        return self.ask(Block, "blocks:Block", TASK, str(height))

    def burnt(self) -> int:
        return self.ask(Totals, "rewards:Totals").burnt

    def check_tokens(self) -> None:
        totals = self.ask(Totals, "rewards:Totals")
        assert totals.minted == totals.balances + totals.escrows + totals.stakes + totals.burnt

    def wait(self, seconds: float = TIMEOUT_S) -> None:
        self.peer.clock_ms += int(seconds * 1000)

    def advance(self) -> Response:
        return self.send("OwnerMSP/anyone", "blocks:Advance", TASK)

    # The start
    def publish(self, task: TaskSpec | None = None) -> None:
        self.send(OWNER, "tasks:Publish", js(task or spec()))

    def take_seats(self, seats: Sequence[int] | None = None) -> None:
        for number in seats or self.seats:
            self.send(self.seats[number], "tasks:JoinCommittee", TASK)

    def join(self, who: Sequence[str] | None = None) -> None:
        for miner in self.miners if who is None else who:
            self.send(miner, "tasks:Join", TASK)

    def start(self, task: TaskSpec | None = None, miners: Sequence[str] | None = None) -> None:
        """Publish, take every seat, have all or these miners join, advance: round 1 in phase KEY."""
        self.publish(task)
        self.take_seats()
        self.join(miners)
        self.advance()

    # The ceremony
    def key_step(self, function: str, seat: int, number: int, attempt: int = 1, key: str = "key") -> Response:
        """One step of an honest seat; `key` is what it confirms."""
        return self.send(self.seats[seat], *self.key_words(function, seat, number, attempt, key))

    def key_words(
        self, function: str, seat: int, number: int = 1, attempt: int = 1, key: str = "key"
    ) -> tuple[str, ...]:
        part = self.key_parts(seat, number, key)[function]
        return f"blocks:{function}", TASK, str(number), str(attempt), js(part)

    def key_parts(self, seat: int, number: int, key: str) -> dict[str, KeyContribution]:
        """What an honest seat contributes to a round's ceremony, by function."""
        return {
            "CommitKey": KeyContribution(
                public_share=ref(f"share {seat} {number}"),
                beacon_commitment=commitment(seat, number),
                sealing_key=SEALING_KEY,
            ),
            "RevealKey": KeyContribution(sealed_shares=ref(f"sealed {seat} {number}")),
            "TestKey": KeyContribution(test_partial=ref(f"partial {seat} {number}")),
            "ConfirmKey": KeyContribution(confirmed_key=ref(f"{key} {number}")),
            "OpenKey": KeyContribution(opened_sealing_key=SEALING_KEY),
        }

    def contribute(
        self, function: str, seat: int, part: KeyContribution, number: int = 1, attempt: int = 1
    ) -> Response:
        words = (f"blocks:{function}", TASK, str(number), str(attempt), js(part))
        return self.send(self.seats[seat], *words)

    def complain(self, function: str, seat: int, number: int = 1, attempt: int = 1) -> Response:
        return self.contribute(function, seat, KeyContribution(complaint="no share"), number, attempt)

    def blame(
        self, seat: int, faults: Mapping[int, Fault], number: int = 1, attempt: int = 1, detail: str = ""
    ) -> Response:
        """A seat's vote on whose fault a failed attempt was, by seat."""
        vote = BlameVote(
            blames=[Blame(seat=who, fault=fault, detail=detail) for who, fault in faults.items()]
        )
        return self.contribute("BlameKey", seat, KeyContribution(blame=vote), number, attempt)

    def misconducts(self) -> list[Misconduct]:
        return list(self.ask(MisconductPage, "blocks:Misconducts", TASK, "1000", "").misconducts)

    def ceremony(self, number: int, seats: Sequence[int] | None = None, attempt: int = 1) -> None:
        for function in ("CommitKey", "RevealKey", "TestKey", "ConfirmKey"):
            for seat in seats or self.seats:
                self.key_step(function, seat, number, attempt)

    def honest_ceremony(self) -> None:
        """The current round's ceremony from the first step of its current attempt."""
        ceremony = self.view().ceremonies[0]
        self.ceremony(ceremony.round, list(ceremony.seats), ceremony.attempt)

    # The round
    def manifest(self, who: str, **changes: object) -> Manifest:
        round_ = self.round()
        made = Manifest(
            task_id=TASK,
            round=round_.number,
            miner=who,
            base_block=round_.base.digest,
            update=ref(f"update {who} {round_.number}"),
            salts=ref(f"salts {who} {round_.number}"),
            sample_count=100,
        )
        made.MergeFrom(Manifest(**changes))  # type: ignore[arg-type]
        return made

    def commit(self, who: Sequence[str] | None = None) -> None:
        for miner in self.round().miners if who is None else who:
            manifest = self.manifest(miner)
            self.send(miner, "blocks:Commit", TASK, str(manifest.round), canonical.digest(manifest))

    def reveal(self, who: Sequence[str] | None = None) -> None:
        for miner in self.round().miners if who is None else who:
            manifest = self.manifest(miner)
            self.send(miner, *reveal_words(manifest, manifest.round))

    def beacon(self, seats: Sequence[int] | None = None) -> None:
        number = self.round().number
        for seat in seats or list(self.round().seats):
            self.send(self.seats[seat], "blocks:RevealBeacon", TASK, str(number), secret(seat, number))

    def sketch(self, seats: Sequence[int] | None = None) -> None:
        number = str(self.round().number)
        for seat in seats or list(self.round().seats):
            self.send(self.seats[seat], "blocks:PostSketch", TASK, number, js(ref(f"sketch {seat}")))

    def selection(
        self, weights: Mapping[str, int] | None = None, fault: Reason = Reason.OUTLIER
    ) -> Selection:
        """Weight 1 for everyone who revealed, or these weights; who has none of them gets `fault`."""
        view = self.view()
        submitted = {entry.miner: entry for entry in view.submissions}
        verdicts = []
        for miner in view.round.miners:
            if miner not in submitted:
                verdict = Verdict(miner=miner, reason=Reason.ABSENT)
            elif not submitted[miner].HasField("manifest"):
                verdict = Verdict(miner=miner, reason=Reason.WITHHELD)
            else:
                weight = 1 if weights is None else weights.get(miner, 0)
                verdict = Verdict(miner=miner, weight=weight, reason=Reason.CONTRIBUTES if weight else fault)
            verdicts.append(verdict)
        return Selection(verdicts=verdicts)

    def select(self, selection: Selection | None = None, seats: Sequence[int] | None = None) -> None:
        number, chosen = str(self.round().number), selection or self.selection()
        for seat in seats or list(self.round().seats):
            words = ("blocks:VoteSelection", TASK, number, js(chosen), sha(f"basis {seat}"))
            self.send(self.seats[seat], *words)

    def accuse(self, accuser: int, seat: int, fault: Fault, /, **changes: object) -> Response:
        accusation = Accusation(seat=seat, fault=fault, detail=f"seen by {accuser}")
        accusation.MergeFrom(Accusation(**changes))  # type: ignore[arg-type]
        words = ("blocks:Accuse", TASK, str(self.round().number), js(accusation))
        return self.send(self.seats[accuser], *words)

    def open(self, seats: Sequence[int] | None = None, aggregate: str = "aggregate") -> None:
        number = str(self.round().number)
        for seat in seats or list(self.round().seats):
            words = ("blocks:PostPartial", TASK, number, sha(aggregate), js(ref(f"opening {seat}")))
            self.send(self.seats[seat], *words)

    def candidate(self) -> Candidate:
        round_ = self.round()
        return Candidate(
            model=ref(f"model {round_.number} {round_.proposer_turn}", 1000),
            aggregate=ref(f"opened {round_.number}"),
        )

    def propose(self) -> str:
        round_ = self.round()
        proposer = round_.proposers[round_.proposer_turn]
        self.send(proposer, "blocks:Propose", TASK, str(round_.number), js(self.candidate()))
        return proposer

    def ballot(
        self, reason: BallotReason = BallotReason.GOOD, model: str = "", told: Sequence[int] = ()
    ) -> Ballot:
        """A ballot whose scores fit its reason, on the candidate or on another model. Of all groups but the last that the candidate's
        round has, `told` are the contributions, 0 for those left out; the last has what is left of the gain."""
        model = model or self.round().candidate.model.digest
        if reason == BallotReason.SCORE_FELL:
            counts = counted(correct=40, base_correct=80, total=100, lost=45)
        else:
            counts = counted(correct=90, base_correct=88, total=100, lost=3)
        counts.model, counts.reason = model, reason
        groups = max(self.round().groups, default=0)
        if (
            groups
            and reason in (BallotReason.GOOD, BallotReason.SCORE_FELL)
            and model == self.round().candidate.model.digest
        ):
            counts.contributions.extend([*told, *[0] * (groups - 1 - len(told))])
            counts.contributions.append(UNIT * (counts.score - counts.base_score) - sum(told))
        return counts

    def vote(self, votes: Mapping[int, BallotReason] | None = None) -> None:
        """These seats fix their ballots; once all of the round's have, the last of them shows all."""
        given = votes or dict.fromkeys(self.round().seats, BallotReason.GOOD)
        for seat, reason in given.items():
            self.cast(seat, self.ballot(reason))
        if {one.seat for one in self.view().ballots} >= set(self.round().seats):
            self.show(seat)

    def cast(self, seat: int, ballot: Ballot) -> Response:
        """Fix a ballot, which is kept here as a node keeps it."""
        fixed = self.fixed(seat, ballot)
        return self.send(self.seats[seat], "blocks:VoteBlock", TASK, str(self.round().number), js(fixed))

    def fixed(self, seat: int, ballot: Ballot) -> ArtifactRef:
        kept = Ballot()
        kept.CopyFrom(ballot)
        kept.task_id, kept.round = kept.task_id or TASK, kept.round or self.round().number
        kept.seat, kept.nonce = seat, sha(f"nonce {seat}")
        self.ballots[seat] = kept
        artifact = fixed_ballot(kept)
        return ArtifactRef(digest=hashlib.sha256(artifact).hexdigest(), size=len(artifact))

    def show(self, seat: int, *, of: Sequence[int] | None = None) -> Response:
        """A seat shows what these have fixed, or all that have."""
        known = [one.seat for one in self.view().ballots if one.seat in self.round().seats]
        return self.send(self.seats[seat], *self.shown_words(of or known))

    def shown_words(self, of: Sequence[int]) -> tuple[str, ...]:
        shown = Ballots(ballots=[self.ballots[one] for one in of])
        return "blocks:ShowBallots", TASK, str(self.round().number), js(shown)

    def to(self, phase: Phase) -> None:
        """Play the round under way, everyone honest, until it is in this phase."""
        moves = self.moves()
        while self.round().phase != phase:
            moves[self.round().phase]()

    def moves(self) -> dict[Phase, Callable[[], object]]:
        """What honest identities do in each phase."""
        return {
            Phase.KEY: self.honest_ceremony,
            Phase.COMMIT: lambda: (self.commit(), self.advance()),
            Phase.BEACON: self.beacon,
            Phase.REVEAL: lambda: (self.reveal(), self.advance()),
            Phase.SCREEN: self.sketch,
            Phase.SELECT: self.select,
            Phase.OPEN: self.open,
            Phase.PROPOSE: self.propose,
            Phase.VALIDATE: self.vote,
        }

    def whole_round(self) -> None:
        self.to(Phase.VALIDATE)
        self.vote()
