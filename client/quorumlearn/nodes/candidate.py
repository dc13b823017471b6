"""From an opened aggregate to the next public model: pure, the same bytes for the proposer and for every verifier.

Where pay is by contribution the aggregate is opened as one sum for each group (nodes.sums), and the model is that of all together.
"""

from __future__ import annotations

from collections.abc import Iterable

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import Aggregate, PartialDecryption
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, ArtifactRef
from quorumlearn_proto.contribution import sums_of

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import exchange
from quorumlearn.nodes.encryption import polynomial_bytes
from quorumlearn.nodes.screening import fetch_update
from quorumlearn.nodes.sums import Sums, Values


def aggregate_ciphertexts(
    store: ArtifactStore,
    parameters: ckks.Parameters,
    round_: b.Round,
    submissions: dict[str, b.Submission],
) -> Sums:
    """sum_i w_i C_i over the selected submissions of each sum in the miners' order, one in memory at a time."""
    return Sums(
        parameters,
        tuple(
            ckks.aggregate(
                parameters,
                (
                    (weight, fetch_update(store, parameters, submissions[miner]))
                    for miner, weight in weights.items()
                ),
            )
            for weights in sums_of(round_)
        ),
    )


def aggregate_of(store: ArtifactStore, parameters: ckks.Parameters, round_: b.Round) -> Sums:
    """The round's aggregate as the verifiers left it in the store."""
    count = len(sums_of(round_))
    size = parameters.update_bytes * count
    data = store.get(ArtifactRef(digest=round_.aggregate_ciphertext, size=size), size)
    return Sums.parse(parameters, data, count)


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
    total: Sums,
    seat: int,
    ref: ArtifactRef,
) -> bytes:
    """A seat's partial decryption of exactly this aggregate. ArtifactMissing, ArtifactCorrupt, ArtifactTooLarge, ExchangeError or
    MalformedShare if it is none."""
    partial = exchange.get(
        store,
        PartialDecryption,
        ref,
        polynomial_bytes(parameters, parameters.chunks * len(total.parts)),
        kept_for=(round_.task_id, round_.number),
        task_id=round_.task_id,
        round=round_.number,
        seat=seat,
        ciphertext=round_.aggregate_ciphertext,
        purpose=AGGREGATE_DECRYPTION,
    )
    total.check(partial.residues)
    return partial.residues


def open_agreed(
    store: ArtifactStore, parameters: ckks.Parameters, round_: b.Round, screenings: Iterable[b.Screening]
) -> Values:
    """The exact integers of the round's sums, shape (sums, d), if all seats of the round agree on them.

    Raises ckks.BadPartial while they do not, and what `read_partial` raises: it is for the committee to put a seat out.
    """
    total = aggregate_of(store, parameters, round_)
    partials = {
        seat: read_partial(store, parameters, round_, total, seat, ref)
        for seat, ref in posted_partials(round_, screenings).items()
    }
    return total.open(partials)


def weight_sum(selection: b.Selection) -> int:
    return sum(verdict.weight for verdict in selection.verdicts)


def aggregate_bytes(values: Values, selection: b.Selection) -> bytes:
    """The opened aggregate (d,) as the artifact that the block names."""
    record = Aggregate(values=values.astype("<i8").tobytes(), weight_sum=weight_sum(selection))
    return record.SerializeToString(deterministic=True)


def next_model(
    base: learning.Model, values: Values, selection: b.Selection, parameters: ckks.Parameters
) -> learning.Model:
    """base + sum_i w_i u_i / sum_i w_i, computed in float64 and rounded to float32 once; `values` (d,) are those of all sums together."""
    return moved(base, values, weight_sum(selection), parameters)


def moved(base: learning.Model, values: Values, weights: int, parameters: ckks.Parameters) -> learning.Model:
    """The base moved by the mean of updates, from their sum (d,) and what their weights come to."""
    return learning.apply_update(base, ckks.dequantise(values, weights, parameters))
