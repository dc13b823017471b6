"""One round of three seats in one process, with what they post and what they keep, up to the opened sum."""

from __future__ import annotations

import contextlib
from pathlib import Path

from quorumlearn import ckks
from quorumlearn.artifacts import ArtifactMissing, ArtifactStore
from quorumlearn.nodes import salts, sealing
from quorumlearn.nodes.committee import guard
from quorumlearn.nodes.committee.attempt import Attempt
from quorumlearn.nodes.committee.ceremony_part import CeremonyPart
from quorumlearn.nodes.committee.round_part import RoundPart
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.public_steps import Chain
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION, Purpose

from tests.client.nodes.committee import Committee

SEATS = (1, 2, 3)
WEIGHTS = dict.fromkeys(("M/a", "M/b", "M/c"), 2)


class Played:
    """A round's ledger and store, and the seats' folders."""

    def __init__(self, folder: Path, committee: Committee) -> None:
        self.committee = committee
        self.store = ArtifactStore(str(folder / "store"), create=True)
        self.folder = folder
        keys = {seat: sealing.new_key() for seat in SEATS}
        self.parts = {seat: b.KeyContribution(sealing_key=sealing.public_key(keys[seat])) for seat in SEATS}
        for seat in SEATS:
            self.journal(seat).put("attempt-1/share", self.committee.shares[seat])
            self.journal(seat).put("attempt-1/sealing", keys[seat])
        self.spec = t.TaskSpec(task_id="t-1", min_miners=3, ckks=record_of(self.committee.parameters))
        self.spec.committee.CopyFrom(t.Committee(msp_ids=["A", "B", "C"], threshold=2))
        beacon = self.committee.plan.beacon.hex()
        now = b.Round(task_id="t-1", number=4, miners=WEIGHTS, seats=SEATS, beacon=beacon)
        self.view = b.TaskView(task=t.Task(spec=self.spec), round=now)
        for seat, part in self.parts.items():
            self.view.contributions.add(round=4, attempt=1, seat=seat).MergeFrom(part)
        for miner, claim in self.committee.claims().items():
            sealed = self.store.put(salts.sealed(self.view, miner, self.committee.salts[miner]))
            update = self.store.put(self.committee.update(self.committee.values[miner]))
            manifest = b.Manifest(update=update, salts=sealed)
            self.view.submissions.add(miner=miner, manifest=manifest, claim=claim)
        self.authorise(SKETCH_DECRYPTION)
        self.blocks: dict[int, b.Block] = {}

    def salt_anew(self, miner: str, artifact: bytes) -> None:
        """Have a miner name another artifact for the salt of its claim."""
        submission = next(one for one in self.view.submissions if one.miner == miner)
        submission.manifest.salts.CopyFrom(self.store.put(artifact))

    def journal(self, seat: int) -> Journal:
        """What a seat keeps of this round."""
        return self.task_journal(seat).below("round-4")

    def task_journal(self, seat: int) -> Journal:
        return Journal(self.folder / f"seat-{seat}")

    def authorise(self, purpose: Purpose) -> None:
        self.view.authorisations.append(guard.expected(self.view, purpose))

    def seat(self, seat: int) -> RoundPart:
        """A seat as its node comes up: only its journal is left of what it did before."""
        attempt = Attempt(self.committee.parameters, self.store, "t-1", 4, 1, self.parts)
        journal = self.journal(seat)
        return RoundPart(
            spec=self.spec,
            ceremony=CeremonyPart(attempt=attempt, journal=journal.below("attempt-1"), seat=seat),
            store=self.store,
            journal=journal,
            workers=ckks.Workers(0),
            position=lambda _: (0, 0),
            chain=Chain(self.blocks.__getitem__),
        )

    def screened(self, *, grace_over: bool = False) -> None:
        """All have screened, and none has shown its shares."""
        for seat in SEATS:
            shares = self.seat(seat).sketch_shares(self.view, grace_over=grace_over)
            self.view.screenings.add(seat=seat, sketch_shares=shares)

    def selected(self) -> None:
        for miner, weight in WEIGHTS.items():
            self.view.round.selection.verdicts.add(miner=miner, weight=weight, reason=b.CONTRIBUTES)
        self.authorise(AGGREGATE_DECRYPTION)

    def shown(self, *seats: int) -> None:
        """These seats have shown their shares: whoever opens the sketches shows its own first, whether or not it finds the others'."""
        for seat in seats:
            with contextlib.suppress(ArtifactMissing):
                self.seat(seat).opened(self.view, grace_over=False)

    def decrypted(self) -> None:
        for one in self.view.screenings:
            digest, ref = self.seat(one.seat).partial(self.view)
            one.aggregate_ciphertext, self.view.round.aggregate_ciphertext = digest, digest
            one.partial.CopyFrom(ref)
