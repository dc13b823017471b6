"""What deploy/ holds, read as its programs read it: the compose file, the units, the dashboard's and the alerts' queries."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
VARIABLES = {"$organisation": ".*", "$task": ".*"}


def dashboard() -> dict[str, Any]:
    (file,) = (DEPLOY / "grafana" / "dashboards").glob("*.json")
    read: dict[str, Any] = json.loads(file.read_text())
    return read


def dashboard_queries() -> dict[str, list[str]]:
    """The queries of each panel by its title, for all organisations and tasks."""
    found: dict[str, list[str]] = {}
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            found.setdefault(panel["title"], []).append(query)
    return found


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def scraped() -> dict[str, str]:
    """The address at which Prometheus reads each organisation's node."""
    (job,) = (
        one
        for one in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
        if one["job_name"] == "quorumlearn-node"
    )
    found = {}
    for one in job["static_configs"]:
        (address,) = one["targets"]
        found[one["labels"]["organisation"]] = address
    return found


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return read


def compose_nodes() -> dict[str, dict[str, Any]]:
    """The services that are nodes."""
    return {name: one for name, one in compose()["services"].items() if one["image"] == "quorumlearn-node"}


def units() -> dict[str, configparser.ConfigParser]:
    """The systemd units by file name."""
    found = {}
    for file in sorted((DEPLOY / "systemd").iterdir()):
        parser = configparser.ConfigParser(interpolation=None, strict=True, delimiters=("=",))
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read_string(file.read_text())
        found[file.name] = parser
    return found


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every command line of quorumlearn's that deploy/ runs or tells people to run: where it stands, and its words."""
    for name, service in compose_nodes().items():
        yield f"compose.yaml: {name}", list(service["command"])
    for name, unit in units().items():
        if unit.has_option("Service", "ExecStart"):
            program, *words = shlex.split(unit["Service"]["ExecStart"])
            assert program.endswith("/quorumlearn")
            yield name, words
    docker = (DEPLOY / "Dockerfile").read_text()
    yield "Dockerfile", json.loads(re.findall(r"^CMD (\[.*\])$", docker, re.MULTILINE)[-1])
    for file in (*DEPLOY.rglob("*.y*ml"), *DEPLOY.rglob("*@.*"), DEPLOY / "Dockerfile"):
        for line in re.findall(r"(?:`|# +\(?(?:cd \w+ && )?)quorumlearn ([a-z][^`\n)]*)", file.read_text()):
            yield file.name, shlex.split(line)
