"""`quorumlearn node`: run one organisation's identities."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from quorumlearn_network.certificates import attributes_of, read_certificate
from quorumlearn_network.identities import ROLE_ATTRIBUTE
from quorumlearn_network.up import read_network

from quorumlearn.cli.access import DEFAULT_FOLDER, DigitsFolder, Folder
from quorumlearn.cli.asking import asks, data_taken, judged
from quorumlearn.cli.example import node_example
from quorumlearn.cli.logs import log_to_stderr
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
            help="Serve /metrics in Prometheus' form there, /healthz (whether it can write) and /readyz (whether it is ready for tasks).",
            envvar="QUORUMLEARN_METRICS",
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
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log JSON, one object a line; so does QUORUMLEARN_LOG=json.")
    ] = False,
) -> None:
    """Run the identities of one organisation from one file until Ctrl-C (or SIGTERM, or SIGHUP).

    Killed at any point and started again it goes on where the ledger is. The log goes to standard error. The file:

    \b
    organisation: network/organisations/miners1   made by `network up`: connection.json and users
    store: artifacts                              the artifact store that all share: folder, URL, or {url, options}
    state: state/miners1                          this organisation's journals, private
    data: data/mnist                              where samples are; or by workload: {mnist-*: data/mnist, risk: risk.csv}
    workloads: {risk: "risk:RISK"}                your own: module:NAME in this file's folder
    accept: {largest_stake: 200}                  what it asks of a task; `quorumlearn node check --help` has all terms
    identities:
    - {user: miner1, role: miner, tasks: ["mnist-*"], shard: iid:0/8@7}
    """
    gc.set_threshold(_COLLECT_AFTER)
    from quorumlearn.nodes.config import load
    from quorumlearn.nodes.introduction import introduce
    from quorumlearn.nodes.organisation import Organisation
    from quorumlearn.nodes.run import Node

    config = load(file)
    log_to_stderr(log_json)
    organisation = Organisation(config, repeatable=repeatable)
    try:
        introduce(organisation)
        node = Node(organisation, threading.Event())
        if metrics:
            _serve_metrics(metrics, lambda: node.health.problems, lambda: node.readiness.lacks)
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
        organisation.check_data_keys()
        identities = {organisation.name(one.user): one.role for one in config.identities}
        unasked = check_roles(organisation)
        found = organisation.market(config.identities[0].user).view(task) if task else None
        taken = data_taken(organisation, None if found is None else found.task)
        stands = standing(organisation) if unasked is None else None
        asked = asks(organisation, found) if found is not None else None
    finally:
        organisation.close()
    if as_json:
        print_json(
            {
                "identities": identities,
                "confirmed_by_ledger": unasked is None,
                "ledger": None if stands is None else asdict(stands),
                "store": organisation.store.shown,
                "data": [asdict(one) for one in taken],
            }
            | ({} if asked is None else {"task": asdict(asked)})
        )
        judged(asked)
        return
    for name, role in identities.items():
        print_text(f"{role:<9} {name}" + (f", {stands.balances[name]} tokens" if stands else ""))
    if stands is not None:
        print_text(f"peer: {stands.peer}, chaincode {stands.chaincode or 'without a version'}")
    for one in taken:
        print_text(f"{one.workload} {one.version}: {one.samples} {one.kind} samples of {one.identity}")
    differs = stands.differs if stands else None
    for notice in dict.fromkeys([*(one.notice for one in taken), unasked, differs]):
        if notice:
            print_text(notice, style="yellow")
    if asked is not None:
        print_text(f"task {asked.task}, specification {asked.specification}:")
        print_text(
            f"it would run {asked.workload} {asked.version}, here of {asked.place}; digest {asked.digest}, as the task's"
        )
        for sentence in asked.takes:
            print_text(f"  {sentence}")
        for name, broken in asked.broken.items():
            print_text(f"{name} " + ("may join" if not broken else "does not join"))
            for sentence in broken:
                print_text(f"  {sentence}")
    judged(asked)


@app.command(epilog=f"Example: quorumlearn node example miners1 > miners1.yaml.  {EXIT_CODES}")
def example(
    organisation: Annotated[str, typer.Argument(metavar="ORG", help="An organisation of the network.")],
    folder: Folder = DEFAULT_FOLDER,
    store: Annotated[
        str, typer.Option(help="Folder or URL of the artifact store.", envvar="QUORUMLEARN_STORE")
    ] = "artifacts",
    data: DigitsFolder = None,
) -> None:
    """Print a node's file for an organisation of the network: all its users who take part in tasks, and their data."""
    spec = read_network(folder)
    sys.stdout.write(node_example(spec, spec.organisation(organisation), folder, store, data))


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


def _serve_metrics(
    address: str, problems: Callable[[], Sequence[str]], lacks: Callable[[], Sequence[str]]
) -> None:
    from quorumlearn.nodes.metrics import serve

    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise Failure(f"{address!r} is no HOST:PORT, such as 127.0.0.1:9100", Exit.USAGE)
    try:
        serve(host, int(port), problems, lacks)
    except (OSError, OverflowError) as error:
        raise Failure(f"cannot serve metrics at {address}: {error}", Exit.USAGE) from error
