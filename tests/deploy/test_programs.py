"""deploy/ put to the programs that read it, as far as they are here: systemd, Compose, Prometheus, bash; and the image's own parts."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from quorumlearn.nodes import metrics

from tests.deploy.settings import DEPLOY, PROMETHEUS, units
from tests.test_architecture import ROOT

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
MOST_EXPOSED = 2.0
"""What `systemd-analyze security` gives a unit at most, of 10."""


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here")
    return found


def done(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """What a program wrote; it must succeed."""
    ran = subprocess.run(
        [str(one) for one in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_systemd_takes_the_units_and_finds_them_hardened(tmp_path: Path) -> None:
    analyse = tool("systemd-analyze")
    for name in units():
        text = (DEPLOY / "systemd" / name).read_text()
        (tmp_path / name).write_text(
            re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE)
        )
    for name in units():
        assert done(analyse, "verify", "--man=no", f"./{name}", cwd=tmp_path) == ""
        if name.endswith(".service"):
            told = done(analyse, "security", "--offline=true", "--no-pager", f"./{name}", cwd=tmp_path)
            level = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
            assert level is not None
            assert float(level[1]) <= MOST_EXPOSED


def test_compose_takes_the_file_with_the_examples_variables(tmp_path: Path) -> None:
    compose = tool("docker-compose")
    text = (DEPLOY / "example.env").read_text()
    filled, empty = tmp_path / "filled.env", tmp_path / "empty.env"
    filled.write_text(re.sub(r"=$", "=" + "s" * 24, text, flags=re.MULTILINE))
    empty.write_text(text)
    told = done(compose, "--env-file", filled, "-f", DEPLOY / "compose.yaml", "config")
    assert "127.0.0.1:9464" in told
    refused = subprocess.run(
        [compose, "--env-file", str(empty), "-f", str(DEPLOY / "compose.yaml"), "config"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode != 0, "a secret that is left empty is noticed"


def test_prometheus_takes_its_settings_and_each_alert_comes_when_it_should() -> None:
    promtool = tool("promtool")
    done(promtool, "check", "config", PROMETHEUS / "prometheus.yml")
    done(promtool, "test", "rules", PROMETHEUS / "alerts_test.yml")


def test_the_store_gets_a_bucket_and_a_user_with_the_policy_for_each_organisation(tmp_path: Path) -> None:
    """`mc` is played by a program that notes how it is called, and keeps the policies."""
    played = tmp_path / "bin" / "mc"
    played.parent.mkdir()
    played.write_text(
        f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\n'
        f'[ "$1 $2 $3" != "admin policy create" ] || cp "$6" "{tmp_path}/$5.json"\n'
    )
    played.chmod(0o755)
    done(
        *("bash", DEPLOY / "store" / "setup.sh", "http://store:9000", "artifacts"),
        PATH=f"{played.parent}:{os.environ['PATH']}",
        STORE_SECRET="all-may",
        USERS="AMSP=secret-of-a BMSP=secret-of-b",
    )
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "mb --ignore-existing store/artifacts" in calls
    page = (DEPLOY / "store" / "policy.json").read_text()
    for name, secret in (("AMSP", "secret-of-a"), ("BMSP", "secret-of-b")):
        assert f"admin user add store {name} {secret}" in calls
        assert f"admin policy attach store {name} --user {name}" in calls
        policy = json.loads((tmp_path / f"{name}.json").read_text())
        assert policy == json.loads(page.replace("BUCKET", "artifacts").replace("ORGANISATION", name))


def test_the_images_health_check_asks_the_node() -> None:
    command = json.loads(re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])  # type: ignore[index]
    problems: list[str] = []
    port = metrics.serve("127.0.0.1", 0, lambda: problems)

    def healthy() -> bool:
        ran = subprocess.run(
            [sys.executable, *command[1:]],
            env={**os.environ, "QUORUMLEARN_METRICS": f"127.0.0.1:{port}"},
            capture_output=True,
            check=False,
            timeout=60,
        )
        return ran.returncode == 0

    assert healthy()
    problems.append("no room in the store")
    assert not healthy()


def test_the_image_is_built_from_what_is_there_and_runs_as_no_root() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    admitted = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert "*" in ignored
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in admitted), (
            f".dockerignore leaves out {source}"
        )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= set(sources)
    extras = re.search(r"^ARG EXTRAS=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert extras is not None
    assert set(extras[1].split(",")) <= project["project"]["optional-dependencies"].keys()
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    (user,) = re.findall(r"^USER (\d+)$", last, re.MULTILINE)
    assert int(user) > 0
    assert f"--uid {user} " in last
