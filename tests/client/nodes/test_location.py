"""`store:` of a node's file: text or {url, options}; the environment's variables in options; secrets shown nowhere."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import yaml
from pydantic import JsonValue, ValidationError
from quorumlearn.artifacts import ArtifactMissing
from quorumlearn.nodes import config
from quorumlearn.nodes.location import Location, filled
from quorumlearn_proto.common_pb2 import ArtifactRef

SECRET = "a-very-secret-key"


def node_file(folder: Path, store: object) -> Path:
    path = folder / "node.yaml"
    node = {
        "organisation": "net/organisations/miners1",
        "store": store,
        "state": "state",
        "identities": [{"user": "miner1", "role": "miner"}],
    }
    path.write_text(yaml.safe_dump(node))
    return path


def test_options_take_variables_of_the_environment_at_any_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET", SECRET)
    monkeypatch.setenv("REGION", "north")
    options: dict[str, JsonValue] = {
        "secret": "${STORE_SECRET}",
        "client_kwargs": {"region_name": "${REGION}-1", "names": ["$REGION", "${REGION}"]},
        "anon": False,
        "price": "5 $",
    }
    assert filled(options) == {
        "secret": SECRET,
        "client_kwargs": {"region_name": "north-1", "names": ["$REGION", "north"]},
        "anon": False,
        "price": "5 $",
    }


def test_a_store_with_options_is_opened_with_them_and_shows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_SECRET", SECRET)
    url = f"memory://{uuid.uuid4()}"
    node = config.load(node_file(tmp_path, {"url": url, "options": {"secret": "${STORE_SECRET}"}}))
    store = node.store.opened("Org1MSP", tmp_path / "copies")
    assert store.get(store.put(b"an update"), 100) == b"an update"
    with pytest.raises(ArtifactMissing) as missing:
        store.get(ArtifactRef(digest="0" * 64, size=1), 100)
    for shown in (repr(node), str(node), repr(node.store), store.shown, repr(store), str(missing.value)):
        assert SECRET not in shown
        assert "STORE_SECRET" not in shown


@pytest.mark.parametrize(
    ("store", "words"),
    [
        (
            {"url": "s3://b", "options": {"key": "${NOBODY_SET_IT}"}},
            "no variable NOBODY_SET_IT, or it is empty",
        ),
        (
            {"url": "s3://b", "options": {"client_kwargs": {"x": ["${EMPTY}"]}}},
            "no variable EMPTY, or it is empty",
        ),
        ({"url": "artifacts", "options": {"key": SECRET}}, "a folder takes none"),
        ({"url": "file:///srv/artifacts", "options": {"key": SECRET}}, "a folder takes none"),
        ({"url": ""}, "store.url"),
        ({"options": {"key": SECRET}}, "store.url"),
        ({"url": "s3://b", "option": {"key": SECRET}}, "did you mean options?"),
        (7, "store"),
    ],
)
def test_a_store_that_cannot_be_is_one_sentence_without_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: object, words: str
) -> None:
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(config.ConfigError) as refused:
        config.load(node_file(tmp_path, store))
    assert words in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_library_that_checks_the_file_shows_no_option_either() -> None:
    with pytest.raises(ValidationError) as refused:
        Location.model_validate({"url": "artifacts", "options": {"key": SECRET}})
    assert SECRET not in str(refused.value)


def test_a_relative_folder_is_below_the_nodes_file(tmp_path: Path) -> None:
    for given in ("artifacts", {"url": "artifacts"}):
        assert config.load(node_file(tmp_path, given)).store.url == (tmp_path / "artifacts").as_uri()
