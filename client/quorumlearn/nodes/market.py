"""The three contracts as typed Python: records in, records out, refusals as `Refused` with their stable code.

`Market` speaks for one identity. It adds nothing to the contracts' rules; it only translates (docs/protocol.md
lists the functions). Safe to share between threads.

>>> view = market.view("mnist-1")          # doctest: +SKIP
>>> market.commit("mnist-1", 3, digest)    # doctest: +SKIP
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError, Message
from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import (
    Accusation,
    Authorisation,
    Ballot,
    Ballots,
    Block,
    Candidate,
    Challenge,
    KeyContribution,
    Manifest,
    Misconduct,
    Phase,
    Round,
    Selection,
    Submission,
    TaskView,
)
from quorumlearn_proto.common_pb2 import ArtifactRef, ChaincodeVersion, Config
from quorumlearn_proto.page_pb2 import (
    AccountPage,
    AccountStatement,
    AuthorisationPage,
    BallotPage,
    BlockPage,
    ChallengePage,
    ContributionPage,
    MisconductPage,
    ParticipationPage,
    RoundPage,
    StakePage,
    SubmissionPage,
    TaskPage,
    TaskSummary,
)
from quorumlearn_proto.protocol import ACCUSE, BINARY, CONTRACT, PENDING, ROUND
from quorumlearn_proto.reward_pb2 import Account, Escrow, Stake, Totals
from quorumlearn_proto.task_pb2 import Participation, TaskSpec

from quorumlearn.gateway import EndorseError, EvaluateError, GatewayError
from quorumlearn.nodes import metrics

M = TypeVar("M", bound=Message)

PAGE = 100
_REFUSAL = re.compile(r"\[([A-Z][A-Z0-9_]+)\] (.*)", re.DOTALL)


class Refused(Exception):
    """The ledger refused a transaction: `code` is stable, `sentence` is for people."""

    def __init__(self, function: str, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.function = function
        self.code = code
        self.sentence = sentence


def refusal(error: GatewayError) -> tuple[str, str] | None:
    """(code, sentence) if what a peer passed on is a refusal of the contracts, `[CODE] sentence`."""
    for message in (*(detail.message for detail in error.details), str(error)):
        if found := _REFUSAL.search(message):
            return found[1], found[2]
    return None


@dataclass(frozen=True)
class CarriedKey:
    """A seat's step of the next round's ceremony, to be sent with its step in the round: a function of protocol.CARRIED, the
    attempt, and the contribution."""

    function: str
    attempt: int
    contribution: KeyContribution


@dataclass(frozen=True)
class StepOptions:
    """How a seat sends its step in a round. `pending`: others have yet to act, so the transaction does not look
    whether it completes the step; `key`: a step of the next round's ceremony, which is done with it or not at all."""

    pending: bool = False
    key: CarriedKey | None = None


NO_OPTIONS = StepOptions()


class Contract(Protocol):
    """What the market needs of a gateway's contract."""

    def evaluate(self, function: str, *args: str) -> bytes: ...

    def submit(self, function: str, *args: str) -> bytes: ...


class Market:
    """The contracts `tasks`, `blocks` and `rewards` for the identity behind `contract`."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    # rewards

    def initialise(self, config: Config) -> None:
        self._submit("rewards:Initialise", _json(config))

    def config(self) -> Config:
        return self._ask(Config, "rewards:Config")

    def version(self) -> ChaincodeVersion:
        """Of the chaincode that the own peer asks."""
        return self._ask(ChaincodeVersion, "rewards:Version")

    def mint(self, account: str, amount: int) -> None:
        self._submit("rewards:Mint", account, str(amount))

    def transfer(self, account: str, amount: int) -> None:
        self._submit("rewards:Transfer", account, str(amount))

    def account(self, account: str) -> Account:
        return self._ask(Account, "rewards:Account", account)

    def statement(self, account: str) -> AccountStatement:
        return self._ask(AccountStatement, "rewards:Statement", account)

    def accounts(self) -> Iterator[Account]:
        for page in self._pages(AccountPage, "rewards:Accounts"):
            yield from page.accounts

    def escrow(self, task: str) -> Escrow:
        return self._ask(Escrow, "rewards:Escrow", task)

    def stake(self, task: str, account: str) -> Stake:
        return self._ask(Stake, "rewards:Stake", task, account)

    def stakes(self, task: str) -> Iterator[Stake]:
        for page in self._pages(StakePage, "rewards:Stakes", task):
            yield from page.stakes

    def totals(self) -> Totals:
        return self._ask(Totals, "rewards:Totals")

    # tasks

    def publish(self, spec: TaskSpec) -> None:
        self._submit("tasks:Publish", _json(spec))

    def join_committee(self, task: str) -> None:
        self._submit("tasks:JoinCommittee", task)

    def leave_committee(self, task: str) -> None:
        self._submit("tasks:LeaveCommittee", task)

    def join(self, task: str) -> None:
        self._submit("tasks:Join", task)

    def leave(self, task: str) -> None:
        self._submit("tasks:Leave", task)

    def show_key(self, task: str, key: bytes) -> None:
        """`key` is the public half to which the owner of sealed data seals for this miner."""
        self._submit("tasks:ShowKey", task, key.hex())

    def cancel(self, task: str) -> None:
        self._submit("tasks:Cancel", task)

    def participations(self, task: str) -> Iterator[Participation]:
        """Of the miners that have joined, those that have left among them."""
        for page in self._pages(ParticipationPage, "tasks:Miners", task):
            yield from page.participations

    def task(self, task: str) -> TaskSummary:
        return self._ask(TaskSummary, "tasks:Get", task)

    def tasks(self) -> Iterator[TaskSummary]:
        for page in self._pages(TaskPage, "tasks:List"):
            yield from page.tasks

    # blocks

    def key_step(
        self,
        function: str,
        ceremony: tuple[str, int, int],
        contribution: KeyContribution,
        pending: bool = False,
    ) -> None:
        """`function` is that of a step of protocol.CEREMONY; `ceremony` is (task, round, attempt)."""
        task, number, attempt = ceremony
        self._step(
            StepOptions(pending),
            f"{CONTRACT}:{function}",
            task,
            str(number),
            str(attempt),
            _json(contribution),
        )

    def grant(self, task: str, number: int, keys: ArtifactRef) -> None:
        """`keys` are the SealedKeys that an owner gives for the round."""
        self._submit("blocks:Grant", task, str(number), _json(keys))

    def commit(self, task: str, number: int, manifest_digest: str) -> None:
        self._submit(ROUND[Phase.COMMIT].call, task, str(number), manifest_digest)

    def reveal(self, task: str, number: int, manifest: Manifest, claim: str) -> None:
        """`claim` is the digest (64 lower-case hex digits) of the sketch that the miner's own values have."""
        self._submit(ROUND[Phase.REVEAL].call, task, str(number), _json(manifest), claim)

    def reveal_beacon(self, task: str, number: int, secret: bytes, options: StepOptions = NO_OPTIONS) -> None:
        self._step(options, ROUND[Phase.BEACON].call, task, str(number), secret.hex())

    def open_trace(self, task: str, number: int, opening: ArtifactRef) -> None:
        """What the beacon draws of the miner's training: a TraceOpening, or a SealedOpening."""
        self._submit(ROUND[Phase.TRACE].call, task, str(number), _json(opening))

    def post_replay(
        self, task: str, number: int, report: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        """`report` is the seat's ReplayReport, which nobody sees yet."""
        self._step(options, ROUND[Phase.REPLAY].call, task, str(number), _json(report))

    def post_sketch(
        self, task: str, number: int, shares: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        self._step(options, ROUND[Phase.SCREEN].call, task, str(number), _json(shares))

    def vote_selection(
        self, task: str, number: int, selection: Selection, basis: str, options: StepOptions = NO_OPTIONS
    ) -> None:
        """`basis` is the digest of the seat and of the sketches that the selection judges by (nodes.committee.basis)."""
        self._step(options, ROUND[Phase.SELECT].call, task, str(number), _json(selection), basis)

    def accuse(self, task: str, number: int, accusation: Accusation) -> None:
        """Seat, fault and detail are the accuser's to give; who accuses, and where, the ledger fills in."""
        self._submit(ACCUSE, task, str(number), _json(accusation))

    def post_partial(
        self, task: str, number: int, aggregate: str, partial: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        self._step(options, ROUND[Phase.OPEN].call, task, str(number), aggregate, _json(partial))

    def propose(self, task: str, number: int, candidate: Candidate) -> None:
        self._submit(ROUND[Phase.PROPOSE].call, task, str(number), _json(candidate))

    def vote_block(
        self, task: str, number: int, fixed: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        """`fixed` is the ballot, which nobody sees yet (derived.fixed_ballot)."""
        self._step(options, ROUND[Phase.VALIDATE].call, task, str(number), _json(fixed))

    def show_ballots(self, task: str, number: int, ballots: Ballots) -> None:
        """What seats have fixed, once all have."""
        self._submit(ROUND[Phase.VALIDATE].show_call, task, str(number), _json(ballots))

    def advance(self, task: str) -> None:
        self._submit("blocks:Advance", task)

    def challenge(self, task: str, height: int, reason: str) -> None:
        self._submit("blocks:Challenge", task, str(height), reason)

    def vote_challenge(self, task: str, height: int, ballot: Ballot) -> None:
        self._submit("blocks:VoteChallenge", task, str(height), _json(ballot))

    def view(self, task: str) -> TaskView:
        return self._ask(TaskView, "blocks:View", task)

    def round_view(self, task: str, number: int) -> TaskView:
        """The view as of an earlier round: its submissions, screenings, contributions and ballots."""
        return self._ask(TaskView, "blocks:RoundView", task, str(number))

    def round(self, task: str, number: int) -> Round:
        return self._ask(Round, "blocks:Round", task, str(number))

    def rounds(self, task: str) -> Iterator[Round]:
        for page in self._pages(RoundPage, "blocks:Rounds", task):
            yield from page.rounds

    def block(self, task: str, height: int) -> Block:
        return self._ask(Block, "blocks:Block", task, str(height))

    def blocks(self, task: str) -> Iterator[Block]:
        for page in self._pages(BlockPage, "blocks:Blocks", task):
            yield from page.blocks

    def submissions(self, task: str, number: int) -> Iterator[Submission]:
        for page in self._pages(SubmissionPage, "blocks:Submissions", task, str(number)):
            yield from page.submissions

    def key_contributions(self, task: str, number: int) -> Iterator[KeyContribution]:
        """To all attempts at the round's ceremony, in their order."""
        for page in self._pages(ContributionPage, "blocks:KeyContributions", task, str(number)):
            yield from page.contributions

    def ballots(self, task: str, number: int, turn: int) -> Iterator[Ballot]:
        """On the candidate of a proposer's turn, from 0."""
        for page in self._pages(BallotPage, "blocks:Ballots", task, str(number), str(turn)):
            yield from page.ballots

    def challenges(self, task: str) -> Iterator[Challenge]:
        """The last of each block that was challenged."""
        for page in self._pages(ChallengePage, "blocks:Challenges", task):
            yield from page.challenges

    def misconducts(self, task: str) -> Iterator[Misconduct]:
        for page in self._pages(MisconductPage, "blocks:Misconducts", task):
            yield from page.misconducts

    def authorisations(self, task: str) -> Iterator[Authorisation]:
        for page in self._pages(AuthorisationPage, "blocks:Authorisations", task):
            yield from page.authorisations

    def _step(self, options: StepOptions, function: str, *args: str) -> None:
        """A seat's part of a step."""
        extra = [PENDING] if options.pending else []
        if options.key is not None:
            extra += [options.key.function, str(options.key.attempt), _json(options.key.contribution)]
        self._submit(function, *args, *extra)

    def _submit(self, function: str, *args: str) -> None:
        with metrics.timed(metrics.TRANSACTIONS, function):
            _refusals(function, lambda: self._contract.submit(function, *args))

    def _ask(self, kind: type[M], function: str, *args: str) -> M:
        answer = _refusals(function, lambda: self._contract.evaluate(function, *args, BINARY))
        try:
            return kind.FromString(answer)
        except DecodeError as error:
            raise EvaluateError(f"{function}: the peer's answer is no {kind.DESCRIPTOR.name}") from error

    def _pages(self, kind: type[M], function: str, *args: str) -> Iterator[M]:
        bookmark = ""
        while True:
            page = self._ask(kind, function, *args, str(PAGE), bookmark)
            yield page
            bookmark = getattr(page, "bookmark")  # noqa: B009  (every page message has one)
            if not bookmark:
                return


def _json(message: Message) -> str:
    return canonical.to_json(message).decode()


def _refusals(function: str, call: Callable[[], bytes]) -> bytes:
    try:
        return call()
    except (EvaluateError, EndorseError) as error:
        refused = refusal(error)
        if refused is None:
            raise
        metrics.REFUSED.labels(function, refused[0]).inc()
        raise Refused(function, *refused) from error
