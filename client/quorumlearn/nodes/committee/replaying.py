"""A seat's replays in one round: what is drawn for it in REPLAY, and in SELECT whatever the reports leave open.

Rules:
- a replay that fails here is this seat's own trouble: it tries again, and misses the step if it fails to the end;
- chunks that cannot be read, spoilt or removed by their owner, are nobody's fault here: at last the seat reports that it cannot tell;
- the report is in the journal before its digest is on the ledger: restarted, a seat says the same;
- what is drawn for seats that stay silent is replayed before REPLAY is over, or there might be no time for it in SELECT;
- which openings were there when a third of REPLAY was over is noted, and those that somebody has removed since are shown again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import MISSING, RIGHT, WRONG
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.recompute import team_of

from quorumlearn.artifacts import (
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactTooLarge,
    BadReference,
    reference_of,
)
from quorumlearn.nodes import exchange
from quorumlearn.nodes.committee import confirming, reports
from quorumlearn.nodes.committee.attempt import Finding
from quorumlearn.nodes.committee.confirming import Replayed
from quorumlearn.nodes.committee.replays import Replays, chunks_of
from quorumlearn.nodes.committee.reports import FAILED, Report
from quorumlearn.nodes.screening import never
from quorumlearn.nodes.work import drawn, opening
from quorumlearn.nodes.work.chunks import UNREADABLE
from quorumlearn.nodes.work.drawn import Item, Key
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
class Replaying(Replays):
    """Of one seat in one round."""

    _confirmed: Confirmed | None = None

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
            _refuse_gaps(mine, found, last=last, unreadable=self.unreadable)
            stored = reports.made(view.round, self.ceremony.seat, [found[one.key].replay for one in mine])
            self.journal.put("replays", stored)
            log.info(
                "replayed", **self.about(view), items=len(mine), wrong=_count(found, WRONG), **self.spent()
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
                log.info("replays what reports leave open", **self.about(view), items=len(contested))
            own = self.replayed(view, contested, overtaken)
            if contested:
                wrong = _count(own, WRONG)
                log.info("settled", **self.about(view), items=len(contested), wrong=wrong, **self.spent())
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
        done = {one.key: known for one in items if (known := self.kept(*one.key)) is not None}
        false, _ = self._false(view, [one for one in items if one.key in done], said, done, overtaken)
        return Confirmed({}, (*unusable, *false))

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
            steady = self.steady(view, submissions[item.miner], item.number, overtaken)
            if not steady:
                found.add(item.key)
            elif wrong:
                proven.add(item.miner)
        return found

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
        count, (_, team) = chunks_of(self.spec, view.round, one), team_of(view.round, one.miner)
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


def _put_out(view: b.TaskView) -> set[int]:
    """The seats that t others have found to report falsely in this round."""
    return {
        one.seat for one in view.misconducts if one.fault == b.FALSE_REPLAY and one.round == view.round.number
    }


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
