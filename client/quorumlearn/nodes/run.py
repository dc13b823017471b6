"""Runs one organisation's node: finds the tasks its identities are for and gives each a worker.

One thread listens to the chaincode's events for the whole process, one thread runs each identity in each task, one pool of worker
processes handles encrypted updates for them all. A task that has ended is left alone, but for its verifiers when one of its blocks is
challenged. The node stops on `stop`; with `until_done` it also ends by itself once every matching task has ended.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import structlog
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.page_pb2 import TaskSummary

from quorumlearn.attacks import make_behaviour
from quorumlearn.ckks import Workers
from quorumlearn.gateway import GatewayError
from quorumlearn.learning import LearningError, warm_up
from quorumlearn.nodes.config import IdentityConfig
from quorumlearn.nodes.feed import TaskFeed, listen
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.judge import Judge
from quorumlearn.nodes.keyholder import KeyHolder
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.miner import Miner, Workshop
from quorumlearn.nodes.organisation import Organisation, journal_folder
from quorumlearn.nodes.owner import Owner
from quorumlearn.nodes.scoring import Scorer
from quorumlearn.nodes.steps import LIVE, ended
from quorumlearn.nodes.tray import Tray
from quorumlearn.nodes.verifier import Verifier
from quorumlearn.nodes.worker import Role, Worker

log = structlog.get_logger()

LOOK_SECONDS, LONGEST_LOOK_SECONDS = 5.0, 60.0
"""How often the tasks are listed although no event tells of a new one: ever more seldom, unless events are lost."""
END_SECONDS = 2.0
OWNERS_NICENESS = 10


class NodeFault(Exception):
    """A worker ended by a fault of the program; its traceback is in the log."""


class Node:
    """All identities of one organisation at work. `run` returns when stopped."""

    def __init__(self, organisation: Organisation, stop: threading.Event) -> None:
        self.organisation = organisation
        self.stop = stop
        self._feeds: dict[str, TaskFeed] = {}
        self._threads: dict[tuple[str, str], threading.Thread] = {}
        self._over: set[str] = set()
        self._challenged: set[str] = set()
        self._workshop = Workshop(threading.Semaphore(organisation.config.compute_slots), stop)
        self._workers = Workers(organisation.config.workers)
        self._look = threading.Event()
        self._fault: BaseException | None = None
        self._anyone = organisation.config.identities[0].user

    def run(self, *, until_done: bool = False) -> None:
        """Work until `stop` is set (or everything is done), then close the organisation's connections.

        NodeFault if a worker failed; GatewayError at once if an identity of the file cannot be used.
        """
        self.organisation.check_accounts()
        listener = threading.Thread(target=self._guarded, args=(self._listen,), name="events", daemon=True)
        listener.start()
        market = self.organisation.market(self._anyone)
        pause = LOOK_SECONDS
        try:
            while not self.stop.is_set():
                try:
                    for summary in market.tasks():
                        self._look_back(summary, market)
                        self._employ(summary)
                except GatewayError as error:
                    log.warning("cannot list the tasks", error=str(error))
                if until_done and self._threads and not any(t.is_alive() for t in self._threads.values()):
                    break
                woken = self._look.wait(pause)
                self._look.clear()
                pause = LOOK_SECONDS if woken else min(2 * pause, LONGEST_LOOK_SECONDS)
        finally:
            self._wind_up()
        if self._fault is not None:
            raise NodeFault("a worker failed; its traceback is above") from self._fault

    def _wind_up(self) -> None:
        """End all workers: those that wait at once, those in a call of the gateway by closing it.

        No step is left to be finished: a node may be killed anywhere.
        """
        self.end()
        deadline = time.monotonic() + END_SECONDS
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        self.organisation.close()
        for thread in self._threads.values():
            thread.join()
        self._workers.close()

    def end(self) -> None:
        """Tell the node to stop, from any thread; `run` returns within seconds."""
        self.stop.set()
        self._look.set()
        for feed in list(self._feeds.values()):
            feed.close()

    def _employ(self, summary: TaskSummary) -> None:
        """Start a worker for each identity that is for this task and has none."""
        task = summary.task.spec.task_id
        started = False
        for identity in self.organisation.config.identities:
            key = (task, identity.user)
            if not self._for_task(identity, summary) or self._employed(key):
                continue
            if task not in self._feeds:
                self._feeds[task] = TaskFeed(task, self.organisation.market(self._anyone))
                threading.Thread(target=self._guarded, args=(self._warm_up,), daemon=True).start()
            if identity.role == "verifier":
                self._workers.start()
            thread = threading.Thread(
                target=self._guarded,
                args=(self._work(identity, task),),
                name=f"{task}/{identity.user}",
                daemon=True,
            )
            self._threads[key] = thread
            thread.start()
            started = True
        if started:
            self._challenged.discard(task)

    def _work(self, identity: IdentityConfig, task: str) -> Callable[[], None]:
        """All that this identity does in this task."""
        if identity.role == "verifier":
            return partial(self._sit, identity, task)
        role = self._miner(identity, task) if identity.role == "miner" else self._owner(identity, task)
        worker = self._worker(identity, task, role)
        return partial(_yielding, worker.run) if identity.role == "owner" else worker.run

    def _sit(self, identity: IdentityConfig, task: str) -> None:
        """A verifier's rounds, keys and challenges, each in a thread; once its last key is over no secret of it is left."""
        rounds, keys, challenges = (self._worker(identity, task, role) for role in self._seat(identity, task))
        threads = [
            threading.Thread(
                target=self._guarded, args=(one.run,), name=f"{task}/{identity.user}/{name}", daemon=True
            )
            for name, one in (("keys", keys), ("challenges", challenges))
        ]
        for one in threads:
            one.start()
        rounds.run()
        threads[0].join()
        last = self._feeds[task].last
        if last is not None and ended(last):
            self._journal(identity, task).forget_rounds()
        threads[1].join()

    def _worker(self, identity: IdentityConfig, task: str, role: Role) -> Worker:
        return Worker(
            me=self.organisation.name(identity.user),
            role=role,
            feed=self._feeds[task],
            market=self.organisation.market(identity.user),
            stop=self.stop,
        )

    def _warm_up(self) -> None:
        """What takes seconds the first time, begun while others are still joining. What is wrong with the data is said by who
        needs them."""
        warm_up(training=any(one.role == "miner" for one in self.organisation.config.identities))
        with contextlib.suppress(LearningError):
            self.organisation.ready_data()

    def _employed(self, key: tuple[str, str]) -> bool:
        """Whether this identity has a worker in this task, or had one and there is nothing new for it."""
        thread = self._threads.get(key)
        return thread is not None and (thread.is_alive() or key[0] not in self._challenged)

    def _look_back(self, summary: TaskSummary, market: Market) -> None:
        """Of a task that ended, once: erase what secrets are left if it ended while this node was away, and find out
        whether a challenge came."""
        task = summary.task.spec.task_id
        if summary.state.status in LIVE or task in self._over:
            return
        for identity in self.organisation.config.identities:
            folder = journal_folder(self.organisation.config, identity, task)
            if (task, identity.user) not in self._threads and folder.is_dir():
                Journal(folder).forget_rounds()
        verifies = any(identity.role == "verifier" for identity in self.organisation.config.identities)
        if verifies and market.view(task).challenges:
            self._challenged.add(task)
        self._over.add(task)

    def _for_task(self, identity: IdentityConfig, summary: TaskSummary) -> bool:
        spec = summary.task.spec
        name = self.organisation.name(identity.user)
        if identity.role == "owner":
            return summary.task.owner == name
        if not any(fnmatch.fnmatchcase(spec.task_id, p) for p in identity.tasks):
            return False
        if summary.state.status not in LIVE and (
            identity.role == "miner" or spec.task_id not in self._challenged
        ):
            return False
        committee = (*spec.committee.msp_ids, *spec.committee.reserve_msp_ids)
        return identity.role == "miner" or self.organisation.msp_id(identity.user) in committee

    def _journal(self, identity: IdentityConfig, task: str) -> Journal:
        return self.organisation.journal.below(identity.user).below(task)

    def _owner(self, identity: IdentityConfig, task: str) -> Owner:
        org = self.organisation
        return Owner(
            me=org.name(identity.user),
            store=org.store,
            journal=self._journal(identity, task),
            test_set=partial(org.test_set, identity),
        )

    def _miner(self, identity: IdentityConfig, task: str) -> Miner:
        org = self.organisation
        return Miner(
            me=org.name(identity.user),
            market=org.market(identity.user),
            store=org.store,
            journal=self._journal(identity, task),
            workshop=self._workshop,
            shard=partial(org.shard, identity),
            behaviour=make_behaviour(identity.behaviour),
            workers=self._workers,
            noise_key=org.noise_key(identity),
        )

    def _seat(self, identity: IdentityConfig, task: str) -> tuple[Verifier, KeyHolder, Judge]:
        org = self.organisation
        me, msp_id, market = org.name(identity.user), org.msp_id(identity.user), org.market(identity.user)
        journal, tray, scorer = self._journal(identity, task), Tray(), Scorer(partial(org.test_set, identity))
        rounds = Verifier(
            me=me,
            msp_id=msp_id,
            market=market,
            store=org.store,
            journal=journal,
            scorer=scorer,
            position=partial(org.position, identity.user),
            workers=self._workers,
            tray=tray,
            leaving=any(fnmatch.fnmatchcase(task, pattern) for pattern in identity.leaves),
        )
        keys = KeyHolder(me, msp_id, market, org.store, journal, tray, org.beacon_key(identity))
        return rounds, keys, Judge(me, msp_id, market, org.store, scorer)

    def _listen(self) -> None:
        """Tell the feeds of changes, from the chaincode's events."""
        network, chaincode = self.organisation.network(self._anyone), self.organisation.config.chaincode
        listen(network, chaincode, self._told, self._lost, self.stop)

    def _lost(self, error: GatewayError) -> None:
        log.warning("no events; reading the ledger instead", error=str(error))
        self._look.set()

    def _told(self, event: LedgerEvent) -> None:
        if event.kind == "blocks:Challenge":
            self._challenged.add(event.task_id)
        if event.kind in {"tasks:Publish", "blocks:Challenge"}:
            self._look.set()
        feed = self._feeds.get(event.task_id)
        if feed is not None:
            feed.notify(event)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            if not self.stop.is_set():
                log.exception("worker failed", thread=threading.current_thread().name)
                self._fault = error
            self.stop.set()
        finally:
            self._look.set()  # somebody may wait for the last worker to end


def _yielding(work: Callable[[], None]) -> None:
    """At a low priority, where threads have one of their own: nobody waits for an owner's node, and others may share its machine."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), OWNERS_NICENESS)
    work()
