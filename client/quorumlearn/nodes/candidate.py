"""From an opened aggregate to the next public model: pure, the same bytes for the proposer and for every verifier."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import Aggregate, PartialDecryption
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, ArtifactRef

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import exchange
from quorumlearn.nodes.encryption import polynomial_bytes
from quorumlearn.nodes.screening import fetch_update


def aggregate_ciphertexts(
    store: ArtifactStore,
    parameters: ckks.Parameters,
    selection: b.Selection,
    submissions: dict[str, b.Submission],
) -> ckks.Ciphertexts:
    """sum_i w_i C_i over the selected submissions in the miners' order, one in memory at a time."""
    return ckks.aggregate(
        parameters,
        (
            (verdict.weight, fetch_update(store, parameters, submissions[verdict.miner]))
            for verdict in selection.verdicts
            if verdict.weight > 0
        ),
    )


def aggregate_of(store: ArtifactStore, parameters: ckks.Parameters, round_: b.Round) -> ckks.Ciphertexts:
    """The round's aggregate as the verifiers left it in the store."""
    ref = ArtifactRef(digest=round_.aggregate_ciphertext, size=parameters.update_bytes)
    return ckks.parse(parameters, store.get(ref, parameters.update_bytes))


def posted_partials(round_: b.Round, screenings: Iterable[b.Screening]) -> dict[int, ArtifactRef]:
    """By seat, the partial decryptions of the round's aggregate that its seats have posted."""
    return {
        one.seat: one.partial
        for one in screenings
        if one.seat in round_.seats
        and one.HasField("partial")
        and one.aggregate_ciphertext == round_.aggregate_ciphertext
    }


def read_partial(
    store: ArtifactStore,
    parameters: ckks.Parameters,
    round_: b.Round,
    total: ckks.Ciphertexts,
    seat: int,
    ref: ArtifactRef,
) -> bytes:
    """A seat's partial decryption of exactly this aggregate. ArtifactMissing, ArtifactCorrupt, ArtifactTooLarge, ExchangeError or
    MalformedShare if it is none."""
    partial = exchange.get(
        store,
        PartialDecryption,
        ref,
        polynomial_bytes(parameters, parameters.chunks),
        kept_for=(round_.task_id, round_.number),
        task_id=round_.task_id,
        round=round_.number,
        seat=seat,
        ciphertext=round_.aggregate_ciphertext,
        purpose=AGGREGATE_DECRYPTION,
    )
    ckks.check_partial(parameters, total, partial.residues)
    return partial.residues


def open_agreed(
    store: ArtifactStore, parameters: ckks.Parameters, round_: b.Round, screenings: Iterable[b.Screening]
) -> NDArray[np.int64]:
    """The exact integers of the round's aggregate, shape (d,), if all seats of the round agree on them.

    Raises ckks.BadPartial while they do not, and what `read_partial` raises: it is for the committee to put a seat out.
    """
    total = aggregate_of(store, parameters, round_)
    partials = {
        seat: read_partial(store, parameters, round_, total, seat, ref)
        for seat, ref in posted_partials(round_, screenings).items()
    }
    return ckks.open_partials(parameters, total, partials)


def weight_sum(selection: b.Selection) -> int:
    return sum(verdict.weight for verdict in selection.verdicts)


def aggregate_bytes(values: NDArray[np.int64], selection: b.Selection) -> bytes:
    """The opened aggregate as the artifact that the block names."""
    record = Aggregate(values=values.astype("<i8").tobytes(), weight_sum=weight_sum(selection))
    return record.SerializeToString(deterministic=True)


def next_model(
    base: learning.Model, values: NDArray[np.int64], selection: b.Selection, parameters: ckks.Parameters
) -> learning.Model:
    """base + sum_i w_i u_i / sum_i w_i, computed in float64 and rounded to float32 once."""
    return learning.apply_update(base, ckks.dequantise(values, weight_sum(selection), parameters))
