"""QuorumLearn from Python: connect, publish, watch, and have the model. `import quorumlearn` offers these names: docs/python.md.

`access` is the one way to a gateway, `publishing`, `watching` and `model` do what the command line does too, and `connection`, `task` and
`rounds` are what a notebook holds in its hands.
"""

from quorumlearn.api.connection import Connection, NoStore, connect
from quorumlearn.api.model import ModelRefused, Provenance, PublicModel
from quorumlearn.api.publishing import WouldBeRefused
from quorumlearn.api.rounds import Block, Round, TaskStatus, Verdict
from quorumlearn.api.task import Task, WatchTimeout

__all__ = [
    "Block",
    "Connection",
    "ModelRefused",
    "NoStore",
    "Provenance",
    "PublicModel",
    "Round",
    "Task",
    "TaskStatus",
    "Verdict",
    "WatchTimeout",
    "WouldBeRefused",
    "connect",
]
