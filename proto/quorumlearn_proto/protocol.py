"""The protocol's steps, written once: what moves a round and a key ceremony stands in the two tables of this module.

A round goes through the phases of `ROUND`, its ceremony through the steps of `CEREMONY`, most often while the round before is under
way. A step closes when everybody who can still act in it has acted, or when its time is over; then it leads to another.
Contracts, nodes and docs read the tables, and nothing here knows which of them does (model: h11's `_state`). What a record must say is for
the contracts to check; when to act, and what to send together, is for the nodes to decide.

>>> ROUND[Phase.BEACON].call, ROUND[Phase.BEACON].done(KeyContribution(beacon="ab"))
('blocks:RevealBeacon', True)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType

from google.protobuf.message import Message

from .block_pb2 import Ballot, CeremonyStep, Fault, KeyContribution, Phase, Round, Screening, Submission
from .task_pb2 import Timeouts

CONTRACT = "blocks"
ACCUSE = "blocks:Accuse"
"""With it a seat says that another's shares are false, or that they contradict each other. It is nobody's part of a step."""
GRANT = "blocks:Grant"
"""With it the owner of a task with sealed data names the keys of a round's chunks, as those who train on them are given them."""
PENDING = "pending"
"""What may follow a seat's arguments: others have yet to act, so its transaction does not look whether it completes the step."""
BINARY = "binary"
"""What may follow a query's arguments: it answers in protobuf's binary form."""


class Actor(StrEnum):
    """Who acts in a step."""

    NOBODY = "nobody"
    MINERS = "the round's miners"
    COMMITTED = "the miners who have committed"
    REVEALED = "the miners who have revealed"
    PROPOSER = "the miner whose turn it is"
    SEATS = "the round's seats"
    CEREMONY = "the ceremony's seats"


OF_MINERS = frozenset({Actor.MINERS, Actor.COMMITTED, Actor.REVEALED, Actor.PROPOSER})
OF_SEATS = frozenset({Actor.SEATS, Actor.CEREMONY})


@dataclass(frozen=True, kw_only=True)
class _Step:
    """`function` is what an actor calls, `timeout` the field of Timeouts that bounds the step ("" if nothing does). An actor's part
    is done when its `record` has one of these `fields`, or is there at all if none is named. `closing` says what closing means, beside
    what holds for every step: a missing seat takes no further part, and with fewer than t left the attempt ends. What that and other
    faults cost stands in `penalties`.
    """

    function: str = ""
    actor: Actor
    timeout: str = ""
    record: type[Message] | None = None
    fields: tuple[str, ...] = ()
    closing: str = ""

    @property
    def call(self) -> str:
        """The function with its contract, as it is called and as events name it."""
        return f"{CONTRACT}:{self.function}"

    def done(self, record: Message | None) -> bool:
        """Whether an actor whose record this is has acted."""
        if record is None:
            return False
        return not self.fields or any(
            record.HasField(field) if field in self._records else bool(getattr(record, field))
            for field in self.fields
        )

    @cached_property
    def _records(self) -> frozenset[str]:
        """Those of the fields that hold a record, which may be there and empty."""
        known = self.record.DESCRIPTOR.fields_by_name if self.record is not None else {}
        return frozenset(field for field in self.fields if known[field].has_presence)

    def seconds(self, timeouts: Timeouts) -> int:
        """How long the step may take."""
        return int(getattr(timeouts, self.timeout))


@dataclass(frozen=True, kw_only=True)
class RoundStep(_Step):
    """A phase of a round. It leads to the first of these phases if all goes well. Where it `carries`, a seat's transaction may take a
    step of the next round's ceremony along: both are done, or neither. `accused`: of what seats may accuse each other in it.
    `shows`: by `function` an actor only fixes its part; one of them shows everybody's by this function, and then they are done.
    `replayed`: a round has the phase only where the committee replays trainings (`recompute.replays`).
    """

    at: Phase
    leads_to: tuple[Phase, ...]
    carries: bool = False
    accused: tuple[Fault, ...] = ()
    shows: str = ""
    replayed: bool = False

    @property
    def show_call(self) -> str:
        return f"{CONTRACT}:{self.shows}"

    @cached_property
    def name(self) -> str:
        return Phase.Name(self.at)

    @property
    def next(self) -> Phase:
        return self.leads_to[0]

    def following(self, replayed: bool) -> Phase:
        """Where it leads if all goes well, in a task whose trainings the committee replays or in another."""
        return next(at for at in self.leads_to if replayed or at not in ROUND or not ROUND[at].replayed)


@dataclass(frozen=True, kw_only=True)
class KeyStep(_Step):
    """A step of a key ceremony. It leads to the first of these steps if all goes well; `carried` if a transaction of the round before may
    take it along.
    """

    at: CeremonyStep
    leads_to: tuple[CeremonyStep, ...]
    carried: bool = False
    actor: Actor = Actor.CEREMONY
    timeout: str = "key"
    record: type[Message] | None = KeyContribution

    @cached_property
    def name(self) -> str:
        return CeremonyStep.Name(self.at)

    @property
    def next(self) -> CeremonyStep:
        return self.leads_to[0]


_CEREMONY = (
    KeyStep(
        at=CeremonyStep.KEY_COMMIT,
        function="CommitKey",
        fields=("public_share",),
        carried=True,
        leads_to=(CeremonyStep.KEY_REVEAL, CeremonyStep.KEY_FAILED),
    ),
    KeyStep(
        at=CeremonyStep.KEY_REVEAL,
        function="RevealKey",
        fields=("sealed_shares",),
        carried=True,
        leads_to=(CeremonyStep.KEY_TEST, CeremonyStep.KEY_FAILED),
    ),
    KeyStep(
        at=CeremonyStep.KEY_TEST,
        function="TestKey",
        fields=("test_partial", "complaint"),
        carried=True,
        leads_to=(CeremonyStep.KEY_CONFIRM, CeremonyStep.KEY_OPEN, CeremonyStep.KEY_FAILED),
        closing="After a complaint: KEY_OPEN.",
    ),
    KeyStep(
        at=CeremonyStep.KEY_CONFIRM,
        function="ConfirmKey",
        fields=("confirmed_key", "complaint"),
        carried=True,
        leads_to=(CeremonyStep.KEY_READY, CeremonyStep.KEY_OPEN, CeremonyStep.KEY_FAILED),
        closing="After a complaint, or if two keys were confirmed: KEY_OPEN.",
    ),
    KeyStep(
        at=CeremonyStep.KEY_OPEN,
        function="OpenKey",
        fields=("opened_sealing_key",),
        leads_to=(CeremonyStep.KEY_BLAME, CeremonyStep.KEY_FAILED),
    ),
    KeyStep(
        at=CeremonyStep.KEY_BLAME,
        function="BlameKey",
        fields=("blame",),
        leads_to=(CeremonyStep.KEY_COMMIT, CeremonyStep.KEY_FAILED),
        closing="t equal votes: the seats that they blame are left out of the next attempt. Otherwise all that voted are in it. After "
        "v + 1 attempts: KEY_FAILED.",
    ),
)
CEREMONY: Mapping[CeremonyStep, KeyStep] = MappingProxyType({step.at: step for step in _CEREMONY})

_ROUND = (
    RoundStep(
        at=Phase.KEY,
        actor=Actor.NOBODY,
        leads_to=(Phase.COMMIT, Phase.ENDED),
        closing="The round waits for its ceremony. KEY_READY: it begins. KEY_FAILED: aborted.",
    ),
    RoundStep(
        at=Phase.COMMIT,
        function="Commit",
        actor=Actor.MINERS,
        timeout="commit",
        record=Submission,
        leads_to=(Phase.BEACON, Phase.ENDED),
        closing="With fewer than `min_miners` commits: aborted.",
    ),
    RoundStep(
        at=Phase.BEACON,
        function="RevealBeacon",
        actor=Actor.SEATS,
        timeout="beacon",
        record=KeyContribution,
        fields=("beacon",),
        carries=True,
        leads_to=(Phase.REVEAL, Phase.ENDED),
    ),
    RoundStep(
        at=Phase.REVEAL,
        function="Reveal",
        actor=Actor.COMMITTED,
        timeout="reveal",
        record=Submission,
        fields=("manifest",),
        leads_to=(Phase.TRACE, Phase.SCREEN, Phase.ENDED),
        closing="A missing miner is WITHHELD; with fewer than `min_miners` left: aborted. Where no training is replayed: SCREEN.",
    ),
    RoundStep(
        at=Phase.TRACE,
        function="OpenTrace",
        actor=Actor.REVEALED,
        timeout="trace",
        record=Submission,
        fields=("opening",),
        replayed=True,
        leads_to=(Phase.REPLAY, Phase.ENDED),
        closing="A missing miner is NO_TRACE, and its update is not sketched; with fewer than `min_miners` left: aborted.",
    ),
    RoundStep(
        at=Phase.REPLAY,
        function="PostReplay",
        actor=Actor.SEATS,
        timeout="replay",
        record=Screening,
        fields=("replays",),
        carries=True,
        replayed=True,
        leads_to=(Phase.SCREEN, Phase.ENDED),
    ),
    RoundStep(
        at=Phase.SCREEN,
        function="PostSketch",
        actor=Actor.SEATS,
        timeout="screen",
        record=Screening,
        fields=("sketch_shares",),
        carries=True,
        leads_to=(Phase.SELECT, Phase.ENDED),
    ),
    RoundStep(
        at=Phase.SELECT,
        function="VoteSelection",
        actor=Actor.SEATS,
        timeout="select",
        record=Screening,
        fields=("selection",),
        carries=True,
        accused=(Fault.BAD_SKETCH_SHARES, Fault.FALSE_REPLAY),
        leads_to=(Phase.OPEN, Phase.ENDED),
        closing="A seat that voted otherwise than t equal votes leaves too (FALSE_VOTE), unless it lacked the sketches of f miners at "
        "most. Without t equal votes: aborted. If they give nobody a weight: rejected.",
    ),
    RoundStep(
        at=Phase.OPEN,
        function="PostPartial",
        actor=Actor.SEATS,
        timeout="open",
        record=Screening,
        fields=("partial",),
        carries=True,
        accused=(Fault.UNFOUNDED_VOTE,),
        leads_to=(Phase.PROPOSE, Phase.ENDED),
        closing="A seat whose digest differs from t equal ones leaves too (FALSE_VOTE). Without t equal digests: aborted.",
    ),
    RoundStep(
        at=Phase.PROPOSE,
        function="Propose",
        actor=Actor.PROPOSER,
        timeout="propose",
        record=Round,
        fields=("candidate",),
        accused=(Fault.BAD_PARTIAL,),
        leads_to=(Phase.VALIDATE, Phase.PROPOSE, Phase.ENDED),
        closing="The turn passes to the next miner in the order; after the last: aborted.",
    ),
    RoundStep(
        at=Phase.VALIDATE,
        function="VoteBlock",
        actor=Actor.SEATS,
        timeout="validate",
        record=Ballot,
        fields=("reason",),
        carries=True,
        shows="ShowBallots",
        accused=(Fault.BAD_PARTIAL,),
        leads_to=(Phase.ENDED, Phase.PROPOSE),
        closing="t GOOD: accepted. t SCORE_FELL: rejected. t WRONG_MODEL: the turn passes to the next. Otherwise: aborted. WRONG_MODEL "
        "against t that find the model right (GOOD, SCORE_FELL), and these against t WRONG_MODEL, is a FALSE_VOTE: out.",
    ),
)
ROUND: Mapping[Phase, RoundStep] = MappingProxyType({step.at: step for step in _ROUND})

_ALL: tuple[RoundStep | KeyStep, ...] = (*_CEREMONY, *_ROUND)
STEPS: Mapping[str, RoundStep | KeyStep] = MappingProxyType(
    {step.name: step for step in _ALL if step.function}
)
"""The steps in which somebody acts, by their name on the ledger (Misconduct.step, for example)."""
ACCUSED: Mapping[Phase, tuple[Fault, ...]] = MappingProxyType(
    {step.at: step.accused for step in _ROUND if step.accused}
)
PHASES: Mapping[str, tuple[Phase, ...]] = MappingProxyType(
    {step.call: (step.at,) for step in _ROUND if step.function}
    | {step.show_call: (step.at,) for step in _ROUND if step.shows}
    | {ACCUSE: tuple(ACCUSED), GRANT: (Phase.COMMIT,)}
)
"""The phases in which a function may be called, by its call."""
CARRIED: Mapping[str, KeyStep] = MappingProxyType({step.function: step for step in _CEREMONY if step.carried})
"""What may be carried, by the function. Its name, the attempt and the contribution then follow the carrier's arguments."""
