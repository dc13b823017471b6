"""A seat's shares of the sketches as it posts them, sealed to each seat of the round, and what another seat reads in them."""

from __future__ import annotations

from collections.abc import Sequence

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import SketchPayload, SketchShares

from quorumlearn import ckks
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import exchange, screening, steps
from quorumlearn.nodes.committee.ceremony_part import CeremonyPart
from quorumlearn.nodes.committee.openings import Shares
from quorumlearn.nodes.encryption import polynomial_bytes


def sealed(
    ceremony: CeremonyPart,
    view: b.TaskView,
    sketched: Sequence[screening.Sketched],
    shares: Sequence[bytes],
    salts: Sequence[bytes],
) -> SketchShares:
    """The artifact: coverage of each revealed update, shares of those that were sketched, and the salts that are passed on."""
    payload = SketchPayload(shares=shares, salts=salts).SerializeToString(deterministic=True)
    now, parts = view.round, ceremony.attempt.parts
    keys = {seat: part.sealing_key for seat, part in parts.items() if seat in now.seats}
    return SketchShares(
        task_id=now.task_id,
        round=now.number,
        seat=ceremony.seat,
        coverage=[one.coverage for one in sketched],
        boxes=exchange.seal_for(keys, dict.fromkeys(keys, payload), _context(now), ceremony.seat),
    )


def read(
    store: ArtifactStore,
    parameters: ckks.Parameters,
    ceremony: CeremonyPart,
    view: b.TaskView,
    posted: b.Screening,
) -> Shares:
    """What a seat posted, opened. ExchangeError or DecodeError if it does not hold together, or what `exchange.get` raises."""
    now, revealed = view.round, steps.sketched(view)
    record = exchange.get(
        store,
        SketchShares,
        posted.sketch_shares,
        polynomial_bytes(parameters, max(1, len(revealed))),
        posted.verifier,
        ceremony.attempt.purpose,
        task_id=now.task_id,
        round=now.number,
        seat=posted.seat,
    )
    private = ceremony.sealing_key()
    box = exchange.unseal_from(list(record.boxes), private, _context(now), posted.seat, ceremony.seat)
    payload = SketchPayload.FromString(box)
    covered = _covered(record, payload, {one.miner: one.manifest.update.digest for one in revealed})
    return Shares(
        {line.miner: line.reason for line in record.coverage},
        dict(zip(covered, payload.shares, strict=True)),
        {line.miner: salt for line, salt in zip(record.coverage, payload.salts, strict=True) if salt},
    )


def _covered(record: SketchShares, payload: SketchPayload, revealed: dict[str, str]) -> list[str]:
    """The miners whose updates were sketched; ExchangeError if coverage, shares and salts are not of the `revealed` updates."""
    covered = [line.miner for line in record.coverage if line.reason == b.CONTRIBUTES]
    if (
        len(record.coverage) != len(revealed)
        or {line.miner: line.update for line in record.coverage} != revealed
    ):
        raise exchange.ExchangeError("its sketch shares cover other updates than the ledger's")
    if len(covered) != len(payload.shares):
        raise exchange.ExchangeError(
            f"it has sketched {len(covered)} updates and shows {len(payload.shares)} shares"
        )
    if len(payload.salts) != len(record.coverage):
        raise exchange.ExchangeError(
            f"it covers {len(record.coverage)} updates and passes on {len(payload.salts)} salts"
        )
    if any(line.reason not in screening.COVERAGES for line in record.coverage):
        raise exchange.ExchangeError("it gives a reason that no sketching gives")
    return covered


def _context(now: b.Round) -> str:
    return f"{now.task_id}/{now.number}/sketch"
