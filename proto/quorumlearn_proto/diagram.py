"""Draws the protocol's steps into a page, from the tables: `python -m quorumlearn_proto.diagram docs/protocol.md [--check]`.

For the ceremony and for the round a picture (Mermaid) and a table of who acts, by which function, and what follows. They stand between two
marks in the page; the rest of it is left as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from .block_pb2 import CeremonyStep, Fault, Phase
from .protocol import CEREMONY, ROUND, KeyStep, RoundStep

BEGIN = "<!-- The steps, drawn by `make docs` -->"
END = "<!-- End of the steps -->"


class NoMarksError(Exception):
    """The page has no place for the steps."""


def drawn() -> str:
    """Pictures and tables of the ceremony and of the round, as Markdown."""
    parts = (
        "**A ceremony**",
        _picture(list(CEREMONY.values())),
        _table("step", CEREMONY.values()),
        "**A round**",
        _picture(list(ROUND.values())),
        _table("phase", ROUND.values()),
    )
    return "\n\n".join(parts)


def into(page: str) -> str:
    """The page with the steps drawn anew between its marks; NoMarksError if it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoMarksError(f"no place for the steps: the page needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{drawn()}\n{END}{after}"


def _picture(steps: Sequence[RoundStep | KeyStep]) -> str:
    """A state diagram; unlabelled arrows are those that a step takes if all goes well."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {steps[0].name}"]
    for step in steps:
        if step.function:
            lines += [f"    {step.name} : {step.name}", f"    {step.name} : {step.function}, by {step.actor}"]
        first, *others = _names(step)
        lines.append(f"    {step.name} --> {first}")
        lines += [f"    {step.name} --> {other} : otherwise" for other in others]
    ends = {name for step in steps for name in _names(step)} - {step.name for step in steps}
    lines += [f"    {end} --> [*]" for end in sorted(ends)]
    return "\n".join([*lines, "```"])


def _table(kind: str, steps: Iterable[RoundStep | KeyStep]) -> str:
    """A row for each step, with the columns in which there is something."""
    rows = [
        (kind, "who acts", "function", "timeout", "next key", "accusations", "leads to", "closing it means")
    ]
    for step in steps:
        rows.append(
            (
                step.name,
                str(step.actor),
                f"`{step.function}`" if step.function else "",
                f"`{step.timeout}`" if step.timeout else "",
                _carrying(step),
                _accused(step),
                ", ".join(_names(step)),
                step.closing,
            )
        )
    columns = [(head, "---", *cells) for head, *cells in zip(*rows, strict=True) if any(cells)]
    return "\n".join("| " + " | ".join(row) + " |" for row in zip(*columns, strict=True))


def _carrying(step: RoundStep | KeyStep) -> str:
    """Its part in making the next round's key beside this round."""
    if isinstance(step, RoundStep):
        return "carries" if step.carries else ""
    return "carried" if step.carried else ""


def _accused(step: RoundStep | KeyStep) -> str:
    return Fault.Name(step.accused) if isinstance(step, RoundStep) and step.accused else ""


def _names(step: RoundStep | KeyStep) -> list[str]:
    """Where it leads, all going well first."""
    if isinstance(step, RoundStep):
        return [Phase.Name(phase) for phase in step.leads_to]
    return [CeremonyStep.Name(at) for at in step.leads_to]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, help="the Markdown file that shows the steps")
    parser.add_argument(
        "--check", action="store_true", help="only say whether the page shows the table's steps"
    )
    given = parser.parse_args()
    page = given.page.read_text()
    try:
        fresh = into(page)
    except NoMarksError as error:
        sys.exit(f"{given.page}: {error}")
    if fresh == page:
        return
    if given.check:
        sys.exit(f"{given.page} shows other steps than the table: run make docs")
    given.page.write_text(fresh)


if __name__ == "__main__":
    main()
