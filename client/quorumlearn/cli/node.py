"""`quorumlearn node`: run one organisation's identities."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer
from quorumlearn_network.certificates import attributes_of, read_certificate
from quorumlearn_network.identities import ROLE_ATTRIBUTE
from quorumlearn_network.up import read_network
from quorumlearn_proto.derived import spec_digest

from quorumlearn.cli.access import DEFAULT_FOLDER, Folder
from quorumlearn.cli.example import node_example
from quorumlearn.cli.terminal import EXIT_CODES, AsJson, Exit, Failure, explain, print_json, print_text
from quorumlearn.gateway import GatewayError
from quorumlearn.nodes import tasksettings
from quorumlearn.nodes.market import Refused
from quorumlearn.nodes.terms import Terms

if TYPE_CHECKING:
    from quorumlearn.nodes.organisation import Organisation

app = typer.Typer(no_args_is_help=True, help="Run one organisation's owners, miners and verifiers.")

_DONE = b"\0"
_COLLECT_AFTER = 50_000
"""Objects more than there were, before Python looks for cycles: as it is told by default (700) it looks through all that torch brings
again and again, a tenth of a node's time."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="The node's file (YAML).")]


@app.command(epilog=f"Example: quorumlearn node run nodes/miners1.yaml.  {EXIT_CODES}")
def run(
    file: File,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End when every task it is for has ended.")
    ] = False,
    metrics: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Serve /metrics in Prometheus' form there, and /healthz: whether it can write.",
        ),
    ] = "",
    repeatable: Annotated[
        bool,
        typer.Option(
            "--repeatable",
            help="For experiments, never for real data: in tasks that ask for it too, draw training and beacons from the task's "
            "public seed, so that anybody can do them again.",
        ),
    ] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log JSON, one object a line.")] = False,
) -> None:
    """Run the identities of one organisation from one file until Ctrl-C (or SIGTERM, or SIGHUP).

    Killed at any point and started again it goes on where the ledger is. The log goes to standard error. The file:

    \b
    organisation: network/organisations/miners1   made by `network up`: connection.json and users
    store: artifacts                              folder or URL of the artifact store that all share
    state: state/miners1                          this organisation's journals, private
    data: data/mnist                              folder with MNIST's four IDX files
    accept: {largest_stake: 200}                  what it asks of a task; `quorumlearn node check --help` has all terms
    identities:
    - {user: miner1, role: miner, tasks: ["mnist-*"], shard: iid:0/8@7}
    """
    gc.set_threshold(_COLLECT_AFTER)
    from quorumlearn.nodes.config import load
    from quorumlearn.nodes.organisation import Organisation
    from quorumlearn.nodes.run import Node

    config = load(file)
    _log_to_stderr(log_json)
    organisation = Organisation(config, repeatable=repeatable)
    try:
        node = Node(organisation, threading.Event())
        if metrics:
            _serve_metrics(metrics, lambda: node.health.problems)
        _until_told(lambda: node.run(until_done=until_done), node.end)
    finally:
        organisation.close()


def _until_told(work: Callable[[], None], end: Callable[[], None]) -> None:
    """Run `work`; call `end` at the first SIGTERM, SIGHUP or Ctrl-C, and leave at the second.

    The interpreter itself writes the signal's number to a pipe, in whichever thread the system delivers it: a handler in Python
    would wait for this one, which waits for the pipe.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(one) is not signal.SIG_IGN:  # as SIGHUP is below nohup
            signal.signal(one, lambda *_: None)
    with ThreadPoolExecutor(1, "node") as worker:
        future = worker.submit(work)
        future.add_done_callback(lambda _: os.write(tell, _DONE) and None)
        if os.read(told, 1) != _DONE:
            end()
            if os.read(told, 1) != _DONE:
                os._exit(Exit.INTERRUPTED)  # a node may be killed anywhere
        future.result()


@app.command(
    help="Read a node's file and its data, connect, and say what it would run: accounts, roles, balances, the chaincode's version, "
    "and how many samples.\n\n"
    "A role that an identity's certificate or, if its peer answers, the ledger does not give it is an error. With --task so is a term "
    "of the file that keeps an identity from that task. The terms, and what stands for those that the file leaves out:\n\n"
    f"\b\n{tasksettings.as_text(part=Terms, prefix='accept.')}",
    epilog=f"Example: quorumlearn node check nodes/miners1.yaml --task mnist-1.  {EXIT_CODES}",
)
def check(
    file: File,
    task: Annotated[
        str, typer.Option(metavar="ID", help="A task: which terms of the file does it break, for whom?")
    ] = "",
    as_json: AsJson = False,
) -> None:
    from quorumlearn.cli.standing import standing
    from quorumlearn.nodes.config import load
    from quorumlearn.nodes.organisation import Organisation

    config = load(file)
    organisation = Organisation(config)
    try:
        organisation.check_accounts()
        identities = {organisation.name(one.user): one.role for one in config.identities}
        unasked = check_roles(organisation)
        stands = standing(organisation) if unasked is None else None
        data = organisation.dataset()
        organisation.ready_data()
        asked = asks(organisation, task) if task else None
    finally:
        organisation.close()
    if as_json:
        print_json(
            {
                "identities": identities,
                "confirmed_by_ledger": unasked is None,
                "ledger": None if stands is None else asdict(stands),
                "store": config.store,
                "data": data.name,
                "train": len(data.train_pixels),
                "test": len(data.test_pixels),
                "digest": data.digest,
                "notice": data.notice,
            }
            | ({} if asked is None else {"task": asdict(asked)})
        )
        _judged(asked)
        return
    for name, role in identities.items():
        print_text(f"{role:<9} {name}" + (f", {stands.balances[name]} tokens" if stands else ""))
    if stands is not None:
        print_text(f"peer: {stands.peer}, chaincode {stands.chaincode or 'without a version'}")
    print_text(
        f"data: {data.name}, {len(data.train_pixels)} training and {len(data.test_pixels)} test images"
    )
    for notice in (data.notice, unasked, stands.differs if stands else None):
        if notice:
            print_text(notice, style="yellow")
    if asked is not None:
        print_text(f"task {asked.task}, specification {asked.specification}:")
        for name, broken in asked.broken.items():
            print_text(f"{name} " + ("may join" if not broken else "does not join"))
            for sentence in broken:
                print_text(f"  {sentence}")
    _judged(asked)


@app.command(epilog=f"Example: quorumlearn node prune nodes/miners1.yaml.  {EXIT_CODES}")
def prune(file: File, as_json: AsJson = False) -> None:
    """Remove the organisation's own artifacts that no task needs any more from the store.

    Kept are those of tasks under way, of tasks of which a block can still be challenged, every task's last model, and what is
    younger than a day.
    `quorumlearn task audit` finds no more of a task than is left.
    """
    from quorumlearn.nodes.config import load
    from quorumlearn.nodes.organisation import Organisation
    from quorumlearn.nodes.pruning import prune as pruned

    organisation = Organisation(load(file))
    try:
        market = organisation.market(organisation.config.identities[0].user)
        gone = pruned(market, organisation.store, time.time())
    finally:
        organisation.close()
    if as_json:
        print_json({"removed": gone})
    else:
        print_text(f"removed {len(gone)} artifacts of {organisation.store.organisation}")


@app.command(epilog=f"Example: quorumlearn node example miners1 > miners1.yaml.  {EXIT_CODES}")
def example(
    organisation: Annotated[str, typer.Argument(metavar="ORG", help="An organisation of the network.")],
    folder: Folder = DEFAULT_FOLDER,
    store: Annotated[
        str, typer.Option(help="Folder or URL of the artifact store.", envvar="QUORUMLEARN_STORE")
    ] = "artifacts",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with MNIST's four IDX files.", envvar="QUORUMLEARN_DATA", metavar="FOLDER"),
    ] = None,
) -> None:
    """Print a node's file for an organisation of the network: all its users who take part in tasks, and their data."""
    spec = read_network(folder)
    sys.stdout.write(node_example(spec, spec.organisation(organisation), folder, store, data))


@dataclass(frozen=True)
class Asked:
    """A task, the digest of its specification, and the terms that it breaks for each miner and verifier of a node's file."""

    task: str
    specification: str
    broken: dict[str, list[str]]


def asks(organisation: Organisation, task: str) -> Asked:
    """Ask the ledger for the task, and each identity's terms for what it breaks."""
    from quorumlearn.nodes.consent import Consent

    config, consent = organisation.config, Consent(organisation)
    found = organisation.market(config.identities[0].user).task(task).task
    broken = {}
    for one in config.identities:
        if one.role != "owner":
            samples = len(organisation.shard(one).labels) if one.role == "miner" else None
            broken[organisation.name(one.user)] = list(consent.broken(one, found, samples))
    return Asked(task, spec_digest(found.spec), broken)


def _judged(asked: Asked | None) -> None:
    """Failure if somebody's terms are broken."""
    if asked is None:
        return
    kept_out = [name for name, broken in asked.broken.items() if broken]
    if kept_out:
        raise Failure(
            f"{asked.task} breaks terms of {', '.join(kept_out)}: change accept in the node's file, or leave the task alone"
        )


def check_roles(organisation: Organisation) -> str | None:
    """Failure if an identity has not the role that the file gives it; why the ledger could not be asked, None if it was."""
    for one in organisation.config.identities:
        certificate = read_certificate(organisation.gateway(one.user).identity.certificate)
        held = attributes_of(certificate).get(ROLE_ATTRIBUTE)
        if held is not None and one.role not in [role.strip() for role in held.split(",")]:
            raise Failure(
                f"{organisation.name(one.user)} cannot be a {one.role}: its certificate gives it the role {held}",
                Exit.USAGE,
            )
    user = organisation.config.identities[0].user
    try:
        known = organisation.market(user).config().organisations
    except (GatewayError, Refused) as error:
        told = explain(error)
        return f"the ledger was not asked for roles: {told[1] if told else error}"
    msp_id = organisation.msp_id(user)
    given = next((list(one.roles) for one in known if one.msp_id == msp_id), [])
    for one in organisation.config.identities:
        if one.role not in given:
            raise Failure(
                f"{organisation.name(one.user)} cannot be a {one.role}: the ledger gives {msp_id} "
                + (f"only the role {', '.join(given)}" if given else "no role"),
                Exit.USAGE,
            )
    return None


def _serve_metrics(address: str, problems: Callable[[], Sequence[str]]) -> None:
    from quorumlearn.nodes.metrics import serve

    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise Failure(f"{address!r} is no HOST:PORT, such as 127.0.0.1:9100", Exit.USAGE)
    try:
        serve(host, int(port), problems)
    except (OSError, OverflowError) as error:
        raise Failure(f"cannot serve metrics at {address}: {error}", Exit.USAGE) from error


def _log_to_stderr(as_json: bool) -> None:
    """One line an event on standard error, the time first; also of libraries that use the standard logging."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s [%(levelname)s] %(message)s"
    )
