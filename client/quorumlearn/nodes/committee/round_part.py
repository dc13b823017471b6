"""A verifier's part in one round, from the revealed updates to the opened aggregate (docs/protocol.md).

SCREEN: sketch the updates, make this seat's shares of the sketches and put their digest on the ledger. SELECT: show the shares,
read the others', open, compare with the last public steps, which are sketched while miners reveal. OPEN: a partial decryption of the
selected sum. PROPOSE, VALIDATE: hold all partial decryptions against each other and the sketches. Where trainings are replayed
`replaying` does it in REPLAY, and says in SELECT whose work stands.

Rules: nothing is made but what the ledger authorised (nodes.committee.guard); shares and the partial decryption are written to the
journal before they are shown, so that a restarted seat repeats itself; another seat's artifact that is not in the store is waited
for until `grace_over`, then it counts as not there. What is derived is kept in memory and derived again after a restart.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import structlog
from google.protobuf.message import DecodeError
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import PartialDecryption, SketchShares
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION, ArtifactRef
from quorumlearn_proto.contribution import sums_of
from quorumlearn_proto.derived import miner_groups
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks
from quorumlearn.artifacts import (
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactStore,
    ArtifactTooLarge,
    BadReference,
    reference_of,
)
from quorumlearn.nodes import candidate, exchange, salts, screening, steps
from quorumlearn.nodes.committee import guard, sketch_shares
from quorumlearn.nodes.committee.attempt import Finding
from quorumlearn.nodes.committee.basis import basis_of, unfounded_votes
from quorumlearn.nodes.committee.ceremony_part import CeremonyPart
from quorumlearn.nodes.committee.openings import Opened, Shares, open_sketches
from quorumlearn.nodes.committee.partials import Verified, believed, verify
from quorumlearn.nodes.committee.replaying import Replaying
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.guarantee import round_lacks
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.models import load_public
from quorumlearn.nodes.public_steps import Chain, known_steps
from quorumlearn.nodes.rootset import root_sketch
from quorumlearn.nodes.sums import Sums, Values
from quorumlearn.nodes.work.useful_work import Unsound

log = structlog.get_logger()

UNUSABLE = (ArtifactTooLarge, BadReference, exchange.ExchangeError, DecodeError, ckks.MalformedShare)
WAIT_SECONDS = 1.0
"""How long shares that all seats show at the same time are looked for, before the step is tried again."""


@dataclass
class RoundPart:
    """What one seat does in one round; `journal` holds the round's entries."""

    spec: TaskSpec
    ceremony: CeremonyPart
    store: ArtifactStore
    journal: Journal
    workers: ckks.Workers
    position: Callable[[str], tuple[int, int]]
    chain: Chain
    replaying: Replaying | None = None
    _steps: list[screening.Sketch] | None = None
    _sketched: list[screening.Sketched] | None = None
    _opened: Opened | None = None
    _total: Sums | None = None
    _verified: tuple[dict[int, str], Verified] | None = None

    @property
    def parameters(self) -> ckks.Parameters:
        return parameters_of(self.spec)

    def prepare(self, view: b.TaskView) -> None:
        """Once the beacon is out, and miners are yet to reveal: have the workers make ready what all sketches need, and sketch the
        public steps."""
        if self._steps is None:
            self.workers.prepare(self._plan(view))
            self._public_steps(view)

    def sketch_shares(
        self, view: b.TaskView, overtaken: Callable[[], bool] = screening.never, *, grace_over: bool = False
    ) -> ArtifactRef:
        """Sketch every revealed update once; seal this seat's shares of the sketches to the seats. Not shown yet.

        screening.Overtaken once nobody waits for them; ArtifactMissing while an update is not in the store and the grace is not over.
        """
        guard.take(view, SKETCH_DECRYPTION, self.journal)
        stored = self.journal.get("sketch-shares")
        if stored is None:
            self._wait_for_updates(view, grace_over, overtaken)
            stored = self._sealed_shares(view, overtaken, grace_over).SerializeToString(deterministic=True)
            self.journal.put("sketch-shares", stored)
        return reference_of(stored)

    def opened(self, view: b.TaskView, grace_over: bool) -> Opened:
        """The sketches of the revealed updates, and whose shares are false. After SELECT nobody is waited for any more."""
        if self._opened is None:
            grace_over = grace_over or view.round.phase > b.SELECT
            self._show_shares()
            posted: dict[int, Shares] = {}
            unusable: list[Finding] = []
            for one in view.screenings:
                if one.HasField("sketch_shares"):
                    try:
                        posted[one.seat] = self._shares_of(one, view)
                    except (ArtifactMissing, ArtifactCorrupt):
                        if not grace_over:
                            raise
                        unusable.append(
                            Finding(one.seat, b.BAD_SKETCH_SHARES, "its shares are not in the store")
                        )
                    except UNUSABLE as error:
                        unusable.append(Finding(one.seat, b.BAD_SKETCH_SHARES, str(error)))
            revealed = steps.sketched(view)
            claims = {one.miner: one.claim for one in revealed}
            opened = open_sketches(
                self.parameters, self._plan(view), self._sketch(view), claims, posted, self.spec.byzantine
            )
            self._opened = replace(opened, false=(*unusable, *opened.false))
            self._sketched = None
        return self._opened

    def vote(
        self, view: b.TaskView, grace_over: bool, unsound: Mapping[str, Unsound] = MappingProxyType({})
    ) -> tuple[b.Selection, str]:
        """This seat's selection and its basis; ckks.BadPartial if the sketches mean nothing. `unsound` are the miners whose work does not
        stand, where trainings are replayed."""
        opened = self.opened(view, grace_over)
        if opened.undecided:
            raise ckks.BadPartial(f"no vote on round {view.round.number}: {opened.undecided}")
        submissions = {one.miner: one for one in view.submissions}
        base = load_public(self.store, self.spec, view.round.base.model)
        root = root_sketch(self.store, self.spec, base, view.round.number, self._plan(view))
        selection = screening.select(
            self.spec,
            view.round,
            submissions,
            opened.sketches,
            self.position,
            root,
            ckks.sketch_rounding(self.parameters),
            miner_groups(view.opened),
            self._public_steps(view),
            unsound,
        )
        lacks = round_lacks(self.spec, selection)
        if lacks:
            log.warning("weak round", task=self.spec.task_id, round=view.round.number, why=lacks)
        basis = basis_of(self.parameters, view.round, self.ceremony.seat, selection, opened)
        assert basis is not None, "a miner is ranked by a sketch that has opened"
        return selection, basis

    def unfounded(self, view: b.TaskView) -> tuple[Finding, ...]:
        """Whose votes have a false basis. A seat that has not opened the sketches since it came up says nothing."""
        return () if self._opened is None else unfounded_votes(self.parameters, view, self._opened)

    def partial(self, view: b.TaskView) -> tuple[str, ArtifactRef]:
        """This seat's partial decryption of what is authorised, and of nothing else: the aggregate's digest, and where it is."""
        now = view.round
        guard.take(view, AGGREGATE_DECRYPTION, self.journal)
        stored = self.journal.get("partial")
        if stored is None:
            submissions = {one.miner: one for one in view.submissions}
            total = candidate.aggregate_ciphertexts(self.store, self.parameters, now, submissions)
            self._total = total
            stored = PartialDecryption(
                task_id=self.spec.task_id,
                round=now.number,
                seat=self.ceremony.seat,
                purpose=AGGREGATE_DECRYPTION,
                ciphertext=self.store.put(total.to_bytes(), self.ceremony.attempt.purpose).digest,
                residues=total.partial_decrypt(self.ceremony.share()),
            ).SerializeToString(deterministic=True)
            self.journal.put("partial", stored)
        return PartialDecryption.FromString(stored).ciphertext, self.store.put(
            stored, self.ceremony.attempt.purpose
        )

    def verified(self, view: b.TaskView, grace_over: bool) -> Verified:
        """The aggregate as the seats that are left in the round open it, and whose partial decryptions are false."""
        now, parameters = view.round, self.parameters
        posted = candidate.posted_partials(now, view.screenings)
        known = {seat: ref.digest for seat, ref in posted.items()}
        if self._verified is None or self._verified[0] != known:
            opened = self.opened(view, grace_over)
            total = self._aggregate(now)
            partials: dict[int, bytes] = {}
            unusable: list[Finding] = []
            for seat, ref in posted.items():
                try:
                    partials[seat] = candidate.read_partial(self.store, parameters, now, total, seat, ref)
                except (ArtifactMissing, ArtifactCorrupt):
                    if not grace_over:
                        raise
                    unusable.append(
                        Finding(seat, b.BAD_PARTIAL, "its partial decryption is not in the store")
                    )
                except UNUSABLE as error:
                    unusable.append(Finding(seat, b.BAD_PARTIAL, str(error)))
            found = self._held_against_sketches(view, opened, total, partials)
            self._verified = known, Verified(found.values, (*unusable, *found.false), found.undecided)
            self._total = None
        return self._verified[1]

    def _aggregate(self, now: b.Round) -> Sums:
        """The round's aggregate: as this seat made it, or as it is in the store."""
        own = self._total
        if own is not None and own.digest == now.aggregate_ciphertext:
            return own
        return candidate.aggregate_of(self.store, self.parameters, now)

    def _held_against_sketches(
        self, view: b.TaskView, opened: Opened, total: Sums, partials: dict[int, bytes]
    ) -> Verified:
        parameters, plan = self.parameters, self._plan(view)
        sketches: list[list[tuple[int, screening.Sketch]]] = []
        contested = False
        for weights in sums_of(view.round):
            sketches.append([])
            for miner, weight in weights.items():
                sketch = opened.sketches.get(miner)
                if not isinstance(sketch, np.ndarray):
                    return believed(parameters.threshold, total, partials, miner)
                sketches[-1].append((weight, sketch))
            contested = contested or not opened.contested.isdisjoint(weights)

        def fits(values: Values) -> bool:
            return all(
                ckks.sum_fits(parameters, plan, one, of_sum)
                for one, of_sum in zip(values, sketches, strict=True)
            )

        return verify(parameters.threshold, total, partials, fits, contested=contested)

    def _wait_for_updates(self, view: b.TaskView, grace_over: bool, overtaken: Callable[[], bool]) -> None:
        """Sketch what there is. What the store does not have is looked for a moment, and again when the step is tried again."""
        for last in (False, True):
            sketched = self._sketch(view, overtaken)
            missing = [one.coverage.miner for one in sketched if one.coverage.reason == b.MISSING_ARTIFACT]
            if grace_over or not missing:
                return
            if last:
                raise ArtifactMissing(
                    f"the store does not have the updates of {', '.join(missing)}; they may have been removed and come back"
                )
            revealed = {one.miner: one.manifest.update for one in view.submissions}
            with contextlib.suppress(ArtifactMissing):
                self.store.wait(revealed[missing[0]], timeout=WAIT_SECONDS, poll=0.01, author=missing[0])

    def _sealed_shares(
        self, view: b.TaskView, overtaken: Callable[[], bool], grace_over: bool
    ) -> SketchShares:
        revealed = steps.sketched(view)
        passed_on = [self._salt(view.round, one, grace_over) for one in revealed]
        sketched, share, plan = self._sketch(view, overtaken), self.ceremony.share(), self._plan(view)
        shares = [
            ckks.sketch_share(self.parameters, plan, share, one.ciphertext)
            for one in sketched
            if one.ciphertext is not None
        ]
        return sketch_shares.sealed(self.ceremony, view, sketched, shares, passed_on)

    def _salt(self, now: b.Round, one: b.Submission, grace_over: bool) -> bytes:
        """Empty if there is none, also if the store does not have it once the grace is over; ArtifactMissing before."""
        private, seat = self.ceremony.sealing_key(), self.ceremony.seat
        try:
            return salts.opened(self.store, now, one.miner, one.manifest.salts, private, seat)
        except ArtifactMissing as error:
            if not grace_over:
                raise
            log.warning(
                "no salt", task=now.task_id, round=now.number, seat=seat, miner=one.miner, why=str(error)
            )
            return b""

    def _show_shares(self) -> None:
        stored = self.journal.get("sketch-shares")
        if stored is not None:
            self.store.put(stored, self.ceremony.attempt.purpose)

    def _shares_of(self, one: b.Screening, view: b.TaskView) -> Shares:
        """What a seat posted, opened; one of UNUSABLE if it does not hold together."""
        self.store.wait(one.sketch_shares, timeout=WAIT_SECONDS, poll=0.01, author=one.verifier)
        return sketch_shares.read(self.store, self.parameters, self.ceremony, view, one)

    def _sketch(
        self, view: b.TaskView, overtaken: Callable[[], bool] = screening.never
    ) -> list[screening.Sketched]:
        """The sketches of the round's revealed updates; those that the store did not have are looked for again."""
        submissions = steps.sketched(view)
        known = {
            one.coverage.miner: one
            for one in self._sketched or ()
            if one.coverage.reason != b.MISSING_ARTIFACT
        }
        if wanted := [one for one in submissions if one.miner not in known]:
            found = screening.sketch_submissions(
                self.store, self.parameters, self._plan(view), wanted, self.workers, overtaken
            )
            known.update({one.coverage.miner: one for one in found})
        self._sketched = [known[one.miner] for one in submissions]
        return self._sketched

    def _public_steps(self, view: b.TaskView) -> list[screening.Sketch]:
        """The sketches of the last public steps, newest first."""
        if self._steps is None:
            steps = known_steps(self.store, self.spec, view.round.base, self.chain)
            self._steps = ckks.plain_sketches(self.parameters, self._plan(view), steps)
        return self._steps

    def _plan(self, view: b.TaskView) -> ckks.SketchPlan:
        return ckks.round_plan(self.parameters, bytes.fromhex(view.round.beacon))
