"""A seat's replays in one round: what is drawn for it in REPLAY, and in SELECT whatever the reports leave open.

Rules:
- an opening's size is checked before it is read, and it is parsed strictly. What is wrong with it is its miner's, and a finding
  (quorumlearn.replay.checking); what fails here is this seat's: it tries again, and misses the step if it fails to the end;
- chunks that cannot be read, spoilt or removed by their owner, are nobody's fault here: at last the seat reports that it cannot tell;
- each replay that was done is in the journal, and the report before its digest is on the ledger: restarted, a seat says the same;
- one replay at a time in a node, beside its trainings, which may be longer than REPLAY; it ends once nobody waits for it;
- what is drawn for seats that stay silent is replayed before REPLAY is over, or there might be no time for it in SELECT;
- which openings were there when a third of REPLAY was over is noted, and those that somebody has removed since are shown again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import MISSING, RIGHT, WRONG, Replay, ReplayFinding
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.recompute import drawn_items, team_of
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import learning, replay
from quorumlearn.artifacts import (
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactStore,
    ArtifactTooLarge,
    BadReference,
    reference_of,
)
from quorumlearn.learning.exact import ExactTraining
from quorumlearn.nodes import exchange, metrics
from quorumlearn.nodes.committee import confirming, reports
from quorumlearn.nodes.committee.attempt import Finding
from quorumlearn.nodes.committee.ceremony_part import CeremonyPart
from quorumlearn.nodes.committee.confirming import Replayed
from quorumlearn.nodes.committee.reports import FAILED, Report
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.models import load_public
from quorumlearn.nodes.screening import Overtaken, never
from quorumlearn.nodes.training import Stopped, Workshop
from quorumlearn.nodes.work import drawn, exactness, opening
from quorumlearn.nodes.work.chunks import UNREADABLE
from quorumlearn.nodes.work.drawn import Item, Key
from quorumlearn.nodes.work.tracing import Progress, Reader
from quorumlearn.nodes.work.useful_work import Unsound

log = structlog.get_logger()

WAIT_SECONDS = 1.0
"""How long a report that all seats show at the same time is looked for, before the step is tried again."""


class CannotTell(exchange.ExchangeError):
    """A training that this seat could not replay, and of which others have yet to vote."""


@dataclass(frozen=True)
class Confirmed:
    """By miner, why work does not stand; and whose reports are false."""

    unsound: Mapping[str, Unsound]
    false: tuple[Finding, ...] = ()
    undecided: str = ""


@dataclass
class Replaying:
    """Of one seat in one round; `journal` holds the round's entries."""

    me: str
    spec: TaskSpec
    ceremony: CeremonyPart
    store: ArtifactStore
    journal: Journal
    reader: Reader
    workshop: Workshop
    _base: tuple[ExactTraining, learning.Model] | None = field(default=None, repr=False)
    _confirmed: Confirmed | None = None
    _known_steady: dict[Key, bool] = field(default_factory=dict)
    _unreadable: set[str] = field(default_factory=set)
    """The miners of whose chunks some could not be read when they were last looked for."""
    _cpu_seconds: float = 0.0

    def report(
        self,
        view: b.TaskView,
        overtaken: Callable[[], bool] = never,
        *,
        early: bool = False,
        last: bool = False,
    ) -> ArtifactRef:
        """Replay what is drawn for this seat; the report is kept, and not shown yet. `early`: no third of REPLAY is over; `last`: two
        are, and nothing is waited for any more. ArtifactMissing or CannotTell before, while something may still come; Overtaken."""
        stored = self.journal.get("replays")
        if stored is None:
            self._look(view, early=early)
            mine = reports.of_seat(drawn.items(view), self.ceremony.seat)
            found = self.replayed(view, mine, overtaken)
            _refuse_gaps(mine, found, last=last, unreadable=self._unreadable)
            stored = reports.made(view.round, self.ceremony.seat, [found[one.key].replay for one in mine])
            self.journal.put("replays", stored)
            log.info(
                "replayed", **self._about(view), items=len(mine), wrong=_count(found, WRONG), **self._spent()
            )
        return reference_of(stored)

    def ahead(self, view: b.TaskView, overtaken: Callable[[], bool] = never) -> None:
        """Replay what is drawn for seats that have not reported while REPLAY is nearly over: without their reports all have to. Overtaken
        once the phase is over."""
        reported = {one.seat for one in view.screenings if one.HasField("replays")}
        left = [one for one in drawn.items(view) if not reported.issuperset(one.seats)]
        self.replayed(view, left, overtaken)

    def confirmed(self, view: b.TaskView, overtaken: Callable[[], bool] = never, *, last: bool) -> Confirmed:
        """What holds of the round's trainings, once REPLAY has closed. ArtifactMissing, CannotTell and Overtaken as in `report`."""
        if self._confirmed is None:
            items = drawn.items(view)
            said, _ = self._reports(view, items, last)
            known = self.contradicted(view, overtaken, last=last)
            liars = {one.seat for one in known.false if one.seat in said} | _put_out(view)
            contested = confirming.contested(items, said, liars)
            if contested:
                log.info("replays what reports leave open", **self._about(view), items=len(contested))
            own = self.replayed(view, contested, overtaken)
            if contested:
                wrong = _count(own, WRONG)
                log.info("settled", **self._about(view), items=len(contested), wrong=wrong, **self._spent())
            false, edges = self._false(view, contested, said, own, overtaken)
            named = {one.seat for one in known.false}
            more = [one for one in false if one.seat not in named]
            found = confirming.unsound(items, said, confirming.without_edges(own, edges), liars)
            unsound = self._told_by_votes(view, found, last)
            alone = Unsound(b.UNCONFIRMED, "too few seats have its numeric profile")
            unsound |= dict.fromkeys(drawn.unconfirmable(view), alone)
            self._confirmed = Confirmed(unsound, (*known.false, *more))
        return self._confirmed

    def contradicted(
        self, view: b.TaskView, overtaken: Callable[[], bool] = never, *, last: bool
    ) -> Confirmed:
        """Whose reports are missing, malformed, or contradicted by what this seat has replayed by now: nothing is replayed for it.
        ArtifactMissing while a report may still come."""
        self.show()
        items = drawn.items(view)
        said, unusable = self._reports(view, items, last)
        done = {one.key: known for one in items if (known := self._kept(*one.key)) is not None}
        false, _ = self._false(view, [one for one in items if one.key in done], said, done, overtaken)
        return Confirmed({}, (*unusable, *false))

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
            known = {number: self._kept(one.miner, number) for number in numbers}
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
        loaded = self._loaded(view, one)
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
                    **self._about(view),
                    miner=one.miner,
                    item=finding.item,
                    why=finding.reason,
                )
        return [_replayed(one, finding) for finding in findings]

    def _loaded(self, view: b.TaskView, one: b.Submission) -> tuple[replay.Work, bytes] | ReplayFinding:
        """What a miner was to do, and its opening; or what there is to say of all its items, if nothing can be replayed."""
        spec, now = self.spec, view.round
        if self.ceremony.seat not in drawn.able_seats(view, one.manifest.profile):
            return FAILED
        count = _chunks_of(spec, now, one)
        if count is None:
            return WRONG
        _, team = team_of(now, one.miner)
        try:
            self._unreadable.discard(one.miner)
            data = self.reader.samples(view, team, count)
        except UNREADABLE as error:
            self._unreadable.add(one.miner)
            log.warning("cannot replay", **self._about(view), miner=one.miner, why=str(error))
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

    def _unsteady(
        self,
        view: b.TaskView,
        items: Sequence[Item],
        said: Mapping[int, Report],
        own: Mapping[Key, Replayed],
        overtaken: Callable[[], bool],
    ) -> set[Key]:
        """The contested segments of which a replay has no one answer, as far as that matters: of each miner those that are wrong up to the
        first steady one, and those that are right to some and wrong to others."""
        found: set[Key] = set()
        proven: set[str] = set()
        submissions = {one.miner: one for one in drawn.revealed(view)}
        for item in items:
            mine = own[item.key].replay
            wrong = mine.found == WRONG and item.miner not in proven
            known = mine.found in (RIGHT, WRONG)
            if not wrong and not (known and confirming.contradicted(item, said, mine)):
                continue
            steady = self._steady(view, submissions[item.miner], item.number, overtaken)
            if not steady:
                found.add(item.key)
            elif wrong:
                proven.add(item.miner)
        return found

    def _steady(
        self, view: b.TaskView, one: b.Submission, number: int, overtaken: Callable[[], bool]
    ) -> bool:
        """Whether a replay of an item has one answer, asked once. What this seat replayed and cannot any more has none."""
        key = one.miner, number
        if key in self._known_steady:
            return self._known_steady[key]
        loaded = self._loaded(view, one)
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
            log.warning("on an edge", **self._about(view), miner=one.miner, item=number)
        self._known_steady[key] = steady
        return steady

    def _spent(self) -> dict[str, float]:
        """What replaying took in processor time since it was last said."""
        spent, self._cpu_seconds = self._cpu_seconds, 0.0
        return {"cpu_seconds": round(spent, 3)}

    def _false(
        self,
        view: b.TaskView,
        items: Sequence[Item],
        said: Mapping[int, Report],
        own: Mapping[Key, Replayed],
        overtaken: Callable[[], bool],
    ) -> tuple[list[Finding], set[Key]]:
        """Whose reports this seat's replays contradict, and the items on an edge, for which nobody is."""
        edges = self._unsteady(view, items, said, own, overtaken)
        steady = [one for one in items if one.key not in edges]
        early, sealed = self._had_early(view), self.spec.recompute.sealed
        return confirming.false_reports(steady, said, own, early, sealed=sealed), edges

    def _begun(self, view: b.TaskView) -> tuple[ExactTraining, learning.Model]:
        if self._base is None:
            base = load_public(self.store, self.spec, view.round.base.model)
            self._base = exactness.training_of(self.spec), base
        return self._base

    def _look(self, view: b.TaskView, *, early: bool) -> None:
        """Have a copy of every opening and of what it was trained on, note which came early, and show again what somebody has removed."""
        for one in drawn.revealed(view):
            if one.HasField("opening"):
                with contextlib.suppress(ArtifactMissing, ArtifactCorrupt, ArtifactTooLarge, BadReference):
                    data = opening.fetched(self.store, view, one, opening.likely_bytes(self.spec))
                    opening.show_again(self.store, one, data)
                    if early and self._has_chunks(view, one):
                        self.journal.put(f"early/{one.miner}", b"1")

    def _has_chunks(self, view: b.TaskView, one: b.Submission) -> bool:
        """Whether what a miner says to have trained on is in the store, and a copy of it here."""
        count, (_, team) = _chunks_of(self.spec, view.round, one), team_of(view.round, one.miner)
        try:
            return count is not None and self.reader.have(view, team, count)
        except UNREADABLE:
            return False

    def _had_early(self, view: b.TaskView) -> set[str]:
        miners = [one.miner for one in drawn.revealed(view)]
        return {miner for miner in miners if self.journal.get(f"early/{miner}") is not None}

    def show(self) -> None:
        """Put this seat's report into the store: once REPLAY has closed, and before its part of SCREEN goes out. So whose report is not
        there in SELECT has not shown it."""
        stored = self.journal.get("replays")
        if stored is not None:
            self.store.put(stored, self.ceremony.attempt.purpose)

    def _reports(
        self, view: b.TaskView, items: Sequence[Item], last: bool
    ) -> tuple[dict[int, Report], list[Finding]]:
        """What the seats report, and whose reports cannot be used. After SELECT, or once the grace is over, nobody is waited for."""
        said: dict[int, Report] = {}
        unusable: list[Finding] = []
        for one in view.screenings:
            if not one.HasField("replays"):
                continue
            try:
                with contextlib.suppress(ArtifactMissing):
                    self.store.wait(one.replays, timeout=WAIT_SECONDS, poll=0.01, author=one.verifier)
                said[one.seat] = reports.read(self.store, view.round, one, reports.of_seat(items, one.seat))
            except (ArtifactMissing, ArtifactCorrupt):
                if not last:
                    raise
                unusable.append(Finding(one.seat, b.FALSE_REPLAY, "its report is not in the store"))
            except (ArtifactTooLarge, BadReference, exchange.ExchangeError) as error:
                unusable.append(Finding(one.seat, b.FALSE_REPLAY, str(error)))
        return said, unusable

    def _told_by_votes(
        self, view: b.TaskView, found: Mapping[str, Unsound], last: bool
    ) -> dict[str, Unsound]:
        """The same, with what t seats have voted of those of whom this seat cannot tell."""
        told: dict[str, Unsound] = {}
        for miner, one in found.items():
            if one.sure:
                told[miner] = one
                continue
            voted = confirming.by_votes(view, miner)
            if voted is None and not last:
                raise CannotTell(f"of {miner} others have yet to vote: {one.detail}")
            if voted != "stands":
                told[miner] = one if voted is None else voted
        return told

    def _kept(self, miner: str, number: int) -> Replayed | None:
        data = self.journal.get(f"replayed/{miner}/{number}")
        if data is None:
            return None
        claimed, _, record = data.partition(b"\n")
        return Replayed(Replay.FromString(record), claimed.decode())

    def _keep(self, done: Replayed) -> None:
        record = done.replay.SerializeToString(deterministic=True)
        name = f"replayed/{done.replay.miner}/{done.replay.item}"
        self.journal.put(name, done.claimed.encode() + b"\n" + record)

    def _about(self, view: b.TaskView) -> dict[str, object]:
        return {"task": self.spec.task_id, "round": view.round.number, "identity": self.me}


def _put_out(view: b.TaskView) -> set[int]:
    """The seats that t others have found to report falsely in this round."""
    return {
        one.seat for one in view.misconducts if one.fault == b.FALSE_REPLAY and one.round == view.round.number
    }


def _chunks_of(spec: TaskSpec, now: b.Round, one: b.Submission) -> int | None:
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


def _refuse_gaps(
    items: Iterable[Item], found: Mapping[Key, Replayed], *, last: bool, unreadable: Collection[str]
) -> None:
    """ArtifactMissing while an opening may still come, CannotTell if a replay failed here. Keys and chunks may be lacking for good, by
    their owner's fault; else there is no report of what failed, and the seat misses the step: that is its own trouble, and no lie."""
    missing = [one for one in items if found[one.key].replay.found == MISSING]
    if missing and not last:
        raise ArtifactMissing(f"the store does not have the openings of {_miners(missing)} (yet)")
    failed = [one for one in items if found[one.key].replay.found == FAILED]
    if any(not (last and one.miner in unreadable) for one in failed):
        raise CannotTell(f"{len(failed)} replays failed here, of {_miners(failed)}; they are tried again")


def _miners(items: Iterable[Item]) -> str:
    return ", ".join(sorted({one.miner for one in items}))


def _count(found: Mapping[Key, Replayed], what: int) -> int:
    return sum(one.replay.found == what for one in found.values())
