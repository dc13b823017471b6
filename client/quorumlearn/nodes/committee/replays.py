"""What a seat replays in one round, each item once.

Rules:
- an opening's size is checked before it is read, and it is parsed strictly. What is wrong with it is its miner's, and a finding
  (quorumlearn.replay.checking); what fails here is this seat's, and is tried again when asked again;
- each replay that was done is in the journal: restarted, a seat finds the same;
- one replay at a time in a node, beside its trainings, which may be longer than REPLAY; it ends once nobody waits for it;
- where a replay has no one answer (quorumlearn.replay.steadiness) it says so, and nobody is judged by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import MISSING, WRONG, Replay, ReplayFinding
from quorumlearn_proto.recompute import drawn_items, team_of
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import learning, replay
from quorumlearn.artifacts import (
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactStore,
    ArtifactTooLarge,
    BadReference,
)
from quorumlearn.learning.exact import ExactTraining
from quorumlearn.nodes import metrics
from quorumlearn.nodes.committee.ceremony_part import CeremonyPart
from quorumlearn.nodes.committee.confirming import Replayed
from quorumlearn.nodes.committee.reports import FAILED
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.models import load_public
from quorumlearn.nodes.screening import Overtaken, never
from quorumlearn.nodes.training import Stopped, Workshop
from quorumlearn.nodes.work import drawn, exactness, opening
from quorumlearn.nodes.work.chunks import UNREADABLE
from quorumlearn.nodes.work.drawn import Item, Key
from quorumlearn.nodes.work.tracing import Progress, Reader

log = structlog.get_logger()


@dataclass
class Replays:
    """Of one seat in one round; `journal` holds the round's entries. `unreadable` are the miners of whose chunks some could not be read
    when they were last looked for."""

    me: str
    spec: TaskSpec
    ceremony: CeremonyPart
    store: ArtifactStore
    journal: Journal
    reader: Reader
    workshop: Workshop
    _base: tuple[ExactTraining, learning.Model] | None = field(default=None, repr=False)
    _known_steady: dict[Key, bool] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    _cpu_seconds: float = 0.0

    def replayed(
        self, view: b.TaskView, items: Iterable[Item], overtaken: Callable[[], bool] = never
    ) -> dict[Key, Replayed]:
        """This seat's replay of each item, done once. What the store lacks, and what failed here, is tried again when asked again."""
        wanted: dict[str, list[int]] = {}
        for item in items:
            wanted.setdefault(item.miner, []).append(item.number)
        found: dict[Key, Replayed] = {}
        for one in drawn.revealed(view):
            numbers = wanted.get(one.miner, [])
            known = {number: self.kept(one.miner, number) for number in numbers}
            found |= {(one.miner, number): done for number, done in known.items() if done is not None}
            left = [number for number, done in known.items() if done is None]
            if left:
                for done in self._checked(view, one, left, overtaken):
                    found[done.replay.miner, done.replay.item] = done
                    if done.replay.found not in (MISSING, FAILED):
                        self._keep(done)
        return found

    def _checked(
        self, view: b.TaskView, one: b.Submission, numbers: Sequence[int], overtaken: Callable[[], bool]
    ) -> list[Replayed]:
        spec, now = self.spec, view.round
        loaded = self.loaded(view, one)
        if not isinstance(loaded, tuple):
            return _all(one, numbers, loaded)
        work, plain = loaded
        progress = Progress("replays", spec.task_id, now.number, self.me)
        try:
            with self.workshop.replays:
                began, computed = time.monotonic(), time.thread_time()
                findings = replay.check(
                    plain,
                    one,
                    work,
                    parameters_of(spec),
                    bytes.fromhex(now.beacon),
                    drawn=drawn_items(spec, now.beacon, one.miner, one.manifest.steps),
                    items=numbers,
                    on_step=progress.unless(self.workshop.stop, overtaken),
                )
                metrics.REPLAY_SECONDS.labels(spec.task_id).inc(time.monotonic() - began)
                self._cpu_seconds += time.thread_time() - computed
        except Stopped as error:
            raise Overtaken("the round has gone on, what was replayed for it is dropped") from error
        metrics.REPLAYED_SEGMENTS.labels(spec.task_id).inc(sum(item <= work.segments for item in numbers))
        for finding in findings:
            if finding.reason:
                log.warning(
                    finding.outcome.value,
                    **self.about(view),
                    miner=one.miner,
                    item=finding.item,
                    why=finding.reason,
                )
        return [_replayed(one, finding) for finding in findings]

    def loaded(self, view: b.TaskView, one: b.Submission) -> tuple[replay.Work, bytes] | ReplayFinding:
        """What a miner was to do, and its opening; or what there is to say of all its items, if nothing can be replayed."""
        spec, now = self.spec, view.round
        if self.ceremony.seat not in drawn.able_seats(view, one.manifest.profile):
            return FAILED
        count = chunks_of(spec, now, one)
        if count is None:
            return WRONG
        _, team = team_of(now, one.miner)
        try:
            self.unreadable.discard(one.miner)
            data = self.reader.samples(view, team, count)
        except UNREADABLE as error:
            self.unreadable.add(one.miner)
            log.warning("cannot replay", **self.about(view), miner=one.miner, why=str(error))
            return FAILED
        training, base = self._begun(view)
        work = exactness.work_of(spec, now, one.miner, base, data, training, count)
        try:
            artifact = opening.fetched(self.store, view, one, opening.most_bytes(spec, work))
            return work, opening.opened(view, one, artifact, self.ceremony.sealing_key, self.ceremony.seat)
        except (ArtifactMissing, ArtifactCorrupt, opening.NoOpening):
            return MISSING
        except (ArtifactTooLarge, BadReference):
            return WRONG

    def steady(self, view: b.TaskView, one: b.Submission, number: int, overtaken: Callable[[], bool]) -> bool:
        """Whether a replay of an item has one answer, asked once. What this seat replayed and cannot any more has none."""
        key = one.miner, number
        if key in self._known_steady:
            return self._known_steady[key]
        loaded = self.loaded(view, one)
        if not isinstance(loaded, tuple):
            return loaded == WRONG
        work, plain = loaded
        progress = Progress("replays", self.spec.task_id, view.round.number, self.me)
        try:
            with self.workshop.replays:
                steady = replay.steady(
                    plain,
                    one,
                    work,
                    bytes.fromhex(view.round.beacon),
                    drawn=drawn_items(self.spec, view.round.beacon, one.miner, one.manifest.steps),
                    item=number,
                    on_step=progress.unless(self.workshop.stop, overtaken),
                )
        except Stopped as error:
            raise Overtaken("the round has gone on, what was replayed for it is dropped") from error
        if not steady:
            log.warning("on an edge", **self.about(view), miner=one.miner, item=number)
        self._known_steady[key] = steady
        return steady

    def spent(self) -> dict[str, float]:
        """What replaying took in processor time since it was last said."""
        spent, self._cpu_seconds = self._cpu_seconds, 0.0
        return {"cpu_seconds": round(spent, 3)}

    def _begun(self, view: b.TaskView) -> tuple[ExactTraining, learning.Model]:
        if self._base is None:
            base = load_public(self.store, self.spec, view.round.base.model)
            self._base = exactness.training_of(self.spec), base
        return self._base

    def kept(self, miner: str, number: int) -> Replayed | None:
        data = self.journal.get(f"replayed/{miner}/{number}")
        if data is None:
            return None
        claimed, _, record = data.partition(b"\n")
        return Replayed(Replay.FromString(record), claimed.decode())

    def _keep(self, done: Replayed) -> None:
        record = done.replay.SerializeToString(deterministic=True)
        name = f"replayed/{done.replay.miner}/{done.replay.item}"
        self.journal.put(name, done.claimed.encode() + b"\n" + record)

    def about(self, view: b.TaskView) -> dict[str, object]:
        return {"task": self.spec.task_id, "round": view.round.number, "identity": self.me}


def chunks_of(spec: TaskSpec, now: b.Round, one: b.Submission) -> int | None:
    """On how many of its team's chunks a miner says to have trained; None if it cannot have."""
    _, team = team_of(now, one.miner)
    count, rest = divmod(one.manifest.steps, spec.recompute.chunk_steps)
    return count if not rest and 1 <= count <= len(team.chunks) else None


def _all(one: b.Submission, numbers: Iterable[int], found: ReplayFinding) -> list[Replayed]:
    """The same of all these items, where none was replayed."""
    return [Replayed(Replay(miner=one.miner, item=number, found=found)) for number in numbers]


def _replayed(one: b.Submission, finding: replay.Finding) -> Replayed:
    if finding.outcome is replay.Outcome.FAILED:
        return Replayed(Replay(miner=one.miner, item=finding.item, found=FAILED), finding.claimed)
    return Replayed(finding.record(one.miner), finding.claimed)
