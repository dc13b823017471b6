"""Runs one organisation's node: finds the tasks its identities are for and gives each a worker.

One thread listens to the chaincode's events for the whole process, one sees whether it can write, one keeps what others may remove from the
store, one runs each identity in each task
(a verifier has three), one pool of worker processes handles encrypted updates for them all. A task that has ended is left alone, but for
its verifiers when one of its blocks is challenged. The node stops on `stop`; with `until_done` it also ends by itself once every matching
task has ended.
"""

from __future__ import annotations

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
from quorumlearn_proto.recompute import recomputes
from quorumlearn_proto.task_pb2 import Task

from quorumlearn.ckks import Workers
from quorumlearn.gateway import GatewayError
from quorumlearn.learning import get_workload, warm_up
from quorumlearn.nodes.config import IdentityConfig
from quorumlearn.nodes.consent import Consent
from quorumlearn.nodes.feed import AWAY_SECONDS, TaskFeed, listen
from quorumlearn.nodes.health import Health
from quorumlearn.nodes.journal import Journal, JournalError
from quorumlearn.nodes.keeping import Keeper
from quorumlearn.nodes.market import Market, Refused
from quorumlearn.nodes.models import workload_of
from quorumlearn.nodes.organisation import Organisation, journal_folder
from quorumlearn.nodes.pin import Pin
from quorumlearn.nodes.readiness import Part, Readiness
from quorumlearn.nodes.roles import Roles
from quorumlearn.nodes.steps import LIVE, ended
from quorumlearn.nodes.terms import unwelcome
from quorumlearn.nodes.training import Workshop
from quorumlearn.nodes.waiting import LongWait
from quorumlearn.nodes.worker import Role, Worker

log = structlog.get_logger()

LOOK_SECONDS, LONGEST_LOOK_SECONDS = 5.0, 60.0
"""How often the tasks are listed although no event tells of a new one: ever more seldom, unless events are lost."""
END_SECONDS = 2.0
OWNERS_NICENESS = 10


class NodeFault(Exception):
    """A thread of the node's ended by a fault of the program; its traceback is in the log."""


class Node:
    """All identities of one organisation at work. `run` returns when stopped."""

    def __init__(self, organisation: Organisation, stop: threading.Event) -> None:
        self.organisation = organisation
        self.stop = stop
        self._feeds: dict[str, TaskFeed] = {}
        self._threads: dict[tuple[str, str], threading.Thread] = {}
        self._over: set[str] = set()
        self._left_out: set[str] = set()
        self._challenged: set[str] = set()
        workshop = Workshop(threading.Semaphore(organisation.config.compute_slots), stop)
        self.workers = Workers(organisation.config.workers)
        self._look = threading.Event()
        self._fault: BaseException | None = None
        self.health = Health(organisation.journal, organisation.store)
        self.readiness = Readiness()
        self._preparing = threading.Thread()
        self._keeper = Keeper(organisation.store, self.health.doubt)
        consent = Consent(organisation)
        self._roles = Roles(organisation, workshop, self.workers, self.health, self._keeper, consent)
        self._settled = False
        self._anyone = organisation.config.identities[0].user

    def run(self, *, until_done: bool = False) -> None:
        """Work until `stop` is set (or everything is done), then close the organisation's connections.

        NodeFault if one of its own threads failed; at once GatewayError if an identity of the file cannot be used, or DataKeysError if its
        content keys cannot.
        """
        self.organisation.check_accounts()
        self.organisation.check_data_keys()
        for name, work in (
            ("events", self._listen),
            ("health", partial(self.health.watch, self.stop)),
            ("keeper", partial(self._keeper.run, self.stop)),
        ):
            threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True).start()
        waits = LongWait()
        market = self.organisation.market(self._anyone)
        pause = LOOK_SECONDS
        try:
            while not self.stop.is_set():
                self._prepare()
                try:
                    self._find_work(market)
                except (GatewayError, Refused, JournalError) as error:
                    log.warning("cannot look for tasks, will try again", error=str(error))
                    self.health.doubt(error)
                    self.readiness.failed(Part.TASKS, error)
                    pause = AWAY_SECONDS
                if not self._threads and (waited := waits.due("work")) is not None:
                    log.info("waits", seconds=round(waited), what="a task that its identities are for")
                if until_done and self._threads and not any(t.is_alive() for t in self._threads.values()):
                    break
                woken = self._look.wait(pause)
                self._look.clear()
                pause = LOOK_SECONDS if woken else min(max(LOOK_SECONDS, 2 * pause), LONGEST_LOOK_SECONDS)
        finally:
            self._wind_up()
        if self._fault is not None:
            raise NodeFault("a thread of the node failed; its traceback is above") from self._fault

    def _find_work(self, market: Market) -> None:
        """List the tasks; nothing is read in a journal before it is known to be of this ledger."""
        if not self._settled:
            self.organisation.settle()
            self.readiness.done(Part.PEER)
        tasks = list(market.tasks())
        self.readiness.done(Part.TASKS)
        if not self._settled:
            self._keeper.only(one.task.spec.task_id for one in tasks if one.state.status in LIVE)
            self._settled = True
        for summary in tasks:
            self._look_back(summary, market)
            self._employ(summary)

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
        self.workers.close()

    def end(self) -> None:
        """Tell the node to stop, from any thread; `run` returns within seconds."""
        self.stop.set()
        self._look.set()
        self.health.end()
        self._keeper.end()
        for feed in list(self._feeds.values()):
            feed.close()

    def _employ(self, summary: TaskSummary) -> None:
        """Start a worker for each identity that is for this task and has none."""
        task = summary.task.spec.task_id
        started = False
        for identity in self.organisation.config.identities:
            key = (task, identity.user)
            if not self._for_task(identity, summary) or self._employed(key) or self._is_full(task):
                continue
            if task not in self._feeds:
                warm_up = partial(self._warm_up, summary.task)
                threading.Thread(target=self._guarded, args=(warm_up,), daemon=True).start()
                self._feeds[task] = TaskFeed(task, self.organisation.market(self._anyone))
            if identity.role == "verifier":
                self.workers.start()
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
        role = (
            self._roles.miner(identity, task)
            if identity.role == "miner"
            else self._roles.owner(identity, task)
        )
        worker = self._worker(identity, task, role)
        return partial(_yielding, worker.run) if identity.role == "owner" else worker.run

    def _sit(self, identity: IdentityConfig, task: str) -> None:
        """A verifier's rounds, keys and challenges, each in a thread; once its last key is over no secret of it is left."""
        rounds, keys, challenges = (
            self._worker(identity, task, role) for role in self._roles.seat(identity, task)
        )
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
            self._roles.journal(identity, task).forget_rounds()
        threads[1].join()

    def _worker(self, identity: IdentityConfig, task: str, role: Role) -> Worker:
        return Worker(
            me=self.organisation.name(identity.user),
            role=role,
            feed=self._feeds[task],
            market=self.organisation.market(identity.user),
            stop=self.stop,
            doubt=self.health.doubt,
            check=Pin(self._roles.journal(identity, task)).check,
        )

    def _prepare(self) -> None:
        """Have the data of the workloads that the node's file names read beside all else, unless they are or somebody is at it."""
        if not self.readiness.has(Part.DATA) and not self._preparing.is_alive():
            self._preparing = threading.Thread(target=self._read_data, name="data", daemon=True)
            self._preparing.start()

    def _read_data(self) -> None:
        """What the node can know to lack before there is a task. It is told again by who needs it."""
        try:
            names = self.organisation.config.workload_names()
            self.organisation.ready_data([get_workload(name, {}) for name in names])
        except (Exception, SystemExit) as error:  # noqa: BLE001 - nobody needs it yet
            if self.readiness.failed(Part.DATA, error):
                log.warning("cannot read its data", kind=type(error).__name__, error=str(error))
        else:
            self.readiness.done(Part.DATA)

    def _warm_up(self, task: Task) -> None:
        """What takes seconds the first time, begun while others are still joining. What is wrong with workload or data is told again by
        who needs them."""
        if unwelcome(task, self.organisation.config.accept):
            return
        try:
            workload = workload_of(task.spec)
            warm_up(
                workload, training=any(one.role == "miner" for one in self.organisation.config.identities)
            )
            if recomputes(task.spec):
                self.organisation.ready_tests(workload)
            else:
                self.organisation.ready_data([workload])
        except (Exception, SystemExit) as error:  # noqa: BLE001 - nobody needs it yet
            log.warning("cannot make ready", kind=type(error).__name__, error=str(error))

    def _employed(self, key: tuple[str, str]) -> bool:
        """Whether this identity has a worker in this task, or had one and there is nothing new for it."""
        thread = self._threads.get(key)
        return thread is not None and (thread.is_alive() or key[0] not in self._challenged)

    def _is_full(self, task: str) -> bool:
        """Whether this task is left out because the node plays as many as it may. Its threads are bounded by that: a seat's three wait
        for each other's news and for other seats', so fewer threads than lanes would let one task stop another."""
        live = {name for (name, _), thread in self._threads.items() if thread.is_alive()}
        full = task not in live and len(live) >= self.organisation.config.live_tasks
        if full and task not in self._left_out:
            log.warning("leaves a task out: it plays as many as it may", task=task, live_tasks=len(live))
            self._left_out.add(task)
        return full

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
        self._keeper.told(event)
        feed = self._feeds.get(event.task_id)
        if feed is not None:
            feed.notify(event)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            if not self.stop.is_set():
                log.exception("thread failed", thread=threading.current_thread().name)
                self._fault = error
            self.stop.set()
        finally:
            self._look.set()  # somebody may wait for the last worker to end


def _yielding(work: Callable[[], None]) -> None:
    """At a low priority, where threads have one of their own: nobody waits for an owner's node, and others may share its machine."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), OWNERS_NICENESS)
    work()
