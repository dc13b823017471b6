"""The command line: `quorumlearn GROUP COMMAND`. One file a group; a new group is one line in `GROUPS`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from importlib.metadata import version as distribution_version
from typing import Annotated

import typer

import quorumlearn.cli.quiet  # noqa: F401  (before anything imports gRPC)
from quorumlearn.cli import (
    analyse,
    attack,
    chaincode,
    ckks,
    committee,
    data,
    demo,
    identity,
    init,
    ledger,
    network,
    node,
    store,
    task,
    tokens,
    workload,
)
from quorumlearn.cli.terminal import (
    EXIT_CODES,
    Exit,
    OutputLost,
    ReaderGone,
    explain,
    printable,
    standard_streams,
)

GROUPS: tuple[tuple[str, typer.Typer], ...] = (
    ("network", network.app),
    ("identity", identity.app),
    ("task", task.app),
    ("workload", workload.app),
    ("data", data.app),
    ("committee", committee.app),
    ("node", node.app),
    ("store", store.app),
    ("ledger", ledger.app),
    ("chaincode", chaincode.app),
    ("token", tokens.app),
    ("ckks", ckks.app),
    ("analyse", analyse.app),
)

app = typer.Typer(
    name="quorumlearn",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A market for decentralised model training on Hyperledger Fabric: encrypted, Byzantine-robust, "
    "paid on the ledger.",
    epilog=f"Example: quorumlearn network up.  {EXIT_CODES}",
)
for _name, _group in GROUPS:
    app.add_typer(_group, name=_name)
app.command("init", epilog=f"Example: quorumlearn init market --miners 3.  {EXIT_CODES}")(init.init)
app.command("demo", epilog=f"Example: quorumlearn demo --data data/mnist.  {EXIT_CODES}")(demo.demo)
app.command("attack", epilog=f"Example: quorumlearn attack alie --rounds 3.  {EXIT_CODES}")(attack.attack)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"quorumlearn {distribution_version('quorumlearn')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: runs a command and exits with its code."""
    standard_streams()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command; its exit code (`terminal.Exit`). An error that is a bug is raised as it is."""
    try:
        code = app(args=list(arguments), prog_name="quorumlearn", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _usage(error)
    except (typer.Abort, KeyboardInterrupt):
        _report("interrupted")
        return Exit.INTERRUPTED
    except ReaderGone:
        _close_output()
        return Exit.DONE
    except OutputLost as error:
        _close_output()
        _report(str(error))
        return error.code
    except Exception as error:
        explained = explain(error)
        if explained is None:
            raise
        _report(explained[1])
        return explained[0]
    if code == Exit.INTERRUPTED:  # what typer makes of Ctrl-C
        _report("interrupted")
    return code if isinstance(code, int) else Exit.DONE


def _usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{error}\n")
    else:
        path = context.command_path if context is not None else "quorumlearn"
        formatted = getattr(error, "format_message", lambda: str(error))()
        _report(f"{formatted.rstrip('.')}; see `{path} --help`")
    return Exit.USAGE


def _close_output() -> None:
    """Give up what standard output has not taken, or the interpreter would try again at its end."""
    with contextlib.suppress(OSError):
        sys.stdout.close()


def _report(sentence: str) -> None:
    sys.stderr.write(f"error: {printable(sentence)}\n")
