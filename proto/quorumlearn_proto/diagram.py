"""Draws the protocol's tables into a page: `python -m quorumlearn_proto.diagram docs/protocol.md [--check]`.

For the ceremony and for the round a picture (Mermaid) and a table of who acts, by which function, and what follows; and what each fault
costs. Each stands between two marks in the page, where it has them; the rest of it is left as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from .block_pb2 import BallotReason, CeremonyStep, Fault, Phase, Reason
from .penalties import FAULTS, MINERS, PROPOSERS, SEALED_VOTE, Penalty
from .protocol import CEREMONY, ROUND, KeyStep, RoundStep

BEGIN = "<!-- The steps, drawn by `make docs` -->"
END = "<!-- End of the steps -->"
PENALTIES = ("<!-- The penalties, drawn by `make docs` -->", "<!-- End of the penalties -->")


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
    """The page with the steps drawn anew between its marks, and the penalties if it has marks for them; NoMarksError without any."""
    fresh = _between(page, BEGIN, END, drawn())
    if fresh is None:
        raise NoMarksError(f"no place for the steps: the page needs the lines {BEGIN} and {END}")
    return _between(fresh, *PENALTIES, penalties()) or fresh


def penalties() -> str:
    """What each verdict, ballot and fault costs, as a Markdown table."""
    heads = ("who", "what", "proof", "who can see it again", "cost")
    rows = [heads, ("---",) * len(heads)]
    rows += [_penalty("miner", Reason.Name(reason), one) for reason, one in MINERS.items()]
    rows += [_penalty("proposer", BallotReason.Name(reason), one) for reason, one in PROPOSERS.items()]
    rows += [_penalty("seat", Fault.Name(fault), one) for fault, one in FAULTS.items()]
    rows.append(_penalty("seat", "FALSE_VOTE in SELECT", SEALED_VOTE))
    return _rows(rows)


def _penalty(who: str, what: str, one: Penalty) -> tuple[str, ...]:
    return who, what, one.proof, one.seen_by, str(one.cost)


def _between(page: str, begin: str, end: str, drawing: str) -> str | None:
    """The page with the drawing between its marks; None if it does not have them."""
    before, first, rest = page.partition(begin)
    _, last, after = rest.partition(end)
    return f"{before}{begin}\n{drawing}\n{end}{after}" if first and last else None


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _picture(steps: Sequence[RoundStep | KeyStep]) -> str:
    """A state diagram; unlabelled arrows are those that a step takes if all goes well."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {steps[0].name}"]
    for step in steps:
        if step.function:
            lines += [f"    {step.name} : {step.name}", f"    {step.name} : {step.function}, by {step.actor}"]
        first, *others = _names(step)
        lines.append(f"    {step.name} --> {first}{_replayed(step)}")
        lines += [f"    {step.name} --> {other} : otherwise" for other in others]
    ends = {name for step in steps for name in _names(step)} - {step.name for step in steps}
    lines += [f"    {end} --> [*]" for end in sorted(ends)]
    return "\n".join([*lines, "```"])


def _replayed(step: RoundStep | KeyStep) -> str:
    """A label for the arrow to a phase that not every task has, from one that every task has."""
    only = (
        isinstance(step, RoundStep) and not step.replayed and step.next in ROUND and ROUND[step.next].replayed
    )
    return " : where training is replayed" if only else ""


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
                _functions(step),
                f"`{step.timeout}`" if step.timeout else "",
                _carrying(step),
                _accused(step),
                ", ".join(_names(step)),
                step.closing,
            )
        )
    columns = [(head, "---", *cells) for head, *cells in zip(*rows, strict=True) if any(cells)]
    return _rows(zip(*columns, strict=True))


def _functions(step: RoundStep | KeyStep) -> str:
    shows = step.shows if isinstance(step, RoundStep) else ""
    return ", ".join(f"`{name}`" for name in (step.function, shows) if name)


def _carrying(step: RoundStep | KeyStep) -> str:
    """Its part in making the next round's key beside this round."""
    if isinstance(step, RoundStep):
        return "carries" if step.carries else ""
    return "carried" if step.carried else ""


def _accused(step: RoundStep | KeyStep) -> str:
    return ", ".join(map(Fault.Name, step.accused)) if isinstance(step, RoundStep) else ""


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
        sys.exit(f"{given.page} shows something else than the tables: run make docs")
    given.page.write_text(fresh)


if __name__ == "__main__":
    main()
