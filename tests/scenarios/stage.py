"""A stage for whole tasks: a network on this machine, funded accounts, and nodes in threads or processes.

Everything goes the way a user's things go: the network, tokens, tasks and identities by the command line's functions, the
nodes by their files. What is small is only the training: a shard of a few hundred images.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.cli import run
from quorumlearn.cli.access import market_contract, open_gateway
from quorumlearn.gateway import Gateway
from quorumlearn.nodes.config import load
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.organisation import Organisation
from quorumlearn.nodes.run import Node
from quorumlearn_network.spec import NetworkSpec, default_spec, dump_spec
from quorumlearn_network.up import status as network_status
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import reward_pb2 as r
from quorumlearn_proto import task_pb2 as t

FUNDS = 100_000
SHARDS = 200  # of MNIST: 300 images each
PER_ROUND = 1000
STAKES = {"miner": 100, "miner_slash": 20, "verifier": 200, "verifier_slash": 50, "challenge": 50}
TIMEOUTS = {
    "join": 90,
    "key": 40,
    "commit": 90,
    "reveal": 90,
    "beacon": 90,
    "screen": 90,
    "select": 90,
    "open": 90,
    "propose": 90,
    "validate": 90,
}
"""Long enough for a slow machine: where nobody is away none runs out. A scenario with somebody who is away shortens that phase."""
PATIENCE = 300.0  # seconds until a scenario that does not get on has failed
LIVE = (t.PUBLISHED, t.RUNNING)
TERMS = {
    "shortest_timeouts": dict.fromkeys((name for name in TIMEOUTS if name != "join"), 4),
    "largest_risk": FUNDS,
}
"""What a node here asks of a task, beside the defaults: phases are short, and one account is in many tasks at once."""
SEATS = ("verifier1", "verifier2", "verifier3")


@dataclass(frozen=True)
class Told:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def fields(self) -> dict[str, object]:
        """The one JSON object on standard output."""
        parsed = json.loads(self.out)
        assert isinstance(parsed, dict)
        return parsed


class NodeThread:
    """One organisation's node in a thread of this process, started with `--repeatable` or without."""

    def __init__(
        self, file: Path, kind: type[Organisation] = Organisation, *, repeatable: bool = True
    ) -> None:
        self._failure: BaseException | None = None
        self.organisation = kind(load(file))
        self.organisation.repeatable = repeatable
        self.node = Node(self.organisation, threading.Event())
        self._thread = threading.Thread(target=self._run, name=f"node {file.stem}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.node.run()
        except BaseException as error:  # noqa: BLE001  (raised again by check)
            self._failure = error

    def check(self) -> None:
        """Raise what ended the node, if it ended by itself."""
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        self.node.end()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a node that was told to stop still runs"
        self.check()


class NodeProcess:
    """`quorumlearn node run FILE` in a process of its own, to be killed; `environment` adds to this process's."""

    def __init__(self, file: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = file.with_suffix(".log")
        self._environment = dict(environment or {})
        self._command = [sys.executable, "-m", "quorumlearn.cli", "node", "run", str(file), "--repeatable"]
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self._command,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def start_again(self, environment: Mapping[str, str]) -> None:
        """Start it, after it has ended, with this added to the environment."""
        self._environment = dict(environment)
        self._process = self._started()

    def ended(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        return self._process.wait(60)

    def kill_and_restart(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process = self._started()

    def check(self) -> None:
        code = self._process.poll()
        assert code is None, f"the node ended by itself with {code}:\n{self.log.read_text()[-3000:]}"

    def end(self) -> None:
        """SIGTERM: it ends by itself, without a traceback; by the signal if it came before the program was up."""
        self._process.terminate()
        try:
            code = self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        log = self.log.read_text()
        assert code in (0, -signal.SIGTERM), f"exit code {code}:\n{log[-3000:]}"
        assert "Traceback" not in log, log[-3000:]


AnyNode = NodeThread | NodeProcess


@dataclass
class Stage:
    """One network and what is played on it. `close` leaves nothing running."""

    folder: Path
    data: Path
    spec: NetworkSpec
    _gateways: dict[str, Gateway] = field(default_factory=dict)
    _markets: dict[str, Market] = field(default_factory=dict)

    @property
    def network(self) -> Path:
        return self.folder / "network"

    @property
    def store_folder(self) -> Path:
        return self.folder / "artifacts"

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(str(self.store_folder))

    def name(self, who: str) -> str:
        """`miners1/miner1` as on the ledger."""
        organisation, user = who.split("/")
        return f"{self.spec.organisation(organisation).msp_id}/{user}"

    def cli(self, *arguments: str) -> Told:
        """Run a command of `quorumlearn` in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(arguments)
        return Told(code, out.getvalue(), err.getvalue())

    def on_ledger(self, *arguments: str, who: str = "") -> Told:
        """A command on this network, as `who`."""
        identity = ("--as", who) if who else ()
        return self.cli(*arguments, "--folder", str(self.network), *identity)

    def up(self) -> None:
        """As `quorumlearn network up`: what runs is left running."""
        told = self.cli("network", "up", "--folder", str(self.network), "--spec", str(self._spec_file()))
        assert told.code == 0, told.err

    def fund(self, *who: str, amount: int = FUNDS) -> None:
        accounts = [f"{self.name(one)}={amount}" for one in who]
        told = self.on_ledger("token", "mint", *accounts, who="treasury/treasury")
        assert told.code == 0, told.err

    def kill(self, process: str) -> None:
        """SIGKILL to the network's process of that name."""
        pid = next(one.pid for one in network_status(self.network).processes if one.name == process)
        assert pid is not None, f"{process} does not run"
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(20)

    def gateway(self, who: str = "owner/owner") -> Gateway:
        """One identity's connection, kept open."""
        if who not in self._gateways:
            self._gateways[who] = open_gateway(self.network, who)
        return self._gateways[who]

    def market(self, who: str = "owner/owner") -> Market:
        """The contracts for one identity, the connection kept open."""
        if who not in self._markets:
            self._markets[who] = Market(market_contract(self.gateway(who), self.spec))
        return self._markets[who]

    def task_file(self, task: str, **changes: object) -> Path:
        """A small task; `changes` replace fields of its file, those of `timeouts` one by one."""
        timeouts = changes.pop("timeouts", {})
        assert isinstance(timeouts, Mapping)
        fields: dict[str, object] = {
            "id": task,
            "workload": {"name": "mnist-cnn", "config": {"batch_size": "32"}},
            "rounds": 2,
            "miners": {"minimum": 3, "maximum": 3, "byzantine": 0},
            "committee": {
                "organisations": [self.spec.organisation(one).msp_id for one in SEATS],
                "threshold": 2,
            },
            "timeouts": {**TIMEOUTS, **timeouts},
            "reward": {"per_round": PER_ROUND},
            "stakes": STAKES,
            "tolerance": "100%",
            "seed": 7,
            "repeatable": True,
            **changes,
        }
        path = self.folder / f"{task}.yaml"
        path.write_text(yaml.safe_dump(fields, sort_keys=False))
        return path

    def publish(self, task: str, **changes: object) -> t.TaskSpec:
        """Publish a small task by the command line and give what the ledger holds of it."""
        file = self.task_file(task, **changes)
        told = self.on_ledger(
            *("task", "publish", str(file), "--store", str(self.store_folder), "--data", str(self.data)),
            who="owner/owner",
        )
        assert told.code == 0, told.err
        return self.market().task(task).task.spec

    def node_files(
        self,
        task: str,
        miners: Mapping[str, str],
        verifiers: tuple[str, ...] = SEATS,
        *,
        owner: bool = True,
        workers: int = 0,
        accept: Mapping[str, object] | None = None,
    ) -> dict[str, Path]:
        """One node's file for each organisation with a part in the task, by organisation. `miners` behave as named.

        Worker processes take a second each to start: only scenarios that are about them have any.
        """
        identities: dict[str, list[dict[str, object]]] = (
            {"owner": [{"user": "owner", "role": "owner"}]} if owner else {}
        )
        for index, (who, behaviour) in enumerate(miners.items()):
            organisation, user = who.split("/")
            part: dict[str, object] = {
                "user": user,
                "role": "miner",
                "behaviour": behaviour,
                "shard": f"iid:{index}/{SHARDS}@7",
            }
            identities.setdefault(organisation, []).append(part)
        for index, organisation in enumerate(verifiers):
            identities[organisation] = [
                {"user": "verifier", "role": "verifier", "shard": f"iid:{index}/20@7"}
            ]
        files = {}
        for organisation, parts in identities.items():
            files[organisation] = self.folder / "nodes" / task / f"{organisation}.yaml"
            files[organisation].parent.mkdir(parents=True, exist_ok=True)
            node = {
                "organisation": str(self.network / "organisations" / organisation),
                "store": str(self.store_folder),
                "state": str(self.folder / "state" / organisation),
                "data": str(self.data),
                "workers": workers,
                "data_budget": 10_000,  # a stage plays many tasks on the same few shards
                "accept": dict(TERMS if accept is None else accept),
                "identities": [{**part, "tasks": [task]} for part in parts],
            }
            files[organisation].write_text(yaml.safe_dump(node, sort_keys=False))
        return files

    def wait(
        self, task: str, until: Callable[[b.TaskView], bool], nodes: list[AnyNode], seconds: float = PATIENCE
    ) -> b.TaskView:
        """The first view of the task for which `until` holds; fails if a node ends or the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            view = self.market().view(task)
            if until(view):
                return view
            for node in nodes:
                node.check()
            assert time.monotonic() < deadline, f"{task} does not get on: {where(view)}"
            time.sleep(0.05)

    def played(self, task: str, nodes: list[AnyNode]) -> b.TaskView:
        """Wait for the task's end."""
        return self.wait(task, lambda view: view.state.status not in LIVE, nodes)

    def close(self) -> None:
        for gateway in self._gateways.values():
            gateway.close()
        told = self.cli("network", "down", "--folder", str(self.network))
        assert told.code == 0, told.err
        assert all(one.pid is None for one in network_status(self.network).processes)

    def _spec_file(self) -> Path:
        path = self.folder / "network-spec.yaml"
        path.write_text(dump_spec(self.spec))
        return path


def where(view: b.TaskView) -> str:
    """A task's place for a message: status, round, phase, ceremonies."""
    ceremonies = ", ".join(f"{one.round}:{b.CeremonyStep.Name(one.step)}" for one in view.ceremonies)
    return (
        f"{t.TaskStatus.Name(view.state.status)}, round {view.round.number} in {b.Phase.Name(view.round.phase)}, "
        f"seats {list(view.round.seats)}, ceremonies {ceremonies}"
    )


def raised(folder: Path, data: Path, miners_each: int = 4, verifiers: int = len(SEATS)) -> Stage:
    """A stage with its network up and every miner, verifier and the owner funded."""
    spec = default_spec(miner_organisations=2, miners_each=miners_each, verifiers=verifiers)
    spec = spec.model_copy(update={"chaincode": spec.chaincode.model_copy(update={"clock_slack_ms": 500})})
    stage = Stage(folder, data, spec)
    stage.store_folder.mkdir(parents=True)
    stage.up()
    try:
        stage.fund(
            *(
                f"{one.name}/{user.name}"
                for one in spec.organisations
                for user in one.users
                if one.name != "treasury"
            )
        )
    except BaseException:
        stage.close()
        raise
    return stage


@contextlib.contextmanager
def running(*nodes: AnyNode) -> Iterator[list[AnyNode]]:
    """The nodes while the block runs; each must end when told to."""
    try:
        yield list(nodes)
    finally:
        with contextlib.ExitStack() as ends:
            for node in nodes:
                ends.callback(node.end)


def payouts(market: Market, account: str, task: str) -> list[tuple[int, int]]:
    """(round, tokens) of every payment of the task to the account, in order."""
    found = []
    for entry in reversed(market.statement(account).entries):
        for movement in (*entry.account.earlier, entry.account.last):
            if movement.kind == r.PAYOUT and movement.task_id == task:
                found.append((movement.round, movement.amount))
    return found


def at(number: int, *phases: b.Phase) -> Callable[[b.TaskView], bool]:
    """The round has reached one of the phases, or gone further."""
    first = min(phases)
    return lambda view: (
        view.state.status not in LIVE or (view.round.number, view.round.phase) >= (number, first)
    )


def expected_payouts(market: Market, task: str, name: str) -> list[tuple[int, int]]:
    """What the protocol owes an identity for the task's rounds, sorted: by weight, as proposer, and for a ballot that it was sure of."""
    owed = []
    blocks = {block.core.round: block for block in market.blocks(task)}
    seats = {seat.verifier: seat.seat for seat in market.view(task).seats}
    for round_ in market.rounds(task):
        if round_.outcome != b.ACCEPTED:
            continue
        weights = {verdict.miner: verdict.weight for verdict in round_.selection.verdicts}
        if weights.get(name):
            owed.append((round_.number, PER_ROUND * 7000 // 10_000 * weights[name] // sum(weights.values())))
        if round_.candidate.proposer == name:
            owed.append((round_.number, PER_ROUND * 500 // 10_000))
        ballots = {ballot.seat: ballot.reason for ballot in blocks[round_.number].ballots}
        if name in seats and ballots.get(seats[name]) in (b.GOOD, b.SCORE_FELL):
            owed.append((round_.number, PER_ROUND * 2500 // 10_000 // len(SEATS)))
    return sorted(owed)


def assert_settled(
    stage: Stage, task: str, parties: Iterable[str], slashed: Mapping[str, int] | None = None
) -> None:
    """The task is over, each party was paid what it is owed once and slashed as said, and no token is lost or made."""
    market = stage.market()
    assert market.task(task).state.status not in LIVE
    paid = 0
    for who in parties:
        name = stage.name(who)
        owed = expected_payouts(market, task, name)
        assert sorted(payouts(market, name, task)) == owed, who
        stake = market.stake(task, name)
        assert (stake.amount, stake.slashed) == (0, (slashed or {}).get(who, 0)), who
        paid += sum(amount for _, amount in owed)
    escrow = market.escrow(task)
    assert (escrow.amount, escrow.paid) == (0, paid)
    assert escrow.paid + escrow.refunded == market.task(task).task.spec.rounds * PER_ROUND
    totals = market.totals()
    assert totals.minted == totals.balances + totals.escrows + totals.stakes + totals.burnt
