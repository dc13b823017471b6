"""Many cells in processes beside each other, each outcome written as a line when it is there.

A run that was stopped goes on where it was: cells whose line is in the results file are not played again. A line
names its cell and all of its setting; a line that was cut off is left alone and its cell played again.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, fields
from pathlib import Path

from benchmarks.robustness.cells import Cell, Outcome, fields_of, play
from benchmarks.robustness.world import Setting

Results = dict[Cell, Outcome]


def cells_of(
    rules: Iterable[str], attacks: Iterable[str], divisions: Iterable[str], seeds: Iterable[int]
) -> list[Cell]:
    """Every combination; those of one seed first, so that a stopped run has whole seeds."""
    return [
        Cell(rule, attack, division, seed)
        for seed, division, attack, rule in itertools.product(seeds, divisions, attacks, rules)
    ]


def read(path: Path, setting: Setting) -> Results:
    """The outcomes of this setting in a results file; none if there is no such file."""
    found: Results = {}
    if not path.exists():
        return found
    mine = asdict(setting)
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if record["setting"] == mine:
            cell = Cell(**{field.name: record[field.name] for field in fields(Cell)})
            record["outcome"]["curve"] = tuple(record["outcome"]["curve"])
            found[cell] = Outcome(**record["outcome"])
    return found


def run(
    cells: Sequence[Cell],
    setting: Setting,
    *,
    workers: int,
    path: Path | None = None,
    done: Callable[[int, int], None] = lambda _finished, _of: None,
) -> Results:
    """The outcomes of all cells, those in the file at `path` without playing them again. `done` is told how many there
    are, of how many, before the first and after each."""
    found = {} if path is None else read(path, setting)
    missing = [cell for cell in cells if cell not in found]
    done(len(cells) - len(missing), len(cells))
    for cell, outcome in _played(missing, setting, workers):
        found[cell] = outcome
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(json.dumps(fields_of(cell, setting, outcome)) + "\n")
        done(sum(cell in found for cell in cells), len(cells))
    return {cell: found[cell] for cell in cells}


def _played(cells: Sequence[Cell], setting: Setting, workers: int) -> Iterator[tuple[Cell, Outcome]]:
    """Each cell's outcome as it comes; one worker is this process."""
    if workers == 1:
        for cell in cells:
            yield cell, play(cell, setting)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=workers, mp_context=context) as pool:
        waiting = {pool.submit(play, cell, setting): cell for cell in cells}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
