"""From an opened aggregate to the next public model: pure, the same bytes for the proposer and for every verifier."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import Aggregate
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, ArtifactRef

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import exchange
from quorumlearn.nodes.encryption import polynomial_bytes
from quorumlearn.nodes.screening import fetch_update
from quorumlearn.nodes.subsets import first_that_opens


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
            (verdict.weight, fetch_update(store, parameters, submissions[verdict.miner].manifest.update))
            for verdict in selection.verdicts
            if verdict.weight > 0
        ),
    )


def open_aggregate(
    store: ArtifactStore, parameters: ckks.Parameters, round_: b.Round, screenings: list[b.Screening]
) -> NDArray[np.int64]:
    """The exact integers of the round's aggregate, shape (d,), from the published partial decryptions."""
    digest = round_.aggregate_ciphertext
    ciphertexts = ckks.parse(
        parameters,
        store.get(ArtifactRef(digest=digest, size=parameters.update_bytes), parameters.update_bytes),
    )
    partials = {
        one.seat: exchange.partial(
            store,
            one.partial,
            polynomial_bytes(parameters, parameters.chunks),
            seat=one.seat,
            ciphertext=digest,
            purpose=AGGREGATE_DECRYPTION,
        )
        for one in screenings
        if one.seat in round_.seats and one.aggregate_ciphertext == digest and one.HasField("partial")
    }
    return first_that_opens(parameters, ciphertexts, partials)


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
