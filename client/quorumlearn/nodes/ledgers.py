"""Which ledger the journals below a node's state folder are of.

A ledger is known by the hash of its first block. The file `.ledger` holds it; journals of another ledger are set aside in
`@ledger-<first twelve digits>`, whole, and come back with it. So a task of a new ledger never meets what an earlier one left.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from quorumlearn.nodes.journal import JournalError

log = structlog.get_logger()

MARK, ASIDE = ".ledger", "@ledger-"
"""Neither begins as a user's folder may."""


def settle(state: Path, ledger: str) -> None:
    """Have the state folder hold the journals of this ledger (its first block's hash, 64 hex digits), and no others.

    JournalError if that cannot be done; what has been moved by then is moved no second time.
    """
    mark, back = state / MARK, state / f"{ASIDE}{ledger[:12]}"
    try:
        known = mark.read_text().strip() if mark.exists() else ""
        users = sorted(one for one in state.iterdir() if one.is_dir() and one.name[0] not in ".@")
        if known and known != ledger:
            aside = f"{ASIDE}{known[:12]}"
            _move(users, state / aside)
            log.warning(
                "the journals were of another ledger and are set aside",
                state=str(state),
                ledger=ledger[:12],
                aside=aside,
                users=[one.name for one in users],
            )
        elif users and not known:
            log.warning("the journals do not say of which ledger they are, and are taken to be of this one")
        if known != ledger:
            _write(mark, ledger)
        if back.is_dir():
            _move(sorted(back.iterdir()), state)
            back.rmdir()
            log.info("the journals of this ledger are back", state=str(state), ledger=ledger[:12])
    except OSError as error:
        raise JournalError(f"cannot set aside the journals in {state}: {error.strerror}") from error


def _write(mark: Path, ledger: str) -> None:
    new = mark.with_suffix(".new")
    new.write_text(ledger + "\n")
    new.replace(mark)


def _move(folders: list[Path], into: Path) -> None:
    into.mkdir(mode=0o700, exist_ok=True)
    for one in folders:
        one.rename(into / one.name)
