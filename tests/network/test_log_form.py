"""`logs: json` of a network's description reaches every process that is started of it, on the devnet and on Fabric."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from quorumlearn_network.fabric.containers import render_compose
from quorumlearn_network.fabric.layout import plan
from quorumlearn_network.fabric.settings import log_form
from quorumlearn_network.ports import choose_ports
from quorumlearn_network.processes import last_word
from quorumlearn_network.spec import (
    LOG_FORM,
    FabricSpec,
    Logs,
    NetworkSpec,
    SpecError,
    default_spec,
    parse_spec,
)


def described(logs: Logs) -> NetworkSpec:
    return choose_ports(default_spec(1, 2, 2).model_copy(update={"logs": logs, "fabric": FabricSpec()}), None)


def test_containers_are_told_the_form(tmp_path: Path) -> None:
    services = yaml.safe_load(render_compose(plan(described(Logs.JSON), tmp_path)))["services"]
    assert len(services) > 6
    for service in services.values():
        assert service["environment"][LOG_FORM] == "json"
        assert service["environment"]["FABRIC_LOGGING_FORMAT"] == "json"


def test_text_is_the_form_that_fabric_has_by_itself(tmp_path: Path) -> None:
    assert log_form(default_spec(1, 2, 2)) == {LOG_FORM: "text"}
    services = yaml.safe_load(render_compose(plan(described(Logs.TEXT), tmp_path)))["services"]
    assert not any("FABRIC_LOGGING_FORMAT" in one["environment"] for one in services.values())


def test_another_form_is_refused() -> None:
    with pytest.raises(SpecError, match="logs"):
        parse_spec("name: n\nlogs: xml\nchaincode: {quorum: 1}\norganisations: []\n", "market.yaml")


def test_the_last_word_of_a_node_that_logs_json_is_its_panic() -> None:
    lines = [
        '{"level":"info","ts":1.0,"name":"orderer","msg":"Starting orderer"}',
        '{"level":"panic","ts":1.1,"name":"orderer","msg":"no space left on device"}',
        "goroutine 1 [running]:",
    ]
    assert "no space left" in last_word(lines)
    assert "no space left" not in last_word([*lines, lines[0]])
