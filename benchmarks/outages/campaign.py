"""A task played by real nodes while what it runs on is killed, one process after the other, and started again.

Rules: everybody is honest. One process is down at a time, so that a quorum of whatever there is remains. What is killed, when, and how
long it stays down follows from the seed; what the round does meanwhile does not. A killed process of the network is started
again by what `quorumlearn network up` does, a killed node by its command.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil
import yaml
from quorumlearn.cli.access import open_market
from quorumlearn.cli.confirm import confirm_ledger
from quorumlearn.cli.processes import REPEATABLE, call, command
from quorumlearn.cli.scene import Scene
from quorumlearn.gateway import GatewayError
from quorumlearn.nodes.market import Market
from quorumlearn_network.processes import Detached
from quorumlearn_network.spec import FabricSpec, OrganisationSpec, Runtime, default_spec
from quorumlearn_network.up import bring_down, bring_up, status
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from benchmarks.outages.noticing import BrokenError, noticing
from benchmarks.overhead.played_task import adapt

PER_ROUND = 200
MOST_ROUNDS = 1000
SHARDS = 200
"""Of the training set: each miner has one of so many parts, so that a round is short beside an outage."""
DOWN_SECONDS, QUICK_DOWN_SECONDS = (1.0, 10.0), (0.5, 2.0)
CALM_SECONDS, QUICK_CALM_SECONDS = (2.0, 6.0), (0.5, 2.0)
"""How long a process stays down, and how long nothing is killed before and after."""
AFTERMATH_SECONDS = 15.0
"""A round that ends so long after an outage may still be without what it brought to a standstill."""
PATIENCE_SECONDS = 300.0
NODE = "node."
T = TypeVar("T")


@dataclass(frozen=True)
class Outage:
    """One kill. Times are seconds since 1970; `back` is how long after a peer listened again its node's stream of events was
    open, None for what is no peer with a node (or not on Fabric)."""

    process: str
    killed: float
    restarted: float
    ended: float
    back: float | None


@dataclass(frozen=True)
class RoundRecord:
    """How a round ended, and what was down in it: `reason` is "" for one that was accepted."""

    number: int
    reason: str
    outages: tuple[str, ...]


@dataclass(frozen=True)
class Tally:
    """What a campaign found. `slashed` are tokens by party, of which every one is honest."""

    outages: tuple[Outage, ...]
    rounds: tuple[RoundRecord, ...]
    slashed: Mapping[str, int]
    misconduct: tuple[str, ...]

    @property
    def unexplained(self) -> list[RoundRecord]:
        """Rounds that were not accepted although nothing was down, or for another reason than that somebody was missing."""
        aborted = b.Outcome.Name(b.ABORTED)
        return [
            one for one in self.rounds if one.reason and not (one.outages and one.reason.startswith(aborted))
        ]


@dataclass
class Campaign:
    """A network, its nodes, and a task that runs until it is cancelled."""

    scene: Scene
    random: random.Random
    say: Callable[[str], None]
    calm: tuple[float, float] = CALM_SECONDS
    down: tuple[float, float] = DOWN_SECONDS
    _nodes: dict[str, Detached] = field(default_factory=dict)

    def play(self, kills: int) -> Tally:
        """So many kills, then the rounds as the ledger holds them."""
        self._begin()
        with open_market(self.scene.network, "owner/owner") as market:
            self._reach(market, lambda view: view.round.phase >= b.COMMIT)
            outages = []
            for number in range(1, kills + 1):
                time.sleep(self.random.uniform(*self.calm))
                outages.append(self._outage(self.random.choice(self._victims())))
                self._check(market, f"{number} of {kills}: {outages[-1].process}")
            self._persist(lambda: market.cancel(self.scene.task))
            self._reach(market, lambda view: view.state.status not in (t.PUBLISHED, t.RUNNING))
            return tally(market, self.scene, outages)

    def close(self) -> None:
        for node in self._nodes.values():
            node.ask_to_stop()
        for node in self._nodes.values():
            node.stop()
        if (self.scene.network / "network.yaml").exists():
            bring_down(self.scene.network)

    def _begin(self) -> None:
        scene, log = self.scene, self.scene.folder / "logs" / "campaign.log"
        self.say("bringing the network up")
        bring_up(scene.spec, scene.network, confirm_ledger, lambda _: None, PATIENCE_SECONDS)
        funds = {**scene.funds(), scene.name("owner", "owner"): MOST_ROUNDS * PER_ROUND}
        as_treasury = ("--folder", str(scene.network), "--as", "treasury/treasury")
        call("token", "mint", *as_treasury, *(f"{who}={tokens}" for who, tokens in funds.items()), log=log)
        for file in scene.node_files:
            self._nodes[NODE + file.stem] = Detached(scene.folder, file.stem)
            self._start_node(NODE + file.stem)
        publish = (
            "task",
            "publish",
            str(scene.folder / "task.yaml"),
            "--store",
            str(scene.folder / "artifacts"),
        )
        data = () if scene.data is None else ("--data", str(scene.data))
        call(*publish, *data, "--folder", str(scene.network), "--as", "owner/owner", log=log)

    def _start_node(self, name: str) -> None:
        file = self.scene.folder / "nodes" / f"{name.removeprefix(NODE)}.yaml"
        self._nodes[name].start(command("node", "run", str(file), REPEATABLE), {})

    def _victims(self) -> list[str]:
        return [*(one.name for one in status(self.scene.network).processes), *self._nodes]

    def _outage(self, name: str) -> Outage:
        down = self.random.uniform(*self.down)
        self.say(f"killing {name} for {down:.0f} s")
        killed = time.time()
        _kill(self._pid(name))
        time.sleep(down)
        restarted = time.time()
        if name in self._nodes:
            self._start_node(name)
            return Outage(name, killed, restarted, time.time(), None)
        peer = self._peer_with_node(name)
        with noticing(peer, PATIENCE_SECONDS) as noticed:
            bring_up(None, self.scene.network, confirm_ledger, lambda _: None, PATIENCE_SECONDS)
        return Outage(name, killed, restarted, time.time(), noticed())

    def _pid(self, name: str) -> int:
        pid = (
            self._nodes[name].pid()
            if name in self._nodes
            else next(one.pid for one in status(self.scene.network).processes if one.name == name)
        )
        if pid is None:
            raise BrokenError(f"{name} ended by itself; its log is in {self.scene.folder}")
        return pid

    def _peer_with_node(self, name: str) -> OrganisationSpec | None:
        """The organisation whose Fabric peer this is, if it runs a node."""
        spec = status(self.scene.network).spec
        if spec.fabric is None:
            return None
        return next(
            (
                one
                for one in spec.organisations
                if name == f"peer0.{one.name}" and NODE + one.name in self._nodes
            ),
            None,
        )

    def _check(self, market: Market, done: str) -> None:
        view = self._persist(lambda: market.view(self.scene.task))
        if view.state.status not in (t.PUBLISHED, t.RUNNING):
            raise BrokenError(f"the task ended {t.TaskStatus.Name(view.state.status)} after kill {done}")
        self.say(f"kill {done}; round {view.round.number} in {b.Phase.Name(view.round.phase)}")

    def _reach(self, market: Market, until: Callable[[b.TaskView], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not until(self._persist(lambda: market.view(self.scene.task))):
            if time.monotonic() > deadline:
                raise BrokenError(f"the task does not get on; the logs are in {self.scene.folder / 'logs'}")
            time.sleep(0.2)

    def _persist(self, ask: Callable[[], T]) -> T:
        """The answer, once the owner's peer gives it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return ask()
            except GatewayError as error:
                if time.monotonic() > deadline:
                    raise BrokenError(f"the owner's peer does not come back: {error}") from error
            time.sleep(0.2)


def make_campaign(
    seed: int, data: Path | None, samples: int, on: Runtime | None, say: Callable[[str], None], *, quick: bool
) -> Campaign:
    """Two miner organisations of two miners, three verifiers, in a fresh folder."""
    folder = Path(tempfile.mkdtemp(prefix="quorumlearn-outages-"))
    (folder / "artifacts").mkdir()
    (folder / "logs").mkdir()
    spec = default_spec(miner_organisations=2, miners_each=2, verifiers=3)
    if on is not None:
        spec = spec.model_copy(update={"fabric": FabricSpec(runtime=on)})
    scene = Scene(folder, spec, f"outages-{seed}", MOST_ROUNDS, seed, data, {})
    scene.write(samples)
    _shorten(scene, samples)
    if quick:
        return Campaign(scene, random.Random(seed), say, QUICK_CALM_SECONDS, QUICK_DOWN_SECONDS)
    return Campaign(scene, random.Random(seed), say)


def wiped(campaign: Campaign) -> None:
    """Remove what a campaign that went well leaves."""
    shutil.rmtree(campaign.scene.folder, ignore_errors=True)


def tally(market: Market, scene: Scene, outages: list[Outage]) -> Tally:
    """What the ledger says of the task, held against what was down when."""
    records = []
    for one in market.rounds(scene.task):
        times = [phase.entered_ms / 1000 for phase in one.times]
        during = [
            outage.process
            for outage in outages
            if outage.killed <= max(times) and outage.ended + AFTERMATH_SECONDS >= min(times)
        ]
        reason = "" if one.outcome == b.ACCEPTED else f"{b.Outcome.Name(one.outcome)} {one.reason}".strip()
        records.append(RoundRecord(one.number, reason, tuple(during)))
    return Tally(
        outages=tuple(outages),
        rounds=tuple(sorted(records, key=lambda record: record.number)),
        slashed={stake.account_id: stake.slashed for stake in market.stakes(scene.task) if stake.slashed},
        misconduct=tuple(
            f"seat {one.seat}, round {one.round}: {b.Fault.Name(one.fault)} {one.detail}".strip()
            for one in market.misconducts(scene.task)
        ),
    )


def _shorten(scene: Scene, samples: int) -> None:
    """Small shards, whose models may become worse; three of the four miners are enough for a round (`adapt`)."""
    file = scene.folder / "task.yaml"
    task = yaml.safe_load(file.read_text())
    task["workload"]["config"]["epochs"] = "1"
    task["reward"]["per_round"] = PER_ROUND
    task["tolerance"] = "100%"
    adapt(scene, samples, samples // SHARDS, task)
    for path in scene.node_files:
        path.write_text(f"{path.read_text()}data_budget: {MOST_ROUNDS}\n")


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(20)
