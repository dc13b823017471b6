"""What there is to say of the data that a workload reads, before it trains on them, and of the updates that it made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quorumlearn import learning
from quorumlearn.nodes.training import MOST_CLIPPED
from quorumlearn.nodes.trial.fitting import DEFAULT_BOUND, Fit
from quorumlearn.nodes.trial.outcome import Finding

WIDEST_BOUND = 32.0
"""Beyond this an update is of what nobody has scaled, and a rule sees nothing else."""
_SHOWN = 8


def seen(what: str, data: learning.Data) -> Iterator[Finding]:
    """Rows, columns, gaps and classes of the `what` samples."""
    if not isinstance(data, learning.Samples):
        yield Finding("data", "holds", f"{len(data)} {what} samples, which only the workload can read")
        return
    found = learning.inspected(data)
    classes = (
        ""
        if found.classes is None
        else f"; classes {', '.join(f'{one}: {count}' for one, count in found.classes.items())}"
    )
    said = f"{found.rows} {what} samples, inputs {found.inputs}, targets {found.targets}{classes}"
    yield Finding("data", "holds" if found.rows else "fails", said)
    if data.notice:
        yield Finding("data", "note", data.notice)
    if found.not_finite:
        yield Finding(
            "missing",
            "fails",
            f"{found.not_finite} of {found.rows} {what} samples hold NaN or infinity: fill them, or leave them out",
        )
    if found.classes is not None and len(found.classes) == 1:
        (only,) = found.classes
        yield Finding(
            "classes", "note", f"all {what} samples are of class {only}: nothing tells it from another"
        )
    if found.constant:
        yield Finding(
            "columns", "note", f"{_columns(found.constant)} of the {what} samples: one value in all rows"
        )
    if found.wide:
        yield Finding(
            "columns",
            "note",
            f"{_columns(found.wide)} of the {what} samples: numbers beyond {learning.WIDE:g}; scale them, as `ranges` of a reader does",
        )


def judged(found: Fit) -> Iterator[Finding]:
    """Whether updates stay within the bound that is proposed, and what lies beyond the default one."""
    yield Finding(
        "clipped",
        "holds" if found.clipped < MOST_CLIPPED else "fails",
        f"{found.clipped:.2%} of an update is beyond the bound {found.bound:g}; less than {MOST_CLIPPED:.0%} must be",
    )
    if not found.beyond:
        return
    wide = found.bound > WIDEST_BOUND
    tensors = ", ".join(f"{one.tensor} (to {one.largest:.3g})" for one in found.beyond[:3])
    yield Finding(
        "scaled",
        "fails" if wide else "note",
        f"{found.clipped_by_default:.2%} of an update is beyond the default bound, {DEFAULT_BOUND:g}: {tensors}; "
        + (
            "scale what goes into the model, or a rule sees nothing else of an update"
            if wide
            else "set encryption.bound as proposed, or scale what goes into the model"
        ),
    )


def _columns(places: Sequence[int]) -> str:
    shown = ", ".join(str(place) for place in places[:_SHOWN])
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return f"column {shown}{more} (from 0)"
