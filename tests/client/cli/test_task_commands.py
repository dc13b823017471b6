"""Commands around a task on a real network: publishing whole or not at all, who signs, output that is lost or narrow, checks."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from quorumlearn.cli import run
from quorumlearn.cli.access import market_contract, open_gateway, open_market
from quorumlearn.cli.example import node_example, task_example
from quorumlearn.cli.terminal import Exit
from quorumlearn.nodes import config, taskfile
from quorumlearn.nodes.market import Market
from quorumlearn_network.spec import Role, default_spec
from quorumlearn_network.up import read_network
from quorumlearn_proto.reward_pb2 import Escrow

CLI = (sys.executable, "-m", "quorumlearn.cli")
TITLE = "Zahlen für alle … ✓"
FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a network of three miners, a funded owner, an empty store and the examples' files."""
    folder = tmp_path_factory.mktemp("market")
    (folder / "artifacts").mkdir()
    network = str(folder / "net")
    assert run(["network", "up", "--folder", network, "--miner-organisations", "1", "--miners", "3"]) == 0
    try:
        assert run(["token", "mint", "OwnerMSP/owner=100000", "--folder", network]) == 0
        yield folder
    finally:
        assert run(["network", "down", "--wipe", "--folder", network]) == 0


def written(market: Path, task: str) -> Path:
    """The example's task under another name and title."""
    fields = yaml.safe_load(task_example(default_spec(1, 3)))
    path = market / f"{task}.yaml"
    path.write_text(yaml.safe_dump({**fields, "id": task, "title": TITLE, "rounds": 1}), encoding="utf-8")
    return path


def cli(market: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in this process: one of its own takes a second to start."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*arguments, "--folder", str(market / "net")])
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def process(
    market: Path, *arguments: str, shell: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, below a shell if its streams are to lead somewhere."""
    command = [*CLI, *arguments, "--folder", str(market / "net")]
    if shell:
        command = ["bash", "-c", f'"$@" {shell}', "bash", *command]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=120
    )


def artifacts(market: Path) -> list[Path]:
    return [path for path in (market / "artifacts").rglob("*") if path.is_file()]


def on_ledger(market: Path) -> list[str]:
    told = json.loads(cli(market, "task", "list", "--json").stdout)
    return [one["task"]["spec"]["task_id"] for one in told["tasks"]]


def publishing(market: Path, task: str) -> tuple[str, ...]:
    return ("task", "publish", str(written(market, task)), "--store", str(market / "artifacts"))


def test_a_dry_run_writes_nothing_anywhere(market: Path) -> None:
    done = cli(market, *publishing(market, "dry"), "--dry-run")
    assert (done.returncode, artifacts(market)) == (0, []), done.stderr
    assert "checked dry" in done.stdout
    assert "dry" not in on_ledger(market)


@pytest.fixture(scope="module")
def owned(market: Path) -> Path:
    """The folder, once a task is published in it without a word on who signs."""
    done = cli(market, *publishing(market, "owned"))
    assert done.returncode == 0, done.stderr
    return market


def test_the_owner_signs_what_nobody_else_could(owned: Path) -> None:
    told = json.loads(cli(owned, "task", "show", "owned", "--json").stdout)
    assert told["task"]["owner"] == "OwnerMSP/owner"
    assert told["rounds"] == []
    assert artifacts(owned)
    assert cli(owned, "task", "cancel", "owned").stdout == "owned cancelled\n"
    told = cli(owned, "task", "watch", "owned").stdout
    assert told.startswith("owned cancelled (cancelled by its owner) with block 0, ")


def test_who_signs_must_be_said_where_several_may(owned: Path) -> None:
    for command, names in (
        (("committee", "leave", "owned"), "verifier1/verifier, verifier2/verifier, verifier3/verifier"),
        (("token", "transfer", "OwnerMSP/owner", "1"), "treasury/treasury, owner/owner"),
        (("task", "challenge", "owned", "1", "--reason", "x"), "owner/owner, miners1/miner1"),
    ):
        done = cli(owned, *command)
        assert done.returncode == Exit.USAGE
        assert names in done.stderr
        assert "say who signs with --as ORG/USER" in done.stderr


@pytest.mark.parametrize(
    "shell",
    ["| true", "2>&1 | head -1", "2>&1 >/dev/null | true", "2>/dev/full", ">/dev/full", ">&-", ">&- 2>&-"],
)
def test_output_that_nobody_takes_loses_no_work(
    market: Path, shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def balance() -> int:
        capsys.readouterr()
        assert run(["ledger", "account", "OwnerMSP/owner", "--json", "--folder", str(market / "net")]) == 0
        return int(json.loads(capsys.readouterr().out)["balance"])

    before = balance()
    done = process(market, "token", "mint", "OwnerMSP/owner=3", "OwnerMSP/owner=4", shell=shell)
    assert balance() == before + 7
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == (shell == ">/dev/full")


def test_a_task_is_published_though_its_progress_is_not_read(market: Path) -> None:
    process(market, *publishing(market, "unread"), shell="2>&1 | head -1")
    assert "unread" in on_ledger(market)


@pytest.mark.parametrize(
    "arguments", [("ckks", "explain"), ("ckks", "explain", "--json"), ("--help",), ("--version",)]
)
def test_a_full_device_is_told_in_a_sentence(arguments: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        done = subprocess.run([*CLI, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == Exit.FAILED
    assert done.stderr == "error: standard output cannot be written: No space left on device\n"


def test_a_narrow_encoding_escapes_what_it_lacks(owned: Path) -> None:
    done = process(owned, "task", "list", PYTHONIOENCODING="ascii", LANG="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Zahlen f\\xfcr alle \\u2026 \\u2713" in done.stdout
    done = process(owned, "task", "list", "--json", PYTHONIOENCODING="ascii", LANG="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert TITLE in [one["task"]["spec"]["title"] for one in json.loads(done.stdout)["tasks"]]


def test_a_picture_goes_where_there_is_a_folder(owned: Path) -> None:
    report = ("task", "report", "owned", "--picture")
    done = cli(owned, *report, str(owned / "none" / "x.png"))
    assert done.returncode == Exit.USAGE
    assert done.stderr.endswith("for the picture; make it first\n")
    done = cli(owned, *report, str(owned))
    assert (done.returncode, done.stderr) == (Exit.FAILED, f"error: {owned}: Is a directory\n")
    assert cli(owned, *report, str(owned / "x")).returncode == 0
    assert (owned / "x").read_bytes().startswith(b"\x89PNG")


def test_the_demo_asks_for_its_pictures_folder_before_it_plays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    picture = str(tmp_path / "none" / "x.png")
    assert run(["demo", "--folder", str(folder), "--picture", picture]) == Exit.USAGE
    assert "there is no folder" in capsys.readouterr().err
    assert not folder.exists()


def node_file(market: Path, **changes: object) -> Path:
    spec = default_spec(1, 3)
    text = node_example(spec, spec.organisation("miners1"), Path("net"), "artifacts", None)
    path = market / "miners1.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(text), **changes}))
    return path


def check(file: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    code = run(["node", "check", str(file), *options])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_node_that_can_run_passes_its_check(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = check(node_file(market), capsys, "--json")
    told = json.loads(out)
    assert (code, told["confirmed_by_ledger"]) == (0, True)
    assert told["identities"] == {f"Miners1MSP/miner{number}": "miner" for number in (1, 2, 3)}


def test_a_role_that_certificate_or_ledger_refuses_does_not_pass(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verifier = node_file(market, identities=[{"user": "miner1", "role": "verifier"}])
    code, _, err = check(verifier, capsys)
    assert (code, "its certificate gives it the role miner" in err) == (Exit.USAGE, True)
    assert run(["identity", "issue", "miners1/anyone", "--folder", str(market / "net")]) == 0
    anyone = node_file(market, identities=[{"user": "anyone", "role": "verifier"}])
    code, _, err = check(anyone, capsys)
    assert (code, "the ledger gives Miners1MSP only the role miner" in err) == (Exit.USAGE, True)


def test_data_that_cannot_be_taken_does_not_pass(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = [{"user": "miner1", "role": "miner", "shard": "iid:0/4000"}]
    code, _, err = check(node_file(market, identities=shards), capsys)
    assert (code, "cannot be divided into 4000 shards" in err) == (Exit.USAGE, True)
    (market / "data").mkdir()
    code, _, err = check(node_file(market, data="data"), capsys)
    assert (code, "neither train-images-idx3-ubyte nor" in err) == (Exit.USAGE, True)


def test_a_ledger_that_does_not_answer_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(
            [
                "network",
                "up",
                "--folder",
                str(tmp_path / "net"),
                "--miner-organisations",
                "1",
                "--miners",
                "3",
            ]
        )
        == 0
    )
    assert run(["network", "down", "--folder", str(tmp_path / "net")]) == 0
    (tmp_path / "artifacts").mkdir()
    capsys.readouterr()
    code, out, _ = check(node_file(tmp_path), capsys)
    assert code == 0
    assert "the ledger was not asked for roles: no peer answers at" in out


@pytest.mark.parametrize(("organisations", "miners", "verifiers"), [(1, 2, 2), (2, 3, 3), (3, 5, 7)])
def test_the_examples_are_files_for_the_network_that_is_there(
    tmp_path: Path, organisations: int, miners: int, verifiers: int
) -> None:
    spec = default_spec(organisations, miners, verifiers)
    path = tmp_path / "file.yaml"
    path.write_text(task_example(spec))
    task = taskfile.load(path)
    assert task.miners.maximum == organisations * miners
    assert list(task.committee.organisations) == [one.msp_id for one in spec.verifiers]
    shards: dict[str, list[str]] = {"miner": [], "verifier": [], "owner": []}
    for one in spec.organisations:
        if Role.TREASURY not in one.roles:
            path.write_text(node_example(spec, one, Path("net"), "artifacts", tmp_path))
            node = config.load(path)
            assert (node.organisation, node.data) == (
                tmp_path / "net" / "organisations" / one.name,
                str(tmp_path),
            )
            for identity in node.identities:
                shards[identity.role].append(str(identity.shard))
    assert len(set(shards["miner"])) == len(shards["miner"]) == organisations * miners
    assert len(set(shards["verifier"])) == len(shards["verifier"]) == verifiers


def test_an_organisation_without_a_part_has_no_example(
    capsys: pytest.CaptureFixture[str], market: Path
) -> None:
    assert run(["node", "example", "treasury", "--folder", str(market / "net")]) == Exit.USAGE
    assert "treasury runs no node" in capsys.readouterr().err


def test_transfers_to_those_whom_a_transaction_pays_do_not_hold_it_up(market: Path) -> None:
    """Endorsed first, committed last: what it has read must not be what anybody may write meanwhile."""
    network = market / "net"
    miners = [f"Miners1MSP/miner{number}" for number in (1, 2)]
    assert run(["token", "mint", *(f"{one}=10000" for one in miners), "--folder", str(network)]) == 0
    assert cli(market, *publishing(market, "paid-in-the-end")).returncode == 0
    spec = read_network(network)
    with open_market(network, miners[0]) as outsider, open_market(network, miners[1]) as miner:
        miner.join("paid-in-the-end")
        with open_gateway(network, "OwnerMSP/owner") as gateway:
            contract = market_contract(gateway, spec)
            verifiers = [one.msp_id for one in spec.organisations if Role.VERIFIER in one.roles]
            ending = contract.propose(
                "tasks:Cancel", "paid-in-the-end", endorsing_organisations=["OwnerMSP", *verifiers]
            ).endorse()
            for account in ("OwnerMSP/owner", miners[1]):
                outsider.transfer(account, 1)
            assert ending.submit().status().successful
        assert outsider.account(miners[1]).balance == 10001
        assert miner.totals().escrows == sum(one.amount for one in escrows_of(miner))


def escrows_of(one: Market) -> list[Escrow]:
    return [one.escrow(summary.task.spec.task_id) for summary in one.tasks()]
