"""Whether an identity may stake on a task, by the terms of its node's file; and saying so if it may not.

What a task says of itself (`terms.broken_terms`) is looked at once. What the identity has at risk is asked of the ledger each time: an
owner can publish any number of tasks, each with a stake that is small enough. Counted are the tokens locked and the tokens lost in
every task that the identity has a journal of, and those that it is about to lock.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from quorumlearn_proto.task_pb2 import Task

from quorumlearn.nodes import metrics
from quorumlearn.nodes.config import IdentityConfig
from quorumlearn.nodes.market import Market, Refused
from quorumlearn.nodes.organisation import Organisation
from quorumlearn.nodes.terms import Staking, broken_terms, unwelcome
from quorumlearn.nodes.waiting import LongWait

log = structlog.get_logger()


@dataclass
class Consent:
    """Of all identities of one node, in all tasks and threads."""

    organisation: Organisation
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _promised: dict[tuple[str, str], int] = field(default_factory=dict)
    """By user and task: what an identity was let to lock."""
    _broken: dict[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    _waits: dict[tuple[str, str], LongWait] = field(default_factory=dict)

    def welcome(self, identity: IdentityConfig, task: Task) -> bool:
        """Whether the node deals with the task's owner, workload and rule at all, before it builds or reads anything for it."""
        if not unwelcome(task, self.organisation.config.accept):
            return True
        return self.given(identity, task)

    def given(self, identity: IdentityConfig, task: Task, samples: int | None = None) -> bool:
        """Whether the identity may lock its stake in the task now, `samples` being what a miner trains on."""
        broken = self.broken(identity, task, samples)
        name = task.spec.task_id
        key = identity.user, name
        metrics.BROKEN_TERMS.labels(name, identity.user).set(len(broken))
        if not broken:
            return True
        about = {"task": name, "identity": self.organisation.name(identity.user)}
        if key not in self._waits:
            self._waits[key] = LongWait()
            log.warning(
                "does not join: the task breaks terms of this node's file", **about, terms=list(broken)
            )
        if (waited := self._waits[key].due(broken)) is not None:
            log.info("waits", **about, seconds=round(waited), what=f"terms that the task keeps: {broken[0]}")
        return False

    def broken(self, identity: IdentityConfig, task: Task, samples: int | None = None) -> Sequence[str]:
        """The terms that keep the identity from the task, a sentence each; if there are none, its stake counts from now on."""
        key, terms = (identity.user, task.spec.task_id), self.organisation.config.accept
        role = staking(identity)
        with self._lock:
            if key not in self._broken:
                self._broken[key] = tuple(broken_terms(task, terms, role, samples))
            if self._broken[key]:
                return self._broken[key]
            stake = task.spec.stakes.miner if role == "miner" else task.spec.stakes.verifier
            risk = self._at_risk(identity, but=task.spec.task_id)
            if risk + stake > terms.largest_risk:
                return (
                    f"accept.largest_risk is {terms.largest_risk}: {risk} are locked in other tasks or lost, and this one takes {stake}",
                )
            self._promised[key] = stake
            return ()

    def _at_risk(self, identity: IdentityConfig, but: str) -> int:
        """Tokens that the identity has locked, was let to lock, or has lost, in all tasks; of the one named only what is lost."""
        user, market = identity.user, self.organisation.market(identity.user)
        name = self.organisation.name(user)
        promised = {task: stake for (who, task), stake in self._promised.items() if who == user}
        total = 0
        for task in {*self.organisation.journal.below(user).names(), *promised}:
            total += _at_risk_in(market, task, name, 0 if task == but else promised.get(task, 0), task != but)
        return total


def staking(identity: IdentityConfig) -> Staking:
    """What a miner or verifier stakes as."""
    return "miner" if identity.role == "miner" else "verifier"


def _at_risk_in(market: Market, task: str, name: str, promised: int, locked: bool) -> int:
    try:
        stake = market.stake(task, name)
    except Refused as refusal:
        if refusal.code not in {"NO_SUCH_STAKE", "NO_SUCH_TASK"}:
            raise
        return promised
    return stake.slashed + (stake.amount if locked else 0)
