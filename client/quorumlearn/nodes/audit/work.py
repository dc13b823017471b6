"""What a round's trainings come to, looked at by anybody, where they can be replayed (for nodes.audit.replay).

- start: the parts of the start beacon are what seats committed to with their keys, the beacon is theirs, and the teams follow from it;
- work: of each training is said what its records allow (quorumlearn_proto.work), each WRONG_WORK is replayed from the store and gives the
  two digests of its proof, and of the work that stands as many drawn items are replayed, by lot, as are asked for;
- a FALSE_REPLAY is judged again by replaying what the accused seat reported otherwise than others;
- lottery: each miner's work is the steps that accepted rounds count for it, less what others cost it.
Sealed data and traces, and float32 of another numeric profile, nobody else can replay: unknown.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.derived import beacon_commitment, beacon_of
from quorumlearn_proto.penalties import costs_standing
from quorumlearn_proto.recompute import (
    chunks_before,
    drawn_items,
    most_steps,
    recomputes,
    replays,
    team_of,
    teams,
)
from quorumlearn_proto.work import work_fault

from quorumlearn import learning, replay
from quorumlearn.artifacts import ArtifactError, ArtifactStore, ArtifactTooLarge, BadReference
from quorumlearn.nodes import exchange, steps
from quorumlearn.nodes.audit.checks import Result
from quorumlearn.nodes.audit.faults import Judgement
from quorumlearn.nodes.audit.records import Record
from quorumlearn.nodes.committee import confirming, reports
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.models import load_public
from quorumlearn.nodes.work import exactness, opening
from quorumlearn.nodes.work.chunkcache import ChunkCache
from quorumlearn.nodes.work.chunks import ChunkReader
from quorumlearn.nodes.work.drawn import items_of

Found = Iterator[tuple[Result, str]]
STANDS = (b.CONTRIBUTES, b.REPLICA)


class Unseen(Exception):
    """An item that this auditor cannot replay."""


def started(record: Record, view: b.TaskView) -> Found:
    """The start beacon and the teams."""
    now = view.round
    if not recomputes(record.spec) or not now.start_beacon:
        return
    attempt = steps.ceremony_of(view, now.number).attempt
    parts = {seat: one for seat, one in record.attempts[now.number, attempt].items() if one.start}
    for seat, part in sorted(parts.items()):
        if beacon_commitment(bytes.fromhex(part.start)) != part.start_commitment:
            yield Result.VIOLATION, f"seat {seat} started from another secret than it had committed to"
    if beacon_of({seat: one.start for seat, one in parts.items()}) != now.start_beacon:
        yield Result.VIOLATION, "the start beacon is not what the revealed secrets give"
        return
    before = next((one.round for one in record.views if one.round.number == now.number - 1), None)
    due = teams(record.spec.recompute, now.start_beacon, list(now.miners), chunks_before(before))
    if list(now.teams) != due:
        yield Result.VIOLATION, "the teams are not those that the start beacon draws"
    else:
        yield Result.OK, f"of {len(parts)} seats, {len(due)} teams as drawn"


def verified(record: Record, store: ArtifactStore, view: b.TaskView, count: int) -> Found:
    """What the selection says of trainings; `count` items of work that stands are replayed."""
    now, spec = view.round, record.spec
    if not recomputes(spec) or not now.HasField("selection"):
        return
    verdicts = {one.miner: one for one in now.selection.verdicts}
    revealed = {one.miner: one for one in view.submissions if steps.is_revealed(one)}
    manifests = {miner: one.manifest for miner, one in revealed.items()}
    attempt = steps.ceremony_of(view, now.number).attempt
    profiles = {seat: one.profile for seat, one in record.attempts[now.number, attempt].items()}
    if wrong := work_fault(spec, now, list(verdicts.values()), manifests, profiles):
        yield Result.VIOLATION, wrong
        return
    for miner, verdict in verdicts.items():
        if verdict.reason == b.WRONG_WORK:
            yield _proven(record, store, view, revealed[miner], verdict.proof)
    drawn = [
        (revealed[miner], item)
        for miner, verdict in verdicts.items()
        if verdict.reason in STANDS and replays(spec)
        for item in drawn_items(spec, now.beacon, miner, manifests[miner].steps)
    ]
    for one, item in random.SystemRandom().sample(drawn, min(count, len(drawn))):
        yield _stands(record, store, view, one, item)
    reasons = [verdict.reason for verdict in verdicts.values()]
    standing = sum(reason in STANDS for reason in reasons)
    yield (
        Result.OK,
        f"{standing} trainings stand, {reasons.count(b.WRONG_WORK)} are wrong, {reasons.count(b.NO_TRACE)} were not opened",
    )


def lottery(record: Record) -> Found:
    """Each miner's work as it counts in the proposers' lottery."""
    if not recomputes(record.spec) or record.work is None or not record.money.settled:
        return
    due: dict[str, int] = dict.fromkeys(record.work, 0)
    for view in record.views:
        done = {one.miner: one.manifest.steps for one in view.submissions}
        for verdict in view.round.selection.verdicts:
            known = due.get(verdict.miner, 0)
            if costs_standing(verdict.reason):
                due[verdict.miner] = known - min(known, most_steps(record.spec))
            elif verdict.reason in STANDS and view.round.outcome == b.ACCEPTED:
                due[verdict.miner] = known + done[verdict.miner]
    wrong = [miner for miner, work in sorted(record.work.items()) if work != due[miner]]
    for miner in wrong:
        yield Result.VIOLATION, f"the work of {miner} is {record.work[miner]}, due are {due[miner]} steps"
    if not wrong:
        yield Result.OK, f"{sum(due.values())} steps of {len(due)} miners"


def replayed(
    record: Record, store: ArtifactStore, view: b.TaskView, one: b.Submission, items: Sequence[int]
) -> list[replay.Finding]:
    """These items of a miner's training, replayed from what the store holds. Unseen with the reason if that cannot be done here."""
    spec, now = record.spec, view.round
    if spec.recompute.sealed:
        raise Unseen("its data are sealed")
    training = exactness.training_of(spec)
    if training.profile != one.manifest.profile:
        raise Unseen(f"it is of another numeric profile than this machine, {one.manifest.profile[:12]}")
    count = one.manifest.steps // spec.recompute.chunk_steps
    _, team = team_of(now, one.miner)
    reader = ChunkReader("an auditor", store, ChunkCache(store, Path(), 0))
    try:
        base = load_public(store, spec, now.base.model)
        data = reader.samples(view, team, count)
        work = exactness.work_of(spec, now, one.miner, base, data, training, count)
        most = opening.most_bytes(spec, work)
        plain = store.get(one.opening, most, one.miner)
    except (ArtifactTooLarge, BadReference) as error:
        reason = str(error)
        return [replay.Finding(item, replay.Outcome.WRONG, b"", "", "", reason) for item in items]
    except (ArtifactError, replay.ReplayError, learning.LearningError) as error:
        raise Unseen(str(error)) from error
    drawn = [item.number for item in items_of(view, one)]
    return replay.check(
        plain, one, work, parameters_of(spec), bytes.fromhex(now.beacon), drawn=drawn, items=items
    )


def _proven(
    record: Record, store: ArtifactStore, view: b.TaskView, one: b.Submission, proof: b.WorkProof
) -> tuple[Result, str]:
    what = f"item {proof.item} of {one.miner}"
    try:
        (found,) = replayed(record, store, view, one, [proof.item])
    except Unseen as error:
        return Result.UNKNOWN, f"{what} cannot be replayed here: {error}"
    if found.outcome is replay.Outcome.FAILED:
        return Result.UNKNOWN, f"{what} cannot be replayed here: {found.reason}"
    if found.outcome is replay.Outcome.RIGHT:
        return Result.VIOLATION, f"{what} is right, and was slashed for"
    if (found.claimed, found.replayed) != (proof.claimed, proof.replayed):
        return Result.VIOLATION, f"{what} is wrong, and its proof has other digests than a replay"
    return Result.OK, f"{what} replayed: wrong, as proven ({found.reason})"


def _stands(
    record: Record, store: ArtifactStore, view: b.TaskView, one: b.Submission, item: int
) -> tuple[Result, str]:
    what = f"item {item} of {one.miner}"
    try:
        (found,) = replayed(record, store, view, one, [item])
    except Unseen as error:
        return Result.UNKNOWN, f"{what} cannot be replayed here: {error}"
    if found.outcome is replay.Outcome.FAILED:
        return Result.UNKNOWN, f"{what} cannot be replayed here: {found.reason}"
    if found.outcome is replay.Outcome.WRONG:
        return Result.VIOLATION, f"{what} is wrong, and counts: {found.reason}"
    return Result.OK, f"{what} replayed: right"


def report_judged(record: Record, store: ArtifactStore, view: b.TaskView, one: b.Misconduct) -> Judgement:
    """Whether a seat's report is missing or malformed, or says of an item what its replay does not give. Items of which all reports say
    the same are passed over."""
    said = {other.accuser for other in view.accusations if (other.seat, other.fault) == (one.seat, one.fault)}
    if len(said) < record.spec.committee.threshold or not said.issuperset(one.accusers):
        return Judgement(False, f"only seats {sorted(said)} accused it")
    items = [item for other in view.submissions if steps.is_opened(other) for item in items_of(view, other)]
    given: dict[int, reports.Report] = {}
    for posted in view.screenings:
        if posted.HasField("replays"):
            wanted = reports.of_seat(items, posted.seat)
            try:
                given[posted.seat] = reports.read(store, view.round, posted, wanted)
            except (ArtifactError, exchange.ExchangeError) as error:
                if posted.seat == one.seat:
                    return Judgement(True, str(error))
    own = given.get(one.seat)
    if own is None:
        return Judgement(False, "it has posted no report")
    opened = {other.miner: other for other in view.submissions}
    unseen = ""
    for item in reports.of_seat(confirming.contested(items, given), one.seat):
        try:
            (found,) = replayed(record, store, view, opened[item.miner], [item.number])
        except Unseen as error:
            unseen = str(error)
            continue
        if found.outcome is replay.Outcome.FAILED:
            unseen = found.reason
        elif own[item.key] != found.record(item.miner):
            return Judgement(True, f"of item {item.number} of {item.miner} a replay gives something else")
    if unseen:
        return Judgement(None, f"{unseen}; seats {sorted(one.accusers)} say: {one.detail}")
    return Judgement(False, "its report says what the replays give")
