"""A seat's side: replay what was drawn of a miner's training, and say of each item whether the work is right.

Rules:
- whatever is wrong with an opening is the miner's, and a finding with a reason; nothing of it ends in an exception;
- a segment is right if both its checkpoints lead to the root, the first one's state is what its leaf says, the log names near ties only,
  and the replay ends in the digests of the second;
- the last checkpoint is right if it leads to the root and the update that comes of it has, with the opening's salt, the claimed sketch;
- a replay that dies was the seat's own misfortune if the training dies from the base too, or if what it died of is the machine's (memory,
  files): the finding is FAILED, and says nothing of the miner. A training that begins well, and dies twice from what was opened, was never
  done from there: WRONG;
- a receipt is what nobody learns without the replay, and is given whenever there was one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from google.protobuf.message import DecodeError
from quorumlearn_proto.artifact_pb2 import (
    RIGHT,
    WRONG,
    CheckpointLeaf,
    OpenedSegment,
    Replay,
    TraceOpening,
)
from quorumlearn_proto.block_pb2 import Submission

from quorumlearn import ckks
from quorumlearn.learning import OnStep
from quorumlearn.learning.exact import NearTie, State, Stretch, WrongTie
from quorumlearn.replay import merkle
from quorumlearn.replay.errors import StateError
from quorumlearn.replay.states import MOST_TIES, Checkpoint, checkpoint_of, digest, ties_from_bytes
from quorumlearn.replay.work import Work, steps_of

SALT_BYTES = 32
_RECEIPT = b"quorumlearn/last-checkpoint/1"
_AN_ITEM = 1 << 13
"""Bytes of names, digests and paths of an opened item, at most."""


class Outcome(Enum):
    """What a seat says of an item."""

    RIGHT = "right"
    WRONG = "wrong"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """Of one item.

    receipt: 32 bytes, or empty where nothing was replayed. claimed, replayed: hex digests of the checkpoint that the segment ends in or, of
    the last item, claims of the update's sketch; replayed is empty where nothing was. reason: a sentence, of what is not RIGHT.
    """

    item: int
    outcome: Outcome
    receipt: bytes
    claimed: str
    replayed: str
    reason: str = ""

    def record(self, miner: str) -> Replay:
        """As it stands in a ReplayReport. ValueError for FAILED, of which a report says nothing."""
        if self.outcome is Outcome.FAILED:
            raise ValueError(f"item {self.item} of {miner} could not be replayed: {self.reason}")
        found = RIGHT if self.outcome is Outcome.RIGHT else WRONG
        return Replay(
            miner=miner,
            item=self.item,
            found=found,
            receipt=self.receipt,
            digest=bytes.fromhex(self.replayed),
        )


def most_opening_bytes(work: Work, segments: int) -> int:
    """At least as many bytes as an honest opening of so many drawn segments has: a limit for what is read."""
    return (segments + 1) * (work.forms.most_bytes + _AN_ITEM) + segments * 9 * MOST_TIES


def check(
    opening: bytes,
    submission: Submission,
    work: Work,
    parameters: ckks.Parameters,
    beacon: bytes,
    *,
    drawn: Sequence[int],
    items: Sequence[int],
    on_step: OnStep | None = None,
) -> list[Finding]:
    """Replay `items` of what was `drawn` of a miner's training, and find of each whether it is right, in their order.

    opening: TraceOpening, as it came from the store. submission: the ledger's, revealed. work: what the miner should have done, with the
    steps of its manifest. beacon: the round's, which fixes the sketch. drawn: recompute.drawn_items.
    `on_step(done, of)` is called after each replayed step; an exception that it raises passes through. ckks.QuantiseError if the parameters
    are of another model: no opening leads to that.
    """
    try:
        opened = _Opened.read(opening, submission, work, drawn)
    except _Wrong as wrong:
        return [Finding(item, Outcome.WRONG, b"", "", "", str(wrong)) for item in items]
    step = Watched(on_step)
    return [opened.find(item, parameters, beacon, step) for item in items]


def opened_segment(
    opening: bytes, submission: Submission, work: Work, drawn: Sequence[int], item: int
) -> tuple[State, tuple[NearTie, ...]] | None:
    """From where, and by which near ties, a segment is replayed; None if its opening is none."""
    try:
        opened = _Opened.read(opening, submission, work, drawn)
        segment = opened.segments[item]
        return opened.start(segment), ties_from_bytes(segment.ties)
    except (_Wrong, StateError):
        return None


class _Wrong(Exception):
    """Something in the opening is wrong."""


class _Died(Exception):
    """The replay could not be done here."""


@dataclass
class _Claimed:
    """The digest that an item claims, once it is known."""

    digest: str = ""


class Watched:
    """Calls a seat's `on_step`, and knows again what that raises."""

    def __init__(self, on_step: OnStep | None) -> None:
        self._on_step = on_step
        self.raised: BaseException | None = None

    def __call__(self, done: int, of: int) -> None:
        if self._on_step is None:
            return
        try:
            self._on_step(done, of)
        except BaseException as error:
            self.raised = error
            raise


@dataclass(frozen=True, eq=False)
class _Opened:
    """A parsed opening that is of this submission and of these items."""

    work: Work
    submission: Submission
    root: bytes
    segments: dict[int, OpenedSegment]
    opening: TraceOpening

    @staticmethod
    def read(data: bytes, submission: Submission, work: Work, drawn: Sequence[int]) -> _Opened:
        wanted = sorted(set(drawn) - {work.last_item})
        most = most_opening_bytes(work, len(wanted))
        if len(data) > most:
            raise _Wrong(f"an opening of {len(data)} bytes; at most {most} are expected")
        opening = TraceOpening()
        try:
            opening.ParseFromString(data)
        except DecodeError:
            raise _Wrong("the opening is no TraceOpening") from None
        said = (opening.task_id, opening.round, opening.miner)
        if said != (submission.task_id, submission.round, submission.miner):
            raise _Wrong(f"the opening says to be of {opening.miner[:80]!r} in round {opening.round}")
        if [one.number for one in opening.segments] != wanted:
            given = [one.number for one in opening.segments][:20]
            raise _Wrong(f"segments {given} were opened, {wanted} were drawn")
        try:
            root = bytes.fromhex(submission.manifest.trace_root)
        except ValueError:
            raise _Wrong("the manifest's trace_root is not hexadecimal") from None
        return _Opened(work, submission, root, {one.number: one for one in opening.segments}, opening)

    def find(self, item: int, parameters: ckks.Parameters, beacon: bytes, on_step: Watched) -> Finding:
        """What there is to say of one item."""
        claimed = _Claimed()
        try:
            if item == self.work.last_item:
                return self._last(claimed, parameters, beacon)
            return self._segment(item, claimed, on_step)
        except _Wrong as wrong:
            return Finding(item, Outcome.WRONG, b"", claimed.digest, "", str(wrong))
        except _Died as died:
            return Finding(item, Outcome.FAILED, b"", claimed.digest, "", str(died))
        except MemoryError:
            return Finding(
                item, Outcome.FAILED, b"", claimed.digest, "", "this machine has too little memory"
            )

    def _segment(self, item: int, claimed: _Claimed, on_step: Watched) -> Finding:
        segment, work = self.segments[item], self.work
        profile, own = self.submission.manifest.profile, work.training.profile
        if own and own != profile:
            raise _Died(f"trained on numeric profile {profile[:12]!r}; this machine has {own[:12]}")
        end = self._leaf(segment.end, item, "the checkpoint that it ends in")
        claimed.digest = end.digest.hex()
        if end.ties != hashlib.sha256(segment.ties).digest():
            raise _Wrong("the log of near ties is not the one that its checkpoint says")
        start = self.start(segment)
        try:
            ties = ties_from_bytes(segment.ties)
        except StateError as error:
            raise _Wrong(str(error)) from None
        stretch = _Replayed(work, on_step).run(start, item, ties)
        replayed = checkpoint_of(item, stretch.end, segment.ties)
        right = replayed == end
        reason = "" if right else f"the replay of segment {item} ends in another checkpoint"
        outcome = Outcome.RIGHT if right else Outcome.WRONG
        return Finding(item, outcome, stretch.receipt, claimed.digest, replayed.digest.hex(), reason)

    def _last(self, claimed: _Claimed, parameters: ckks.Parameters, beacon: bytes) -> Finding:
        work, last = self.work, self.opening.last
        claimed.digest = self.submission.claim
        leaf = self._leaf(last.leaf, work.segments, "the last checkpoint")
        try:
            weights = work.forms.read_weights(last.weights)
        except StateError as error:
            raise _Wrong(f"the last checkpoint: {error}") from None
        if digest(weights) != leaf.weights:
            raise _Wrong("the last checkpoint's weights are not those that its leaf says")
        if len(self.opening.salt) != SALT_BYTES:
            raise _Wrong(f"a salt of {len(self.opening.salt)} bytes; it has {SALT_BYTES}")
        values = steps_of(work.base, weights, parameters, work.seed)
        plan = ckks.round_plan(parameters, beacon)
        sketch = ckks.plain_sketch(parameters, plan, values)
        replayed = ckks.claim_of(parameters, plan, sketch, self.submission.miner, self.opening.salt).hex()
        receipt = hashlib.sha256(_RECEIPT + np.ascontiguousarray(sketch, dtype="<f8").tobytes()).digest()
        right = replayed == claimed.digest
        reason = "" if right else "the update of the last checkpoint has another sketch than the one claimed"
        outcome = Outcome.RIGHT if right else Outcome.WRONG
        return Finding(work.last_item, outcome, receipt, claimed.digest, replayed, reason)

    def start(self, segment: OpenedSegment) -> State:
        """The checkpoint that a segment starts from."""
        work, number = self.work, segment.number - 1
        if number == 0:
            if segment.HasField("start"):
                raise _Wrong("segment 1 starts from the base, and was opened with another checkpoint")
            return work.begin
        leaf = self._leaf(segment.start.leaf, number, "the checkpoint that it starts from")
        try:
            state = work.forms.read(work.step_of(number), segment.start.weights, segment.start.optimiser)
        except StateError as error:
            raise _Wrong(f"the checkpoint that it starts from: {error}") from None
        if (digest(state.weights), digest(state.optimiser)) != (leaf.weights, leaf.optimiser):
            raise _Wrong("the checkpoint that it starts from is not the one that its leaf says")
        return state

    def _leaf(self, leaf: CheckpointLeaf, number: int, what: str) -> Checkpoint:
        if any(len(one) != merkle.HASH_BYTES for one in (leaf.weights, leaf.optimiser, leaf.ties)):
            raise _Wrong(f"{what}: a digest of another length than {merkle.HASH_BYTES} bytes")
        found = Checkpoint(number, leaf.weights, leaf.optimiser, leaf.ties)
        if not merkle.verify(self.root, found.digest, number, self.work.segments + 1, leaf.path):
            raise _Wrong(f"{what} does not lead to the root")
        return found


@dataclass(frozen=True)
class _Replayed:
    """A replay, and whose fault it is if it dies."""

    work: Work
    on_step: Watched

    def run(self, start: State, item: int, ties: Sequence[NearTie]) -> Stretch:
        """Replay a segment. _Wrong if its log or its start is at fault, _Died if this seat is."""
        try:
            return self.work.run(start, item, ties, self.on_step)
        except WrongTie as error:
            raise _Wrong(str(error)) from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's training dies of
            first = self._own(error)
        try:
            self.work.run(self.work.begin, 1, None, self.on_step)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            said = self._own(error)
            raise _Died(f"the training dies from the base, too: {said}; and before: {first}") from None
        try:
            return self.work.run(start, item, ties, self.on_step)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self._own(error)
            kind = type(error).__name__
        raise _Wrong(f"the training dies from what was opened ({kind}), and not from the base")

    def _own(self, error: BaseException) -> str:
        """What an exception says, unless it is the seat's to stop (raised on) or the machine's (_Died)."""
        if error is self.on_step.raised:
            raise error
        said = f"{type(error).__name__}: {str(error)[:200]}"
        if _is_machines(error):
            raise _Died(f"this machine failed: {said}") from None
        return said


def _is_machines(error: BaseException | None) -> bool:
    """Whether memory or files were wanting, also where a workload's code met it first. Torch says it with a RuntimeError."""
    while error is not None:
        if isinstance(error, MemoryError | OSError):
            return True
        if isinstance(error, RuntimeError) and "alloc" in str(error) and "memory" in str(error):
            return True
        error = error.__cause__
    return False
