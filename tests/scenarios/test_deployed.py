"""A market as deploy/ runs it: nodes as processes with their store on S3, where each has its own user; they log JSON, say when they are
ready, and Prometheus scrapes them with deploy's own settings. Every query of the dashboard and of the alerts is put to it.

Without the executable `prometheus` (Debian has it in a package of that name) the queries are left out, and nothing else.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from quorumlearn_network.up import status as network_status
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.client.artifacts.s3_server import BUCKET, REGION, Server, serving
from tests.deploy.settings import PROMETHEUS, dashboard_queries
from tests.scenarios.stage import SEATS, NodeProcess, Stage, assert_settled, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TASK = "deployed"
MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
PARTIES = [*MINERS, *(f"{seat}/verifier" for seat in SEATS)]
MAY_BE_EMPTY = {
    "Steps tried again in 15 minutes",
    "Steps and rounds lost in an hour",
    "Refused in 15 minutes",
    "Steps trained and segments replayed a minute",
    "Time that replays take",
    "Bytes of chunks, a second",
}
"""Panels of what did not happen, or happens where training is replayed."""


@pytest.fixture(scope="module")
def store(stage: Stage) -> Iterator[Server]:
    with serving(*(one.msp_id for one in stage.spec.organisations)) as server:
        yield server


def soon(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def asked(address: str) -> tuple[int, str]:
    """Status and body; 0 while nothing listens."""
    try:
        with urllib.request.urlopen(f"http://{address}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except urllib.error.URLError:
        return 0, ""


def free_addresses(number: int) -> list[str]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    for one in held:
        one.close()
    return addresses


class Prometheus:
    """Debian's, with deploy's settings but for addresses and times."""

    def __init__(self, folder: Path, nodes: dict[str, str], peers: list[str]) -> None:
        settings = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        settings["global"] = {
            "scrape_interval": "500ms",
            "scrape_timeout": "500ms",
            "evaluation_interval": "1s",
        }
        settings["scrape_configs"][0]["static_configs"] = [
            {"targets": [address], "labels": {"organisation": name}} for name, address in nodes.items()
        ]
        (folder / "fabric").mkdir(parents=True)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        shutil.copy(PROMETHEUS / "alerts.yml", folder)
        (folder / "fabric" / "peers.json").write_text(json.dumps([{"targets": peers}]))
        (self.address,) = free_addresses(1)
        self._log = (folder / "log").open("w")
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self.address}",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        status, body = asked(f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        assert status == 200, body
        answer: dict[str, Any] = json.loads(body)
        assert answer["status"] == "success"
        return answer["data"]

    def ready(self) -> bool:
        return asked(f"{self.address}/-/ready")[0] == 200

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


def test_a_market_runs_on_s3_and_is_watched(
    stage: Stage, store: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = stage.node_files(TASK, MINERS)
    watched = dict(zip(files, free_addresses(len(files)), strict=True))
    secrets = {name: store.keys[stage.spec.organisation(name).msp_id] for name in files}
    location = {
        "url": f"s3://{BUCKET}",
        "options": {
            "endpoint_url": store.address,
            "key": "${STORE_KEY}",
            "secret": "${STORE_SECRET}",
            "client_kwargs": {"region_name": REGION},
        },
    }
    for file in files.values():
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "store": location}))
    nodes = {
        name: NodeProcess(
            file,
            {
                "QUORUMLEARN_LOG": "json",
                "QUORUMLEARN_METRICS": watched[name],
                "STORE_KEY": secrets[name][0],
                "STORE_SECRET": secrets[name][1],
            },
        )
        for name, file in files.items()
    }
    prometheus = None
    try:
        with running(*nodes.values()) as all_nodes:
            if shutil.which("prometheus"):
                peers = [one.peer.operations_address for one in network_spec(stage).organisations]
                prometheus = Prometheus(tmp_path / "prometheus", watched, peers)
                soon(prometheus.ready, (tmp_path / "prometheus" / "log").read_text())
            for name, address in watched.items():
                soon(lambda at=address: asked(f"{at}/readyz") == (200, "ready\n"), f"{name} is not ready")  # type: ignore[misc]
            publish(stage, store, monkeypatch)
            view = stage.played(TASK, all_nodes)
            if prometheus is not None:
                put_every_query(prometheus)
    finally:
        if prometheus is not None:
            prometheus.end()
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in stage.market().rounds(TASK)] == [b.ACCEPTED]
    assert_settled(stage, TASK, PARTIES)
    for name, node in nodes.items():
        assert_log(node, stage, name, secrets[name][1])
    audited = stage.on_ledger("task", "audit", TASK, "--store", f"s3://{BUCKET}", "--json")
    assert audited.code == 0, audited.err
    assert audited.fields["violations"] == 0
    assert_pruned(stage, files["miners1"], secrets["miners1"], monkeypatch)


def network_spec(stage: Stage) -> Any:
    return network_status(stage.network).spec


def publish(stage: Stage, store: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the owner's user, whose credentials are in the environment as S3's own clients read them."""
    key, secret = store.keys["OwnerMSP"]
    for name, value in (
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_ENDPOINT_URL", store.address),
        ("AWS_DEFAULT_REGION", REGION),
    ):
        monkeypatch.setenv(name, value)
    file = stage.task_file(TASK, rounds=1)
    told = stage.on_ledger("task", "publish", str(file), "--store", f"s3://{BUCKET}", who="owner/owner")
    assert told.code == 0, told.err


def put_every_query(prometheus: Prometheus) -> None:
    def answers(query: str) -> bool:
        return bool(prometheus.get("query", query=query)["result"])

    for panel, queries in dashboard_queries().items():
        for query in queries:
            if panel in MAY_BE_EMPTY:
                prometheus.get("query", query=query)
            else:
                soon(lambda asks=query: answers(asks), f"{panel} shows nothing: {query}")  # type: ignore[misc]
    rules = [one for group in prometheus.get("rules")["groups"] for one in group["rules"]]
    assert {one["health"] for one in rules} == {"ok"}
    assert len(rules) > 10
    targets = prometheus.get("targets")["activeTargets"]
    assert {one["health"] for one in targets} == {"up"}, [one["lastError"] for one in targets]


def assert_log(node: NodeProcess, stage: Stage, name: str, secret: str) -> None:
    """Every line an object; the first says who, where and which tasks; none holds the secret."""
    text = node.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    first = lines[0]
    assert first["event"] == "node starts"
    msp_id, organisation = stage.spec.organisation(name).msp_id, network_spec(stage).organisation(name)
    assert all(one.startswith(f"{msp_id}/") for one in first["identities"])
    assert name == "owner" or all(one.endswith(f" in {TASK}") for one in first["identities"])
    assert first["peer"].endswith(f":{organisation.peer.port}")
    assert (first["channel"], first["chaincode"]) == ("quorumlearn", "quorumlearn")
    assert first["store"] == f"s3://{BUCKET}"
    assert first["state"] == str(stage.folder / "state" / name)
    assert secret not in text


def assert_pruned(stage: Stage, file: Path, secret: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`store prune` reaches the store by the file's options; what is younger than a day stays."""
    monkeypatch.setenv("STORE_KEY", secret[0])
    monkeypatch.setenv("STORE_SECRET", secret[1])
    told = stage.cli("store", "prune", str(file), "--json")
    assert told.code == 0, told.err
    assert told.fields == {"store": f"s3://{BUCKET}", "removed": []}
