"""`quorumlearn data rotate` and `data revoke`: sealed data sets under fresh keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorumlearn.cli.access import DEFAULT_FOLDER, Folder
from quorumlearn.cli.data_places import Described, Keys, Store, keys_of, opened, told_by
from quorumlearn.cli.signing import Signer
from quorumlearn.cli.terminal import AsJson, Exit, Failure, print_json, print_text, progress

if TYPE_CHECKING:
    from quorumlearn.api.data import Progress, Renewed
    from quorumlearn.artifacts import ArtifactStore
    from quorumlearn.nodes.tasksettings import DataPart


def rotate(
    file: Described,
    store: Store,
    keys: Keys = None,
    folder: Folder = DEFAULT_FOLDER,
    who: Signer = "",
    as_json: AsJson = False,
) -> None:
    """Encrypt every chunk of a sealed data set anew, under fresh keys.

    The owner's node gives the new keys from the next round on. Who had an old key and has left is given none; what anybody has read by then
    cannot be unread. FILE is written anew, for tasks to come. The old chunks go with `quorumlearn store prune`.
    """
    from quorumlearn.api import data

    with renewing(file, store, keys, folder, who) as (described, path, where, told):
        renewed = data.rotate(described, path, where, told)
        data.write(file, renewed.data)
    _say(renewed, "", as_json)


def revoke(
    file: Described,
    account: Annotated[str, typer.Argument(metavar="MSP/NAME", help="Who is given no key any more.")],
    store: Store,
    keys: Keys = None,
    folder: Folder = DEFAULT_FOLDER,
    who: Signer = "",
    as_json: AsJson = False,
) -> None:
    """Give an account no key of a sealed data set any more, and encrypt anew the chunks of which it had one.

    From the next round on it cannot train on what it is assigned, and loses its place to who waits. What it has read cannot be unread.
    """
    from quorumlearn_proto.accounts import is_account

    from quorumlearn.api import data

    if not is_account(account):
        raise Failure(f"{account!r} is no account; write MSP/name, as `data show` does", Exit.USAGE)
    with renewing(file, store, keys, folder, who) as (described, path, where, told):
        renewed = data.revoke(described, path, where, account, told)
        data.write(file, renewed.data)
    _say(renewed, account, as_json)


@contextmanager
def renewing(
    file: Path, store: str, keys: Path | None, folder: Path, who: str
) -> Iterator[tuple[DataPart, Path, ArtifactStore, Progress]]:
    """What encrypting anew takes: the data set, its file of keys, the store, and whom to tell how far it is."""
    from quorumlearn.nodes.recomputing import load_data

    described = load_data(file)
    if not described.sealed:
        raise Failure(
            f"{file} describes data that are not sealed: everybody reads them, and they have no keys",
            Exit.USAGE,
        )
    with progress("encrypting anew") as step:
        yield (
            described,
            keys or keys_of(file),
            opened(store, folder, who),
            told_by(step),
        )


def _say(renewed: Renewed, revoked: str, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                **renewed.data.model_dump(),
                "version": renewed.version,
                "renewed": renewed.chunks,
                "revoked": revoked or None,
            }
        )
        return
    if revoked:
        print_text(f"{revoked} is given no key any more")
    print_text(
        f"{renewed.chunks} chunks encrypted anew; version {renewed.version}, list of chunks: {renewed.data.digest}"
    )
