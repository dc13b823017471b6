"""A miner's key for what the owner of sealed data seals to it: HPKE, of one task, shown on the ledger once the miner has joined.

The private half is in the task's journal until the task has ended. A content key that it opens is kept nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from quorumlearn_proto import block_pb2 as b

from quorumlearn.nodes import sealing
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.steps import queue_is_open

log = structlog.get_logger()

_KEY, _SHOWN = "sealing-key", "sealing-key-shown"


@dataclass(frozen=True)
class MinerKey:
    """Of one miner in one task with sealed data; in other tasks it does nothing."""

    me: str
    journal: Journal
    market: Market

    def private(self) -> bytes:
        """Drawn when it is first asked for."""
        key = self.journal.get(_KEY)
        if key is None:
            key = sealing.new_key()
            self.journal.put(_KEY, key)
        return key

    def to_show(self, view: b.TaskView) -> bool:
        """Whether the ledger has yet to be told the public half, and can be now."""
        sealed = view.task.spec.recompute.sealed
        return sealed and self.me in view.miners and queue_is_open(view) and self.journal.get(_SHOWN) is None

    def show(self, view: b.TaskView) -> None:
        """Show the public half. Once it is shown, it stays."""
        task = view.task.spec.task_id
        self.market.show_key(task, sealing.public_key(self.private()))
        self.journal.put(_SHOWN, b"1")
        log.info("showed its key for sealed data", task=task, identity=self.me)

    def erase(self) -> None:
        """The task has ended: nothing that was sealed to it can be opened any more."""
        self.journal.erase(_KEY)
