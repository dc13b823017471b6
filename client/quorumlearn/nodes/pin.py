"""The specification that an identity works by: pinned by its digest, in the journal, before the identity joins.

Rules:
- whoever first looks at a task pins what it then finds, if the task's state names the same digest;
- from then on nothing is done in the task while the ledger shows another specification, whoever endorsed it: nothing is sent, no share
  is made, nothing kept is erased. When the ledger shows the pinned one again, the identity goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from quorumlearn_proto.block_pb2 import TaskView
from quorumlearn_proto.derived import spec_digest

from quorumlearn.nodes.journal import Journal

PINNED = "specification"


class AlteredTaskError(Exception):
    """The ledger shows another specification than the one that was joined; the message has both digests."""


@dataclass(frozen=True)
class Pin:
    """Of one identity in one task."""

    journal: Journal

    def check(self, view: TaskView) -> None:
        """AlteredTaskError unless the view's specification is the pinned one; JournalError if it cannot be pinned."""
        shown, pinned = spec_digest(view.task.spec), self.journal.get(PINNED)
        joined = view.state.spec_digest if pinned is None else pinned.decode()
        if not shown == joined == view.state.spec_digest:
            raise AlteredTaskError(
                f"{view.state.task_id} was joined with the specification {joined[:16]}, the ledger's record now has {shown[:16]} and "
                f"its state names {view.state.spec_digest[:16]}: nothing is done by another specification. `quorumlearn task audit` "
                "compares it with block 0"
            )
        if pinned is None:
            self.journal.put(PINNED, shown.encode())
