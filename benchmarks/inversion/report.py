"""What the cases read, as tables and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.inversion.reading import Case, Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Found = Mapping[Case, Outcome]


def tables(found: Found) -> str:
    """Markdown: a row for each case without clip and noise; then, for each clip, a column for each noise."""
    heads = ("initial model", "local steps", "in the sum", "learning rate", "images", "read", "by chance")
    plain = [
        (case.start, case.steps, case.summed, case.learning_rate, out.images, out.read, out.by_chance)
        for case, out in found.items()
        if case.private is None
    ]
    private = {case: out for case, out in found.items() if case.private is not None}
    if not private:
        return _grid(heads, plain)
    noises = sorted({case.private[1] for case in private if case.private})
    rows: dict[tuple[object, ...], dict[float, str]] = {}
    for case, out in private.items():
        if case.private is not None:
            clip, noise = case.private
            row = rows.setdefault((case.start, case.learning_rate, clip), {})
            row[noise] = f"{out.read} / {out.by_chance}"
    return (
        _grid(heads, plain)
        + "\n"
        + _grid(
            ("initial model", "learning rate", "clip", *(f"noise {noise:g}" for noise in noises)),
            [(*key, *(row.get(noise, "") for noise in noises)) for key, row in rows.items()],
        )
    )


def draw(found: Found, path: Path) -> None:
    """Training images and what was read of them in the first case; below, the part read against what was changed."""
    from matplotlib.figure import Figure

    first = next(iter(found.values()))
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    places = figure.add_gridspec(2, 1, height_ratios=(2.2, 3))
    above, below = figure.add_subfigure(places[0]), figure.add_subfigure(places[1])
    for axes, image in zip(
        above.subplots(2, len(first.pairs)).T.flat, first.pairs.reshape(-1, 28, 28), strict=True
    ):
        axes.imshow(image, cmap="gray")
        axes.axis("off")
    above.suptitle("above: miners' images; below: read from the public step of a crafted model", fontsize=10)
    steps, summed, noise = below.subplots(1, 3, sharey=True)
    for start, rate in (("trap", 10.0), ("seed", 0.1)):
        kind = {
            case: out
            for case, out in found.items()
            if (case.start, case.learning_rate, case.private) == (start, rate, None)
        }
        label = f"{start}, learning rate {rate:g}"
        _line(steps, {case: out for case, out in kind.items() if case.summed == 6}, lambda c: c.steps, label)
        _line(summed, {case: out for case, out in kind.items() if case.steps == 1}, lambda c: c.summed, label)
    for clip in sorted({case.private[0] for case in found if case.private}):
        of_clip = {
            case: out
            for case, out in found.items()
            if case.start == "trap" and case.private is not None and case.private[0] == clip
        }
        _line(noise, of_clip, lambda c: c.private[1] if c.private else 0.0, f"trap, clip {clip:g}")
    steps.set_xticks(sorted({case.steps for case in found}))
    summed.set_xticks(sorted({case.summed for case in found}))
    noise.set_xscale("symlog", linthresh=1e-3)
    noise.set_xlim(-2e-4, 2)
    for axes, what in (
        (steps, "local steps"),
        (summed, "miners in the sum"),
        (noise, "noise, in parts of the clip"),
    ):
        axes.set_xlabel(what)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    steps.set_ylabel("images read, %")
    figure.savefig(path, dpi=80)


def _line(axes: Axes, found: Found, place: Callable[[Case], float], label: str) -> None:
    points = sorted((place(case), 100 * out.read / out.images) for case, out in found.items())
    axes.plot(*zip(*points, strict=True), marker="o", label=label)


def _grid(heads: tuple[object, ...], rows: Sequence[tuple[object, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)
