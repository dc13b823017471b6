"""QuorumLearn's client: what an organisation runs to publish tasks, train, verify and read the ledgers.

In a notebook (docs/python.md):

    import quorumlearn

    with quorumlearn.connect("quorumlearn-network", "owner/owner", store="artifacts") as market:
        task = market.publish("task.yaml")
        for round in task.watch():
            print(round.number, round.outcome, round.score)
        model = task.model()

To import the package imports nothing else; each name brings what it needs when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quorumlearn.api import Block as Block
    from quorumlearn.api import Connection as Connection
    from quorumlearn.api import Provenance as Provenance
    from quorumlearn.api import PublicModel as PublicModel
    from quorumlearn.api import Round as Round
    from quorumlearn.api import Task as Task
    from quorumlearn.api import TaskStatus as TaskStatus
    from quorumlearn.api import Verdict as Verdict
    from quorumlearn.api import WatchTimeout as WatchTimeout
    from quorumlearn.api import connect as connect

    __version__: str

_FROM_API = (
    "Block",
    "Connection",
    "Provenance",
    "PublicModel",
    "Round",
    "Task",
    "TaskStatus",
    "Verdict",
    "WatchTimeout",
    "connect",
)
__all__ = ["__version__", *_FROM_API]  # noqa: PLE0604  (names, as ruff cannot see)


def __getattr__(name: str) -> object:
    """PEP 562."""
    if name == "__version__":
        from importlib.metadata import version

        return version("quorumlearn")
    if name in _FROM_API:
        from quorumlearn import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
