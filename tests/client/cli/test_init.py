"""`quorumlearn init`: commented files that every command takes as they are, nothing overwritten unasked, and the steps that come next."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from quorumlearn.cli import run
from quorumlearn.cli.example import FUNDS, OPTIONAL, network_example
from quorumlearn.nodes import config, taskfile
from quorumlearn_network.spec import Role, default_spec, load_spec, parse_spec

NODES = ("owner", "miners1", "miners2", "verifier1", "verifier2", "verifier3")


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    for name in ("QUORUMLEARN_DATA", "QUORUMLEARN_STORE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "market"
    assert run(["init", str(folder), "--miners", "2"]) == 0
    capsys.readouterr()
    return folder


def test_the_files_are_read_by_the_commands_that_they_are_for(market: Path) -> None:
    assert load_spec(market / "market.yaml") == default_spec(2, 2, 3)
    task = taskfile.load(market / "task.yaml")
    assert FUNDS[Role.OWNER] >= task.rounds * task.reward.per_round
    assert FUNDS[Role.MINER] >= task.stakes.miner
    assert FUNDS[Role.VERIFIER] >= task.stakes.verifier
    for name in NODES:
        node = config.load(market / f"{name}.yaml")
        assert node.organisation == market / "quorumlearn-network" / "organisations" / name
        assert node.store.url == (market / "artifacts").as_uri()
    assert {path.name for path in market.iterdir()} == {
        *("market.yaml", "task.yaml", "artifacts", "state"),
        *(f"{name}.yaml" for name in NODES),
    }


def test_what_stands_in_comments_is_what_holds_without_it(market: Path) -> None:
    text = (market / "miners1.yaml").read_text()
    assert text.endswith(OPTIONAL)
    plain = config.load(market / "miners1.yaml")
    settings = re.findall(r"^# ([a-z_]+: .*)$", OPTIONAL, re.MULTILINE)
    assert len(settings) > 6
    for setting in settings[:-1]:
        (market / "miners1.yaml").write_text(f"{text}{setting}\n")
        assert config.load(market / "miners1.yaml") == plain, setting
    assert settings[-1].startswith("store:")


def test_the_store_with_options_in_the_comment_is_one(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY", "a key")
    monkeypatch.setenv("STORE_SECRET", "a secret")
    (store,) = re.findall(r"^# (store: .*)$", OPTIONAL, re.MULTILINE)
    fields = yaml.safe_load((market / "miners1.yaml").read_text()) | yaml.safe_load(store)
    (market / "miners1.yaml").write_text(yaml.safe_dump(fields))
    assert config.load(market / "miners1.yaml").store.url == "s3://BUCKET"


@pytest.mark.parametrize("spec", [default_spec(2, 3, 3), default_spec(1, 4, 5, 7000)], ids=["usual", "ports"])
def test_the_networks_file_says_the_same_with_comments(spec: object) -> None:
    assert parse_spec(network_example(spec), "market.yaml") == spec  # type: ignore[arg-type]


def test_files_that_are_there_are_left_alone_but_with_force(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (market / "task.yaml").write_text("mine\n")
    (market / "owner.yaml").unlink()
    assert run(["init", str(market), "--miners", "3"]) == 2
    assert "is there already: nothing was written; --force overwrites it" in capsys.readouterr().err
    assert (market / "task.yaml").read_text() == "mine\n"
    assert not (market / "owner.yaml").exists()
    assert run(["init", str(market), "--miners", "3", "--force"]) == 0
    assert taskfile.load(market / "task.yaml").miners.maximum == 6


def test_a_market_that_can_train_nothing_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "small"
    assert run(["init", str(folder), "--verifiers", "1"]) == 2
    assert "a task takes two at least" in capsys.readouterr().err
    assert not folder.exists()


def test_the_next_steps_name_the_files_and_fund_everybody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "market"
    assert run(["init", str(folder), "--miners", "2", "--store", "s3://artifacts", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    steps = [shlex.split(one) for one in told["next"]]
    assert steps[0] == ["cd", str(folder)]
    assert steps[1] == ["quorumlearn", "network", "up", "--spec", "market.yaml"]
    assert steps[2][:3] == ["quorumlearn", "token", "mint"]
    assert "Miners2MSP/miner2=200" in steps[2]
    named = {word for step in steps for word in step if word.endswith(".yaml")}
    assert named == set(told["files"]) == {path.name for path in folder.glob("*.yaml")}
    assert steps[-2][-2:] == ["--store", "s3://artifacts"]
    assert not (folder / "artifacts").exists(), "a URL is no folder"
