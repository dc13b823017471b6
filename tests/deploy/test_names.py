"""What deploy/ names is there: metrics and labels of its queries, commands, options, variables, ports, files, users."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from quorumlearn.cli import app
from quorumlearn.cli.init import files
from quorumlearn.nodes import metrics
from quorumlearn_network.devnet import metrics as devnet_metrics
from quorumlearn_network.spec import default_spec

from tests.deploy.settings import (
    DEPLOY,
    PROMETHEUS,
    alerts,
    command_lines,
    compose,
    compose_nodes,
    dashboard,
    dashboard_queries,
    scraped,
    units,
)
from tests.test_architecture import ROOMS, ROOT

SUFFIXES = {"Gauge": ("",), "Counter": ("_total",), "Histogram": ("_bucket", "_sum", "_count")}
OF_PROMETHEUS = {"up": {"job"}, "ALERTS": {"alertname", "alertstate"}}
ADDED = {"organisation", "instance", "job", "le", "__name__"}
"""Labels that Prometheus or its settings add."""
LANGUAGE = {
    "sum",
    "max",
    "by",
    "on",
    "group_right",
    "rate",
    "increase",
    "changes",
    "time",
    "vector",
    "histogram_quantile",
    "or",
    "and",
}
NODE_SPEC = default_spec(miner_organisations=2, miners_each=3, verifiers=3)


def series() -> dict[str, set[str]]:
    """The labels of every series that nodes and the devnet's peers serve, by its name; Fabric's peers have the latter without `_total`."""
    found = {}
    for module in (metrics, devnet_metrics):
        for call in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in SUFFIXES:
                name = ast.literal_eval(call.args[0])
                labels = set(ast.literal_eval(call.args[2])) if len(call.args) > 2 else set()
                for suffix in SUFFIXES[call.func.id]:
                    found[f"{name}{suffix}"] = labels
    return found | OF_PROMETHEUS


def asked(query: str) -> tuple[set[str], set[str]]:
    """The series and the labels that a query names; a pattern for a name counts as the series that it fits."""
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query))
    for names in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query):
        labels |= {one.strip() for one in names.split(",")}
    plain = re.sub(r"\b(?:by|on|group_right)\s*\([^)]*\)|\{[^}]*\}|\[[^\]]*\]", " ", query)
    named = set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", plain)) - LANGUAGE
    for pattern in re.findall(r'__name__=~"([^"]*)"', query):
        fitting = {one for one in series() if re.fullmatch(pattern, one)}
        named |= fitting or {pattern}
    return named, labels


QUERIES = [(title, query) for title, several in dashboard_queries().items() for query in several]
QUERIES += [(rule["alert"], rule["expr"]) for rule in alerts()]


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=[title for title, _ in QUERIES])
def test_a_query_asks_for_series_and_labels_that_are_served(title: str, query: str) -> None:
    known = series()
    names, labels = asked(query)
    assert names, query
    assert names <= known.keys(), names - known.keys()
    assert labels <= ADDED.union(*(known[name] for name in names))


def test_every_metric_of_a_nodes_is_watched() -> None:
    """In a panel or an alert: what nobody looks at need not be counted."""
    watched = set().union(*(asked(query)[0] for _, query in QUERIES))
    for name in series():
        if name.startswith("quorumlearn_"):
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            assert any(one.startswith(family) for one in watched), name


def test_the_dashboards_variables_and_panels_are_whole() -> None:
    board = dashboard()
    for variable in board["templating"]["list"]:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
        assert label in series()[metric] | ADDED
    panels = [one for one in board["panels"] if one["type"] != "row"]
    assert len({one["id"] for one in board["panels"]}) == len(board["panels"])
    source = (DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text()
    for panel in panels:
        assert panel["targets"], panel["title"]
        assert f"uid: {panel['datasource']['uid']}," in source
        for target in panel["targets"]:
            used = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            names, _ = asked(target["expr"])
            assert set(used) <= ADDED.union(*(series()[name] for name in names)), panel["title"]


def test_an_alert_says_what_is_wrong_with_whom_and_what_follows() -> None:
    page = (ROOT / "docs" / "running.md").read_text()
    tested = (PROMETHEUS / "alerts_test.yml").read_text()
    for rule in alerts():
        assert rule["annotations"].keys() == {"summary", "consequence"}
        used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        names, _ = asked(rule["expr"])
        assert used <= ADDED.union(*(series()[name] for name in names)), rule["alert"]
        assert f"| `{rule['alert']}` |" in page, (
            f"docs/running.md does not say what to do about {rule['alert']}"
        )
        assert tested.count(f"alertname: {rule['alert']}") == 2, "once when it comes, once when it must not"


COMMANDS = list(command_lines())


def test_commands_are_found_where_they_are_run() -> None:
    places = {place for place, _ in COMMANDS}
    assert {
        "Dockerfile",
        "compose.yaml: owner",
        "quorumlearn-node@.service",
        "quorumlearn-prune@.service",
    } <= places
    assert {"compose.yaml", "alerts.yml", "prometheus.yml"} <= places, "what they tell people"


@pytest.mark.parametrize(
    ("place", "words"), COMMANDS, ids=[f"{one[0]}: {' '.join(one[1])}" for one in COMMANDS]
)
def test_every_command_line_parses(place: str, words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="quorumlearn")
    rest = list(words)
    while hasattr(command, "commands"):
        assert rest, f"{place}: {words} names no command"
        assert rest[0] in command.commands, f"{place}: {words}"
        name, command, rest = command.resolve_command(context, rest)
    command.make_context(name, rest, parent=context)


def test_a_variable_that_deploy_sets_is_one_that_the_code_reads() -> None:
    code = "".join(
        path.read_text() for package, room in ROOMS.items() for path in (room / package).rglob("*.py")
    )
    named = set()
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            named |= set(re.findall(r"\bQUORUMLEARN_[A-Z_]+", path.read_text()))
    assert named >= {"QUORUMLEARN_LOG", "QUORUMLEARN_METRICS"}
    for name in named:
        assert f'"{name}"' in code, f"{name} is read nowhere"


def test_compose_runs_the_nodes_that_init_writes_with_the_ports_that_prometheus_reads() -> None:
    nodes = compose_nodes()
    written = {Path(name).stem for name in files(NODE_SPEC, "s3://artifacts", None)} - {"market", "task"}
    assert nodes.keys() == written == scraped().keys()
    assert {name: one["environment"]["QUORUMLEARN_METRICS"] for name, one in nodes.items()} == scraped()
    assert len(set(scraped().values())) == len(nodes)
    for name, one in nodes.items():
        assert one["command"][-1] == f"/etc/quorumlearn/{name}.yaml"


def test_compose_gives_each_organisation_its_own_user_of_the_store() -> None:
    setup = compose()["services"]["store-setup"]
    users = dict(one.split("=") for one in setup["environment"]["USERS"].split())
    for name, one in compose_nodes().items():
        key, secret = (one["environment"][f"AWS_{part}"] for part in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        assert key == NODE_SPEC.organisation(name).msp_id
        assert users[key] == secret
    assert len(set(users.values())) == len(users) == len(compose_nodes())


def test_the_environments_example_names_all_that_compose_asks_for_and_nothing_secret() -> None:
    wanted = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    example = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / "example.env").read_text(), re.MULTILINE))
    assert wanted == example.keys() - {"COMPOSE_PROJECT_NAME"}
    assert not any(value for name, value in example.items() if name.endswith("SECRET"))
    assert "deploy/.env" in (ROOT / ".gitignore").read_text().split()


def test_what_compose_mounts_is_there_and_nothing_listens_outside_of_the_machine() -> None:
    services = compose()["services"]
    for name, one in services.items():
        for volume in one.get("volumes", ()):
            source = re.sub(r"\$\{[^}]*\}", "$", volume).partition(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), f"{name}: {source}"
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ())), name
    assert all(address.startswith("127.0.0.1:") for address in scraped().values())
    assert "--web.listen-address=127.0.0.1:9090" in services["prometheus"]["command"]
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    assert (
        "http://127.0.0.1:9090" in (DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text()
    )


def test_the_stores_policy_is_the_one_that_is_tested() -> None:
    page = (ROOT / "docs" / "store.md").read_text().partition("```json\n")[2].partition("```")[0]
    assert (DEPLOY / "store" / "policy.json").read_text() == page


def test_units_run_as_no_root_and_read_the_files_that_their_comments_name() -> None:
    for name, unit in units().items():
        if "Service" in unit:
            service = unit["Service"]
            assert service["User"] == "quorumlearn"
            assert "/etc/quorumlearn/%i.yaml" in service["ExecStart"]
            assert service["EnvironmentFile"] == "-/etc/quorumlearn/%i.env", name
    node = units()["quorumlearn-node@.service"]["Service"]
    assert node["RestartPreventExitStatus"] == "2"  # Exit.USAGE
