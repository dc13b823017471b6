"""The command line on a real network: up, read, change, down; and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer
from prometheus_client.parser import text_string_to_metric_families
from quorumlearn.cli import app, run
from quorumlearn.cli.access import market_contract, open_gateway
from quorumlearn.cli.confirm import confirm_ledger
from quorumlearn.cli.network_show import print_coloured
from quorumlearn.cli.terminal import Exit, Failure, explain, print_table, print_text
from quorumlearn.gateway import EndorseError, FileCheckpointer
from quorumlearn.nodes.market import refusal
from quorumlearn_network.folder import Waiting
from quorumlearn_network.spec import NetworkSpec, default_spec, dump_spec, parse_spec
from quorumlearn_network.up import FolderError, UpError, bring_down, bring_up, read_network, restart_nodes

CLI = (sys.executable, "-c", "from quorumlearn.cli import main; main()")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("market") / "net"
    try:
        assert run(["network", "up", "--folder", str(path), "--miners", "2", "--log-json"]) == 0
        yield path
    finally:
        assert run(["network", "down", "--wipe", "--folder", str(path)]) == 0
    assert not path.exists()


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command on the network: (exit code, JSON or None, standard error)."""

    def call(*arguments: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = run([*arguments, "--json", "--folder", str(folder)])
        out, err = capsys.readouterr()
        assert out.count("\n") == (1 if out else 0)
        return code, json.loads(out) if out else None, err

    return call


def processes(folder: Path) -> dict[str, int]:
    records = (folder / "run").glob("*.json")
    return {path.stem: json.loads(path.read_text())["pid"] for path in records}


def test_up_twice_is_up_once(cli: Any, folder: Path) -> None:
    before = processes(folder)
    code, shown, _ = cli("network", "up")
    assert (code, shown["running"]) == (0, True)
    assert processes(folder) == before
    assert set(before) == {"chaincode", "devnet"}


def test_the_ledger_is_initialised_once_for_these_organisations(cli: Any) -> None:
    code, shown, _ = cli("ledger", "query", "rewards:Config")
    assert code == 0
    assert shown["result"]["treasury_msp"] == "TreasuryMSP"
    assert shown["result"]["verifier_quorum"] == 2
    _, shown, _ = cli("ledger", "events")
    assert [event["event"] for event in shown["events"]].count("rewards:Initialise") == 1


def test_a_submitted_transaction_shows_in_every_view(cli: Any, folder: Path) -> None:
    spec = read_network(folder)
    with open_gateway(folder, "TreasuryMSP/admin") as gateway:
        network = gateway.network(spec.channel)
        contract = market_contract(gateway, spec)
        with network.chaincode_events(spec.chaincode.name) as events:
            commit = contract.propose("rewards:Mint", "OwnerMSP/owner", "70").endorse().submit()
            status = commit.status()
            event = next(events)
        assert status.successful
        assert (event.transaction_id, event.name) == (status.transaction_id, "rewards:Mint")
        with network.block_events(start=status.block) as blocks:
            assert next(blocks).header.number == status.block
        with network.block_events(start=status.block, filtered=True) as blocks:
            assert next(blocks).filtered_transactions[0].txid == status.transaction_id
    assert cli("ledger", "account", "OwnerMSP/owner")[1] == {"account": "OwnerMSP/owner", "balance": 70}
    shown = cli("ledger", "tx", status.transaction_id)[1]
    assert (shown["block"], shown["function"], shown["arguments"]) == (
        status.block,
        "rewards:Mint",
        ["OwnerMSP/owner", "70"],
    )
    assert (shown["creator"], shown["validation"]) == ("TreasuryMSP/admin", "VALID")
    assert len(shown["endorsers"]) >= 2
    block = cli("ledger", "block", str(status.block))[1]
    assert block["transactions"][0]["transaction"] == status.transaction_id


def test_blocks_are_linked_by_their_hashes(cli: Any) -> None:
    blocks = cli("ledger", "blocks", "--last", "100")[1]["blocks"]
    assert blocks[0]["previous_hash"] == ""
    for before, after in pairwise(blocks):
        assert after["previous_hash"] == before["hash"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("ledger", "query", "rewards:Nope"), 4, "UNKNOWN_FUNCTION"),
        (("ledger", "account", "OwnerMSP/nobody"), 4, "NO_SUCH_ACCOUNT"),
        (("ledger", "tx", "0" * 64), 1, "no transaction 000"),
        (("ledger", "tx", "xyz"), 2, "is no transaction id"),
        (("ledger", "block", "999999"), 2, "there is no block 999999; the last is"),
        (("ledger", "block", "minus"), 2, "see `quorumlearn ledger block --help`"),
        (("ledger", "blocks", "--as", "owner"), 2, "is no ORG/USER"),
        (("ledger", "blocks", "--as", "bank/teller"), 2, "has no organisation 'bank'"),
        (("ledger", "blocks", "--as", "owner/nobody"), 2, "no identity owner/nobody"),
        (("identity", "show", "owner/../admin"), 2, "cannot name a user"),
        (("identity", "issue", "owner/x", "--role", "miner"), 2, "its roles are owner"),
        (("identity", "issue", "owner/owner", "--admin"), 2, "described otherwise"),
        (
            ("network", "up", "--spec", "none.yaml"),
            2,
            "there is no none.yaml; `quorumlearn network example > market.yaml`",
        ),
        (("network", "sideways"), 2, "see `quorumlearn network --help`"),
    ],
)
def test_an_error_is_one_sentence_with_its_exit_code(
    cli: Any, arguments: tuple[str, ...], code: int, words: str
) -> None:
    got, shown, err = cli(*arguments)
    assert (got, shown) == (code, None)
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert words in last
    assert "Traceback" not in err


def test_an_identity_is_issued_shown_used_and_renewed(cli: Any, folder: Path) -> None:
    code, issued, _ = cli("identity", "issue", "miners1/alice", "--role", "miner", "--days", "3")
    assert (code, issued["account"]) == (0, "Miners1MSP/alice")
    assert issued["attributes"] == {"quorumlearn.role": "miner"}
    assert cli("ledger", "query", "rewards:Totals", "--as", "Miners1MSP/alice")[0] == 0
    code, renewed, _ = cli("identity", "renew", "miners1/alice")
    assert (code, renewed["account"]) == (0, "Miners1MSP/alice")
    assert renewed["not_after"] > issued["not_after"]
    assert cli("ledger", "query", "rewards:Totals", "--as", "miners1/alice")[0] == 0
    listed = {one["identity"] for one in cli("identity", "list")[1]["identities"]}
    assert {"miners1/alice", "treasury/admin", "verifier3/verifier"} <= listed
    key = (folder / "organisations/miners1/users/alice/msp/keystore/key.pem").read_text().splitlines()[1]
    assert key not in str(cli("identity", "show", "miners1/alice"))


def test_a_refused_transaction_names_its_code_in_the_peers_words(folder: Path) -> None:
    with open_gateway(folder, "owner/owner") as gateway:
        contract = market_contract(gateway, read_network(folder))
        with pytest.raises(EndorseError) as caught:
            contract.submit("rewards:Mint", "OwnerMSP/owner", "70")
    refused = refusal(caught.value)
    assert refused is not None
    assert refused[0].startswith("WRONG_")
    assert explain(caught.value) == (Exit.REFUSED, f"the ledger refused ({refused[0]}): {refused[1]}")
    assert all(detail.address and detail.msp_id for detail in caught.value.details)


def test_down_keeps_the_ledger_and_events_resume(cli: Any, folder: Path, tmp_path: Path) -> None:
    spec = read_network(folder)
    checkpointer = FileCheckpointer(tmp_path / "checkpoint.json")
    with open_gateway(folder, "treasury/admin") as gateway:
        network = gateway.network(spec.channel)
        with network.chaincode_events(spec.chaincode.name, checkpoint=checkpointer) as events:
            market_contract(gateway, spec).submit("rewards:Mint", "OwnerMSP/owner", "1")
            checkpointer.save(next(events).checkpoint)
            height = cli("network", "status")[1]["height"]
            assert cli("network", "down")[1]["stopped"] is True
            code, shown, err = cli("network", "status")
            assert (code, shown["running"]) == (3, False)
            code, _, err = cli("ledger", "blocks")
            assert code == 3
            assert "is the network up? quorumlearn network status" in err
            assert cli("network", "up")[1]["height"] == height
            market_contract(gateway, spec).submit("rewards:Mint", "OwnerMSP/owner", "2")
            assert json.loads(next(events).payload)["actor"] == "TreasuryMSP/admin"
        with network.chaincode_events(spec.chaincode.name, checkpoint=checkpointer) as events:
            assert next(events).block == height


def test_a_process_that_died_is_started_again(cli: Any, folder: Path) -> None:
    before = processes(folder)
    psutil.Process(before["chaincode"]).kill()
    assert cli("network", "up")[0] == 0
    after = processes(folder)
    assert after["devnet"] == before["devnet"]
    assert after["chaincode"] != before["chaincode"]


def test_every_line_that_its_processes_log_is_a_json_object(folder: Path) -> None:
    """Also of those that were started again: the form is in the network's description."""
    logs = {path.stem: path.read_text().splitlines() for path in (folder / "logs").glob("*.log")}
    assert logs.keys() == {"chaincode", "devnet"}
    for name, lines in logs.items():
        assert lines, name
        for line in lines:
            assert {"timestamp", "level", "event", "logger"} <= json.loads(line).keys()


def test_another_description_is_refused_while_a_ledger_is_there(
    cli: Any, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(dump_spec(default_spec(verifiers=5)))
    before = processes(folder)
    code, _, err = cli("network", "up", "--spec", str(path))
    assert code == 2
    assert "--wipe" in err
    assert processes(folder) == before
    assert len(read_network(folder).verifiers) == 3


def test_every_peer_answers_for_its_metrics(cli: Any) -> None:
    shown = cli("network", "status")[1]
    assert cli("token", "mint", "OwnerMSP/owner=5", "--as", "treasury/treasury")[0] == 0
    for one in shown["organisations"]:
        deadline = time.monotonic() + 20
        while (now := _metrics(one["metrics"]))["ledger_blockchain_height"] <= shown["height"]:
            assert time.monotonic() < deadline
        assert now["ledger_transaction_count_total"] >= 1
        assert now["ledger_block_processing_time_count"] >= 1
    asked = [
        _metrics(one["metrics"])["endorser_successful_proposals_total"] for one in shown["organisations"]
    ]
    assert sum(value > 0 for value in asked) >= 2


def _metrics(address: str) -> dict[str, float]:
    """Each metric's sum over its labels."""
    found: dict[str, float] = {}
    with urllib.request.urlopen(address, timeout=10) as answer:
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def test_following_ends_with_ctrl_c_and_130(folder: Path) -> None:
    command = [*CLI, "ledger", "events", "--follow", "--json", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as following:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["event"] == "rewards:Initialise"
        following.send_signal(signal.SIGINT)
        try:
            _, err = following.communicate(timeout=20)
        finally:
            following.kill()
    assert following.returncode == 130
    assert err == b"error: interrupted\n"


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        spec = default_spec(1, 1, 1)
        one = spec.organisations[0]
        peer = one.peer.model_copy(update={"port": taken.getsockname()[1]})
        organisations = (one.model_copy(update={"peer": peer}), *spec.organisations[1:])
        with pytest.raises(UpError, match="cannot be listened on") as caught:
            bring_up(
                spec.model_copy(update={"organisations": organisations}),
                tmp_path / "net",
                lambda *_: pytest.fail("it never serves"),
            )
    assert caught.value.step == "ports"
    assert processes(tmp_path / "net") == {}


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Path]:
    """A folder for a network of its own, which is brought down."""
    yield tmp_path / "net"
    bring_down(tmp_path / "net", wipe=True)


def failing(folder: Path, failure: BaseException) -> dict[str, int]:
    """The processes that ran when an `up` failed like this at its end."""
    seen: dict[str, int] = {}

    def confirm(*_: object) -> None:
        seen.update(processes(folder))
        assert all(psutil.pid_exists(pid) for pid in seen.values())
        raise failure

    with pytest.raises(type(failure)):
        bring_up(default_spec(1, 1, 1), folder, confirm)
    assert set(seen) == {"chaincode", "devnet"}
    return seen


def test_a_failed_up_leaves_what_runs_and_the_next_goes_on(net: Path) -> None:
    before = failing(net, RuntimeError("the ledger is on fire"))
    assert processes(net) == before
    assert bring_up(None, net, confirm_ledger).running
    assert processes(net) == before


def test_an_interrupted_up_stops_what_it_had_started_and_nothing_else(net: Path) -> None:
    before = failing(net, KeyboardInterrupt())
    assert processes(net) == {}
    for pid in before.values():
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert bring_up(None, net, confirm_ledger).running
    before = processes(net)
    psutil.Process(before["chaincode"]).kill()
    failing(net, KeyboardInterrupt())
    assert processes(net) == {"devnet": before["devnet"]}


def test_a_chaincode_that_dies_during_a_restart_is_started_again(net: Path) -> None:
    assert bring_up(default_spec(1, 1, 1), net, confirm_ledger).running
    before = processes(net)
    said: list[str] = []

    def confirm(spec: NetworkSpec, folder: Path, waiting: Waiting) -> None:
        psutil.Process(before["chaincode"]).kill()
        confirm_ledger(spec, folder, waiting)

    assert restart_nodes(net, ["devnet"], confirm, said.append).running
    after = processes(net)
    assert all(after[name] != before[name] for name in ("chaincode", "devnet"))
    assert "chaincode has ended; starting it again" in said


def test_a_devnet_whose_disk_is_full_ends_with_the_reason_and_up_goes_on(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Full for this process alone: no file of it may grow any more."""
    assert bring_up(default_spec(1, 1, 1), net, confirm_ledger).running
    folder, mint = ("--folder", str(net)), ("token", "mint", "OwnerMSP/owner=5", "--as", "treasury/treasury")
    assert run([*mint, *folder]) == 0
    devnet = psutil.Process(processes(net)["devnet"])
    devnet.rlimit(psutil.RLIMIT_FSIZE, (4096, 4096))
    assert run([*mint, *folder]) != 0
    gone, _ = psutil.wait_procs([devnet], timeout=30)
    assert gone
    capsys.readouterr()
    assert run(["network", "status", *folder]) == 3
    assert "devnet is stopped, and last said: devnet: the ledger store failed" in capsys.readouterr().err
    assert run(["network", "up", *folder]) == 0
    assert run([*mint, *folder]) == 0
    capsys.readouterr()
    assert run(["ledger", "account", "OwnerMSP/owner", "--json", *folder]) == 0
    assert json.loads(capsys.readouterr().out)["balance"] == 10


def test_too_little_room_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3 << 20))
    with pytest.raises(UpError, match=r"has 3 MiB left on its disk; a network needs 64: make room"):
        bring_up(default_spec(1, 1, 1), tmp_path / "net", confirm_ledger)
    assert not (tmp_path / "net" / "organisations").exists()


def test_a_service_that_cannot_start_is_the_step_that_failed(net: Path) -> None:
    spec = default_spec(1, 1, 1)
    spec = spec.model_copy(
        update={"chaincode": spec.chaincode.model_copy(update={"module": "no_such_module"})}
    )
    with pytest.raises(UpError, match="No module named no_such_module") as caught:
        bring_up(spec, net, lambda *_: pytest.fail("it never serves"))
    assert caught.value.step == "chaincode"
    assert "chaincode has ended 4 times" in str(caught.value)


def test_a_folder_without_a_network_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="network up --folder"):
        bring_down(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_made_among_somebody_elses_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "crypto-config"
    (folder / "peerOrganizations").mkdir(parents=True)
    for command in (["task", "list"], ["network", "up"], ["network", "down", "--wipe"]):
        assert run([*command, "--folder", str(folder)]) == Exit.USAGE
        told = capsys.readouterr().err
        assert "holds peerOrganizations" in told
        assert "quorumlearn network up" not in told
    assert [path.name for path in folder.rglob("*")] == ["peerOrganizations"]


@pytest.mark.parametrize(
    "path", [(), ("network",), ("network", "up"), ("identity", "issue"), ("ledger", "query")]
)
def test_help_has_an_example_and_the_exit_codes(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*path, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    if len(path) != 1:
        assert "Example: quorumlearn" in text
        assert "3 no peer answers" in text


def test_a_group_says_how_its_errors_end(capsys: pytest.CaptureFixture[str]) -> None:
    def ending() -> None:
        raise Failure("the account has 3, the task needs 5", Exit.REFUSED)

    added = typer.Typer()
    added.command("pay")(ending)
    app.add_typer(added, name="purse")
    try:
        assert run(["purse", "pay"]) == 4
    finally:
        app.registered_groups.pop()
    assert capsys.readouterr().err == "error: the account has 3, the task needs 5\n"


def test_the_version_that_is_printed_is_the_newest_in_the_changelog(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = Path(__file__).parents[3]
    assert run(["--version"]) == 0
    printed = capsys.readouterr().out.removeprefix("quorumlearn ").strip()
    assert printed == tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## (\S+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert next(one for one in headings if one != "Unreleased") == printed


def test_what_is_on_a_ledger_does_not_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_text("a\x1b[31mb")
    print_table(("x",), [("[bold]c\x1b]0;t\x07",)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[bold]c" in out


def test_a_logs_colours_are_colours_on_a_terminal_and_nothing_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "\x1b[34m2026 [orderer] \x1b[1mstarted\x1b[0m \x1b]0;title\x07 [bold]"
    print_coloured(line)
    assert capsys.readouterr().out == "2026 [orderer] started \\x1b]0;title\\x07 [bold]\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    print_coloured(line)
    out = capsys.readouterr().out
    assert "\x1b[34m" in out and "\x1b]" not in out


def test_an_installed_package_brings_a_description_to_begin_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["network", "up", "--fabric", "network/none.yaml"]) == 2
    assert "network example" in capsys.readouterr().err
    assert run(["network", "example"]) == 0
    spec = parse_spec(capsys.readouterr().out, "example")
    assert spec.fabric is not None and len(spec.organisations) == 7


def test_the_folder_can_come_from_the_environment(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORUMLEARN_NETWORK", os.fspath(folder))
    assert run(["identity", "list"]) == 0
    assert "treasury/admin" in capsys.readouterr().out
