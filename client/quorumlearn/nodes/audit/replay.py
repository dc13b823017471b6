"""A task replayed from the ledger and the artifacts, by anybody: was only decrypted what was authorised, and did all do as they said?

`audit` is a function of the ledger's records (nodes.audit.records) and the store. Of the task, as round 0:
- specification: its digest is the one that block 0 was linked to when it was published, and the one that the state carries;
- stakes and pay: each slash, absence and payment is what is due (nodes.audit.slashes); what is not stands with its round.
For each round:
- start and work, where trainings are replayed (nodes.audit.work);
- beacon: its parts are what the seats committed to with their keys, and the beacon is theirs;
- claims: every revealed manifest is the one committed to, came with a claim, and names an update that no other round names;
- authorisations: one for the sketches and one for the aggregate at most, each what the round's other records come to, of no fewer
  miners than the task's least aggregate;
- sketches: what each seat posted covers exactly the authorised updates;
- selection: t seats of the round voted it, each with a basis of its own;
- aggregate: the ciphertext opened is the authorised weighted sum of the updates in the store;
- decryptions: each posted partial decryption is of that ciphertext and for that purpose; those of the seats that stayed agree;
- ballots: each that is shown is the one that its seat had fixed by digest, and says what its scores say;
- pay: where it is by contribution, by what the ballots tell of the groups, or why by weight (whether it was so paid: stakes and pay);
- block: what they open gives the aggregate and the model that the block names, on the block before;
- misconduct: each fault is judged again where what it rests on is public. Failed ceremonies are wholly (nodes.committee.blame).
What a seat did wrong and was put out for is a fault and not a violation. What cannot be seen (shares sealed to the committee, an artifact
that is not in the store any more) is said to be unknown.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto.artifact_pb2 import SketchShares
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION, Purpose
from quorumlearn_proto.contribution import sums_of
from quorumlearn_proto.derived import bare_selection, beacon_commitment, beacon_of

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import candidate, exchange, models
from quorumlearn.nodes.audit import faults, pay, work
from quorumlearn.nodes.audit.checks import Check, Result, specification, stakes
from quorumlearn.nodes.audit.faults import GONE, WRONG
from quorumlearn.nodes.audit.records import Record
from quorumlearn.nodes.committee import guard
from quorumlearn.nodes.encryption import parameters_of, polynomial_bytes


def audit(record: Record, store: ArtifactStore, replayed: int = 0) -> list[Check]:
    """Every check of every round, in their order; of work that stands so many drawn items a round are `replayed`. Raises
    artifacts.StoreUnavailable if the store cannot be asked."""
    updates = Counter(
        one.manifest.update.digest
        for view in record.views
        for one in view.submissions
        if one.HasField("manifest")
    )
    named = Counter((one.round, one.purpose) for one in record.authorisations)
    checks = [specification(record), *stakes(record)]
    checks += [Check(0, "lottery", result, detail) for result, detail in work.lottery(record)]
    for view in record.views:
        round_ = _Round(record, store, view)
        for what, found in (
            ("start", work.started(record, view)),
            ("beacon", round_.beacon()),
            ("claims", round_.claims(updates)),
            ("authorisations", round_.authorised(named)),
            ("sketches", round_.sketches()),
            ("selection", round_.selected()),
            ("work", work.verified(record, store, view, replayed)),
            ("aggregate", round_.aggregated()),
            ("ballots", round_.ballots()),
            ("pay", round_.paid()),
            ("decryptions and block", round_.opened()),
            ("misconduct", round_.misconduct()),
        ):
            checks.extend(Check(view.round.number, what, result, detail) for result, detail in found)
    return checks


Found = Iterator[tuple[Result, str]]


@dataclass(frozen=True)
class _Round:
    """One round's checks: each yields what it found, nothing if the round did not come so far."""

    record: Record
    store: ArtifactStore
    view: b.TaskView

    @property
    def parameters(self) -> ckks.Parameters:
        return parameters_of(self.record.spec)

    @property
    def punished(self) -> set[tuple[int, b.Fault]]:
        number = self.view.round.number
        return {
            (one.seat, one.fault)
            for one in self.record.misconducts
            if one.round == number and not one.attempt
        }

    def beacon(self) -> Found:
        now = self.view.round
        if not now.beacon:
            return
        parts = {one.seat: one for one in self.view.contributions if one.round == now.number and one.beacon}
        for seat, part in sorted(parts.items()):
            if beacon_commitment(bytes.fromhex(part.beacon)) != part.beacon_commitment:
                yield Result.VIOLATION, f"seat {seat} revealed another secret than it had committed to"
        if beacon_of({seat: part.beacon for seat, part in parts.items()}) != now.beacon:
            yield Result.VIOLATION, "the beacon is not what the revealed secrets give"
        else:
            yield Result.OK, f"of {len(parts)} seats"

    def claims(self, updates: Counter[str]) -> Found:
        now = self.view.round
        revealed = [one for one in self.view.submissions if one.HasField("manifest")]
        for one in revealed:
            if canonical.digest(one.manifest) != one.manifest_digest:
                yield Result.VIOLATION, f"{one.miner} revealed another manifest than it had committed to"
            if updates[one.manifest.update.digest] > 1:
                yield Result.VIOLATION, f"the update of {one.miner} was revealed more than once"
            if len(one.claim) != 64:
                yield Result.VIOLATION, f"{one.miner} revealed without a claim"
        if revealed:
            false = sum(one.reason == b.FALSE_CLAIM for one in now.selection.verdicts)
            yield Result.OK, f"{len(revealed)} revealed" + (f", {false} found false" if false else "")

    def authorised(self, named: Counter[tuple[int, Purpose]]) -> Found:
        now = self.view.round
        given = {one.purpose: one for one in self.view.authorisations}
        for purpose, one in sorted(given.items()):
            name = Purpose.Name(purpose)
            try:
                wrong = guard.fault(self.view, one)
            except guard.NotAuthorised as error:
                wrong = str(error)
            if named[now.number, purpose] != 1:
                wrong = f"there are {named[now.number, purpose]} of it"
            if wrong:
                yield Result.VIOLATION, f"{name}: {wrong}"
            else:
                weights = f" with weights {', '.join(map(str, one.weights))}" if one.weights else ""
                yield Result.OK, f"{name}: {len(one.updates)} updates{weights}"
        shown = {
            SKETCH_DECRYPTION: any(one.HasField("sketch_shares") for one in self.view.screenings),
            AGGREGATE_DECRYPTION: any(one.HasField("partial") for one in self.view.screenings),
        }
        for purpose, posted in shown.items():
            if posted and purpose not in given:
                yield (
                    Result.VIOLATION,
                    f"{Purpose.Name(purpose)}: shares were posted, and nothing authorised them",
                )

    def sketches(self) -> Found:
        given = next((one for one in self.view.authorisations if one.purpose == SKETCH_DECRYPTION), None)
        if given is None:
            return
        allowed, good = sorted(ref.digest for ref in given.updates), 0
        for one in self.view.screenings:
            if not one.HasField("sketch_shares"):
                continue
            known = (one.seat, b.BAD_SKETCH_SHARES) in self.punished
            try:
                shares = exchange.get(
                    self.store,
                    SketchShares,
                    one.sketch_shares,
                    polynomial_bytes(self.parameters, max(1, len(allowed))),
                    task_id=given.task_id,
                    round=given.round,
                    seat=one.seat,
                )
            except GONE:
                result = Result.FAULT if known else Result.UNKNOWN
                yield result, f"the shares of seat {one.seat} are not in the store"
            except WRONG as error:
                yield Result.FAULT if known else Result.VIOLATION, f"seat {one.seat}: {error}"
            else:
                if sorted(line.update for line in shares.coverage) == allowed:
                    good += 1
                else:
                    yield (
                        Result.FAULT if known else Result.VIOLATION,
                        f"seat {one.seat} covers other updates than were authorised",
                    )
        if good:
            yield Result.OK, f"{good} seats, of exactly the {len(allowed)} updates authorised"

    def selected(self) -> Found:
        now = self.view.round
        if not now.HasField("selection"):
            return
        for alike in faults.copied_bases(self.view):
            if sum((seat, b.UNFOUNDED_VOTE) not in self.punished for seat in alike) > 1:
                yield Result.VIOLATION, f"seats {alike} voted with one basis, and none was put out for it"
        voted = faults.votes_for(self.view)
        need = self.record.spec.committee.threshold
        if len(voted) < need:
            yield Result.VIOLATION, f"{len(voted)} seats voted it, {need} are needed"
        else:
            reasons = Counter(b.Reason.Name(one.reason) for one in now.selection.verdicts)
            counted = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
            yield Result.OK, f"{len(voted)} equal votes: {counted}"

    def aggregated(self) -> Found:
        now = self.view.round
        if not now.aggregate_ciphertext:
            return
        given = next((one for one in self.view.authorisations if one.purpose == AGGREGATE_DECRYPTION), None)
        if given is None:
            return
        submissions = {one.miner: one for one in self.view.submissions}
        try:
            total = candidate.aggregate_ciphertexts(self.store, self.parameters, now, submissions)
        except GONE as error:
            yield Result.UNKNOWN, str(error)
        except WRONG as error:
            yield Result.VIOLATION, str(error)
        else:
            if total.digest != now.aggregate_ciphertext:
                yield Result.VIOLATION, "what was opened is not the authorised sum of the updates"
            else:
                yield (
                    Result.OK,
                    f"the sum of {len(given.updates)} updates, weights {sum(given.weights)} together",
                )

    def ballots(self) -> Found:
        shown = [one for one in self.view.ballots if one.reason]
        wrong = [one.seat for one in shown if not faults.as_fixed(one)]
        groups = len(sums_of(self.view.round))
        said = [one.seat for one in shown if faults.contradicts(one, self.record.spec, groups)]
        if wrong:
            yield Result.VIOLATION, f"seats {wrong} show other ballots than they had fixed"
        if said:
            yield Result.VIOLATION, f"the ballots of seats {said} say otherwise than their scores"
        if shown and not wrong and not said:
            yield Result.OK, f"{len(shown)}, as they were fixed before any was shown"

    def paid(self) -> Found:
        """How the miners' part of an accepted round was to be split, where that is not always by weight."""
        now, spec = self.view.round, self.record.spec
        if not spec.reward.by_contribution or now.outcome != b.ACCEPTED:
            return
        parts, told = pay.parts(self.record, self.view), pay.told(self.view)
        if parts:
            shown = ", ".join(f"{one / sum(parts):.1%}" for one in parts)
            yield Result.OK, f"by contribution, of {len(parts)} groups by {len(told)} ballots: {shown}"
        elif not now.groups:
            yield Result.OK, "by weight: its miners made one group"
        elif len(told) < 2 * spec.committee.threshold - 1:
            need = 2 * spec.committee.threshold - 1
            yield Result.OK, f"by weight: {len(told)} ballots tell contributions, {need} are needed"
        else:
            yield Result.OK, f"by weight: by {len(told)} ballots none of {len(told[0])} groups contributed"

    def opened(self) -> Found:
        now, spec = self.view.round, self.record.spec
        block = next((one for one in self.record.blocks if one.core.round == now.number), None)
        if not now.aggregate_ciphertext:
            return
        try:
            total = candidate.aggregate_of(self.store, self.parameters, now)
        except GONE as error:
            yield Result.UNKNOWN, str(error)
            return
        partials: dict[int, bytes] = {}
        for seat, ref in faults.partials_of(self.view).items():
            known = (seat, b.BAD_PARTIAL) in self.punished
            try:
                partial = candidate.read_partial(self.store, self.parameters, now, total, seat, ref)
            except GONE:
                result = Result.FAULT if known else Result.UNKNOWN
                yield result, f"the partial decryption of seat {seat} is not in the store"
            except WRONG as error:
                yield Result.FAULT if known else Result.VIOLATION, f"seat {seat}: {error}"
            else:
                if not known:
                    partials[seat] = partial
        if block is None:
            return
        if len(partials) < spec.committee.threshold:
            yield Result.UNKNOWN, f"{len(partials)} partial decryptions do not open block {block.core.height}"
            return
        try:
            values = total.open(partials).sum(axis=0)
            base = next(one for one in self.record.blocks if one.digest == block.core.previous)
            model = candidate.next_model(
                models.load_public(self.store, spec, base.core.model), values, now.selection, self.parameters
            )
        except GONE as error:
            yield Result.UNKNOWN, str(error)
        except (ckks.CkksError, learning.ModelError) as error:
            yield Result.VIOLATION, str(error)
        else:
            yield from self._block(
                block, learning.to_bytes(model), candidate.aggregate_bytes(values, now.selection)
            )

    def _block(self, block: b.Block, model: bytes, aggregate: bytes) -> Found:
        now = self.view.round
        same = {
            "digest": (canonical.digest(block.core), block.digest),
            "model": (hashlib.sha256(model).hexdigest(), block.core.model.digest),
            "aggregate": (hashlib.sha256(aggregate).hexdigest(), block.core.aggregate),
            "verdicts": (
                bare_selection(now.selection),
                bare_selection(b.Selection(verdicts=block.core.verdicts)),
            ),
            "beacon": (now.beacon, block.beacon),
            "aggregate's ciphertext": (now.aggregate_ciphertext, block.aggregate_ciphertext),
            "base": (now.base.digest, block.core.previous),
        }
        wrong = [name for name, (found, said) in same.items() if found != said]
        if wrong:
            yield Result.VIOLATION, f"block {block.core.height} says otherwise of its {', '.join(wrong)}"
        else:
            yield Result.OK, f"block {block.core.height} {block.digest[:12]}, aggregate and model recomputed"

    def misconduct(self) -> Found:
        number = self.view.round.number
        for one in self.record.misconducts:
            if one.round != number:
                continue
            parts = self.record.attempts.get((number, one.attempt), {})
            turns = [self.record.ballots[number, turn] for turn in range(len(self.view.round.proposers))]
            if one.fault == b.FALSE_REPLAY:
                verdict = work.report_judged(self.record, self.store, self.view, one)
            else:
                verdict = faults.judged_again(self.parameters, self.store, self.view, parts, one, turns)
            said = f"seat {one.seat}, {b.Fault.Name(one.fault)} in {one.step}, slashed {one.slashed}: {verdict.why}"
            if verdict.holds is None:
                yield Result.UNKNOWN, said
            else:
                yield Result.FAULT if verdict.holds else Result.VIOLATION, said
