"""The devnet as a process, and the configuration it reads."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from quorumlearn_network.devnet import ConfigError, Devnet, DevnetConfig, load_config

from tests.network.devnet.conftest import MEMBERS, PACKAGE, Members, make_config
from tests.network.devnet.kv_chaincode import KeyValueService
from tests.network.devnet.raw_gateway import Client


def start_process(config: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "quorumlearn_network.devnet", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ready(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    word, *served = process.stdout.readline().split()
    assert word == "ready"
    return dict(entry.split("=") for entry in served)


def stopped(process: subprocess.Popen[str], how: signal.Signals) -> str:
    process.send_signal(how)
    out, log = process.communicate(timeout=30)
    assert out == ""
    assert process.returncode == (-9 if how == signal.SIGKILL else 0)
    return log


def test_a_process_serves_survives_kill_9_and_stops_cleanly(members: Members, tmp_path: Path) -> None:
    service = KeyValueService(PACKAGE).start()
    config = make_config(members, Path("ledger.sqlite"), {name: {"kv": service.address} for name in MEMBERS})
    path = tmp_path / "devnet.json"
    path.write_text(config.model_dump_json())
    ca = members.organisations["V1MSP"].tls_authority
    blocks = []
    for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        process = start_process(path)
        client = Client(ready(process)["V1MSP"], ca, members.signer("V1MSP"))
        blocks.append(client.submit("increment", "runs").block)
        assert client.evaluate("get", "runs") == str(len(blocks)).encode()
        client.close()
        log = stopped(process, how)
        assert "Traceback" not in log
        assert "PRIVATE KEY" not in log
    assert blocks == [2, 3, 4]
    assert (tmp_path / "ledger.sqlite").exists()
    service.stop()


def test_a_configuration_that_cannot_be_used_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "devnet.json"
    path.write_text("{}")
    process = start_process(path)
    out, log = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert log.startswith(f"devnet: {path}: channel: Field required")
    assert log.count("\n") == 1


def fields_of(members: Members, tmp_path: Path) -> dict[str, Any]:
    config = make_config(members, tmp_path / "ledger.sqlite", {"V1MSP": {"kv": "127.0.0.1:1"}})
    fields: dict[str, Any] = json.loads(config.model_dump_json())
    return fields


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (["channel"], "Not A Channel", "channel"),
        (["unknown"], 1, "unknown"),
        (["organisations"], [], "organisations"),
        (["organisations", 0, "address"], "nowhere", "not host:port"),
        (["organisations", 0, "address"], "127.0.0.1:99999", "not host:port"),
        (["organisations", 0, "msp_id"], "V1MSP", "used twice"),
        (["organisations", 0, "chaincode"], {"other": "127.0.0.1:1"}, "does not define"),
        (["chaincodes", 0, "policy"], "OR('V1MSP.boss')", "unreadable principal"),
        (["chaincodes", 0, "name"], "qscc", "system chaincode"),
        (["chaincodes", 0, "sequence"], 0, "sequence"),
        (
            ["chaincodes", 0, "collections"],
            [{"name": "secrets"}],
            "private data collections are not supported",
        ),
        (["batch", "timeout_ms"], 0, "timeout_ms"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_said(
    members: Members, tmp_path: Path, place: list[str | int], value: object, reason: str
) -> None:
    fields = fields_of(members, tmp_path)
    inner: Any = fields
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    path = tmp_path / "devnet.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(ConfigError, match=reason):
        load_config(path)


def test_relative_paths_are_taken_from_the_files_folder(members: Members, tmp_path: Path) -> None:
    fields = fields_of(members, tmp_path)
    fields["ledger"] = "deep/ledger.sqlite"
    fields["orderer"]["msp"] = "o/msp"
    path = tmp_path / "devnet.json"
    path.write_text(json.dumps(fields))
    config = load_config(path)
    assert config.ledger == tmp_path / "deep" / "ledger.sqlite"
    assert config.orderer.msp == tmp_path / "o" / "msp"


@pytest.mark.parametrize("missing", ["msp", "tls"])
def test_a_missing_folder_is_named_and_nothing_stays_open(
    members: Members, tmp_path: Path, missing: str
) -> None:
    good = make_config(members, tmp_path / "ledger.sqlite", {})
    organisations = list(good.organisations)
    organisations[2] = organisations[2].model_copy(update={missing: tmp_path / "nothing"})
    with pytest.raises(ConfigError, match="nothing"):
        Devnet(good.model_copy(update={"organisations": organisations})).start()
    with Devnet(good) as devnet:
        assert set(devnet.addresses) == set(MEMBERS)


def test_a_user_cannot_act_as_a_peer_nor_a_peer_as_the_orderer(members: Members, tmp_path: Path) -> None:
    config = make_config(members, tmp_path / "ledger.sqlite", {})
    members.signer("OwnerMSP")
    organisations = list(config.organisations)
    user = members.organisations["OwnerMSP"].user("user")
    organisations[0] = organisations[0].model_copy(update={"msp": user})
    with pytest.raises(ConfigError, match="cannot act as peer"):
        Devnet(config.model_copy(update={"organisations": organisations})).start()
    fields = config.model_dump()
    fields["organisations"] = fields["organisations"][1:]
    peer = members.organisations["OwnerMSP"].peer / "msp"
    fields["orderer"] = {"msp_id": "OwnerMSP", "msp": peer}
    with pytest.raises(ConfigError, match="cannot act as orderer"):
        Devnet(DevnetConfig.model_validate(fields)).start()


def test_a_port_that_is_taken_is_named(members: Members, tmp_path: Path) -> None:
    config = make_config(members, tmp_path / "one.sqlite", {})
    with Devnet(config) as devnet:
        taken = config.organisations[0].model_copy(update={"address": devnet.addresses["OwnerMSP"]})
        organisations = [taken, *config.organisations[1:]]
        second = config.model_copy(update={"organisations": organisations, "ledger": tmp_path / "two.sqlite"})
        with pytest.raises(ConfigError, match="the port is taken"):
            Devnet(second).start()
