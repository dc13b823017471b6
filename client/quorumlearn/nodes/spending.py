"""How often updates of one data set may be added up, over all tasks and ledgers: a second task on the same data is the same leak.

Rules: a round counts once its update has been trained, whatever becomes of it, and no second time after a restart; what is spent is
kept below the state folder by a digest of the data, which stays on the node. Data of which a part is changed are other data: a user
who deals the same samples out anew counts for them anew.
"""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from quorumlearn.learning import Data, Samples
from quorumlearn.nodes.journal import Journal


class BudgetSpent(Exception):
    """As many updates of a data set were added up as the node's file allows."""


@dataclass
class DataBudget:
    """`most` rounds for each data set; `journal` holds an entry for each round, by the digest of its data."""

    journal: Journal
    most: int
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _digests: MutableMapping[Data, str] = field(default_factory=WeakKeyDictionary, repr=False)

    def left(self, data: Data) -> int:
        """How many more rounds these data may take part in. JournalError if it cannot be read."""
        return max(0, self.most - len(self._spent(data).names()))

    def spend(self, data: Data, round_key: str) -> None:
        """Count this round of these data, once for each key (a name of a journal entry). BudgetSpent if none is left, JournalError
        if it cannot be noted."""
        with self._one_at_a_time:
            spent = self._spent(data)
            if spent.get(round_key) is not None:
                return
            if not self.left(data):
                raise BudgetSpent(
                    f"{self.most} rounds have used these data, the most that data_budget allows"
                )
            spent.put(round_key, b"spent")

    def _spent(self, data: Data) -> Journal:
        return self.journal.below(self._digest(data))

    def _digest(self, data: Data) -> str:
        """That of data which nobody can write to is computed once."""
        digest = self._digests.get(data) or data.digest()
        if not (isinstance(data, Samples) and data.writeable):
            self._digests[data] = digest
        return digest
