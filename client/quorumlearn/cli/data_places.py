"""What the commands on data sets share: which data set, in which store, and where its keys are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from quorumlearn_network.spec import Role

from quorumlearn.api.access import account_named
from quorumlearn.cli.signing import signer
from quorumlearn.cli.terminal import Step

if TYPE_CHECKING:
    from quorumlearn.api.data import Progress
    from quorumlearn.artifacts import ArtifactStore

Described = Annotated[Path, typer.Argument(metavar="FILE", help="What `data publish -o FILE` wrote.")]
Store = Annotated[str, typer.Option(help="Folder or URL of the artifact store.", envvar="QUORUMLEARN_STORE")]
Keys = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The file of the content keys; by default FILE.keys, beside what `data publish` wrote.",
    ),
]


def told_by(step: Step) -> Progress:
    """Names some twenty of the chunks that are done, the last one among them."""

    def told(done: int, of: int) -> None:
        if done == of or done % max(1, of // 20) == 0:
            step(f"chunk {done} of {of}")

    return told


def url_of(store: str) -> str:
    """A store's folder or URL as a URL."""
    return store if "://" in store else Path(store).resolve().as_uri()


def keys_of(file: Path) -> Path:
    """Where the keys of a data set are, if nothing else is said."""
    return file.with_name(f"{file.name}.keys")


def opened(store: str, folder: Path, who: str) -> ArtifactStore:
    """The store, written to in the name of the owner's organisation."""
    from quorumlearn.artifacts import ArtifactStore

    organisation = account_named(folder, signer(folder, who, Role.OWNER)).partition("/")[0]
    return ArtifactStore(url_of(store), organisation=organisation)
