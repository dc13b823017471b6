"""A Flower app as a workload: what it gets, what of its answers becomes an update, and what its failures cost."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from quorumlearn.learning import (
    DataCorrupt,
    DataMissing,
    Model,
    Part,
    TrainingError,
    WorkloadError,
    digest_of,
)
from quorumlearn.learning.flower import FlowerData, FlowerWorkload

from tests.client.learning.flower.conftest import Make

GOOD = Part("train", "partition-id=1 num-partitions=3", "HospitalMSP/miner1")


def data(mode: str, who: str = "AMSP/a") -> FlowerData:
    return FlowerData(who, {"mode": mode}, 12, "")


def same(one: Model, other: Model) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_the_model_is_what_the_app_makes(make: Make) -> None:
    own = make()
    assert own.shapes == {"arrays.0": (4, 3), "arrays.1": (3,)}, "whole numbers stay with the app"
    assert own.blocks == ("arrays",)
    assert own.tensors("arrays") == ("arrays.0", "arrays.1")
    first = own.initial_model(1)
    assert same(first, own.initial_model(1)) and not same(first, own.initial_model(2))
    with pytest.raises(WorkloadError, match="no block 'top'"):
        own.tensors("top")


def test_it_trains_from_the_model_it_gets_and_the_seed_alone(make: Make) -> None:
    own = make()
    model = own.initial_model(1)
    before = {name: tensor.copy() for name, tensor in model.items()}
    result = own.train(model, data("good"), seed=5)
    moved = result.model["arrays.1"] - model["arrays.1"]
    assert (moved > 0.09).all() and (moved < 1.01).all()
    assert result.samples == 12
    assert same(model, before)
    assert same(own.train(model, data("good"), seed=5).model, result.model)
    assert not same(own.train(model, data("good"), seed=6).model, result.model)


def test_context_state_and_whole_numbers_stay_with_each_party(make: Make) -> None:
    own = make()
    model = own.initial_model(1)
    assert [own.train(model, data("good"), seed=1).loss for _ in range(3)] == [1, 2, 3]
    assert own.train(model, data("good", "AMSP/b"), seed=1).loss == 1
    assert own.train(model, data("kept"), seed=1).loss == 3, "counted once a training"


FAILURES = {
    "raise": r"ValueError: no such file: xy+ ?",
    "leave": r"ended.*|.*the app leaves",
    "exit": r"ended with exit code 3; its last words: out of luck",
    "die": r"ended by signal SIGKILL",
    "hang": r"did not answer within 1 s",
    "ask": r"EOFError",
    "error": r"answered with error 7: not today",
    "text": r"answered 'train' with str, not with a Message",
    "nan": r"not finite: its training diverged; lower learning_rate, 0.1",
    "shape": r"arrays.0 came back with shape \(3, 4\); the model has \(4, 3\)",
    "fewer": r"its arrays are others than the model's",
    "complex": r"arrays.0 came back as complex128",
    "nothing": r"0 records of arrays; it must be one",
    "uncounted": r"told no `num-examples`",
}


def test_whatever_an_app_does_costs_one_training(make: Make) -> None:
    own = make(timeout=1)
    model = own.initial_model(1)
    for mode, says in FAILURES.items():
        with pytest.raises(TrainingError, match=says) as failure:
            own.train(model, data(mode), seed=1)
        assert str(failure.value).isprintable() and len(str(failure.value)) < 700
        assert own.train(model, data("good"), seed=1).samples == 12, mode


def test_a_node_that_stops_waits_for_no_app(make: Make) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, of: int) -> None:
        raise Stopped

    own = make()
    model = own.initial_model(1)
    running = psutil.Process(own.process.pid)
    with pytest.raises(Stopped):
        own.train(model, data("hang"), seed=1, on_step=stop)
    assert not running.is_running()


def test_the_app_finds_nothing_of_the_node_s(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUORUMLEARN_STORE", "s3://key:secret@store")
    own = make()
    model = own.initial_model(1)
    with pytest.raises(TrainingError, match=r"ValueError:\s+\(client_app.py:\d+\)$"):
        own.train(model, data("environment"), seed=1)


def test_loading_has_the_app_try(make: Make) -> None:
    own = make()
    taken = own.load(None, GOOD)
    assert len(taken) == 12
    assert taken.node_config == {"partition-id": 1, "num-partitions": 3}
    assert len(own.load(None, replace(GOOD, kind="test"))) == 40
    assert own.train(own.initial_model(1), taken, seed=1).loss == 1, "the first look is none of its trainings"
    with pytest.raises(
        DataMissing, match="HospitalMSP/miner1 has no data of own: the app of own: ValueError"
    ):
        own.load(None, replace(GOOD, text="mode=raise"))
    with pytest.raises(DataCorrupt, match="num-examples"):
        own.load(None, replace(GOOD, text="mode=uncounted"))
    with pytest.raises(WorkloadError, match="write key=value"):
        own.load(None, replace(GOOD, text="partition 1"))


def test_a_data_set_is_known_by_its_files_and_its_part(make: Make, tmp_path: Path) -> None:
    own = make()
    source = tmp_path / "data"
    source.mkdir()
    (source / "a.csv").write_text("1,2\n")
    first = own.load(str(source), GOOD)
    assert first.node_config["data-path"] == str(source)
    assert own.load(str(source), GOOD).digest() == first.digest()
    assert own.load(str(source), replace(GOOD, text="partition-id=2")).digest() != first.digest()
    (source / "a.csv").write_text("1,3\n")
    assert own.load(str(source), GOOD).digest() != first.digest()


def scored(own: FlowerWorkload, mode: str) -> list[float]:
    score = own.evaluate(own.initial_model(1), data(mode))
    assert score.loss == 0.5
    return sorted(score.parts.tolist())


def test_scores(make: Make) -> None:
    own = make()
    assert scored(own, "good") == [0.0] * 10 + [1.0] * 30
    assert scored(own, "list") == [0.0, 1.0, 1.0]
    assert scored(own, "nan") == [0.0] * 40, "no number is the worst"
    for mode, says in {
        "keyless": "metrics are eval_loss, num-examples; none is called 'eval_acc'",
        "much": "eval_acc = 1.5, which is not between 0 and 1",
    }.items():
        with pytest.raises(TrainingError, match=re.escape(says)):
            scored(own, mode)


def test_a_model_that_the_app_cannot_score_scores_worst(make: Make) -> None:
    own = make()
    huge = {name: np.full_like(tensor, 1e9) for name, tensor in own.initial_model(1).items()}
    score = own.evaluate(huge, data("picky"))
    assert (score.value, score.samples) == (0, 40)
    with pytest.raises(TrainingError, match="none is called"):
        own.evaluate(huge, data("keyless"))


def test_a_loss_as_the_score(make: Make) -> None:
    key = {"key": "eval_loss", "metric": "loss", "lower_is_better": True}
    own = make(score={**key, "between": [0, 2]})
    assert own.metric.lower_is_better
    assert scored(own, "good") == [0.0] * 30 + [2.0] * 10
    with pytest.raises(TrainingError, match="have it tell a list, one a sample, or say `between`"):
        scored(make(score=key), "good")


def test_what_all_must_share(make: Make, tmp_path: Path) -> None:
    def digest(own: FlowerWorkload) -> str:
        return digest_of(own, ("arrays",))

    plain = digest(make(run_config={"local-epochs": 2}))
    assert digest(make(run_config={"local-epochs": 2})) == plain
    assert digest(make({"run_config": "local-epochs=2"})) == plain, "the task may say what a file says"
    assert digest(make({"run_config": "local-epochs=3"}, run_config={"local-epochs": 2})) != plain
    assert digest(make(run_config={"local-epochs": 2}, version="2")) != plain
    compared = digest(make(run_config={"local-epochs": 2}, compare_app=True))
    (tmp_path / "client_app.py").write_text((tmp_path / "client_app.py").read_text() + "# of another\n")
    assert digest(make(run_config={"local-epochs": 2})) == plain, "each party may have an app of its own"
    assert digest(make(run_config={"local-epochs": 2}, compare_app=True)) not in (plain, compared)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"app": "client_app"}, "app is written module:name"),
        ({"app": "nowhere:app"}, "No module named 'nowhere'"),
        ({"app": "client_app:other"}, "client_app has no 'other'"),
        ({"model": "client_app:Broken"}, "RuntimeError: no model today"),
        ({"python": "no/such/python"}, "cannot run .*no/such/python .*`python` names the interpreter"),
        ({"ap": 1}, "ap is no key of a Flower app; there are app, model"),
        ({"timeout": 0}, "timeout: Input should be greater than 0"),
        ({"score": {"between": [2, 1]}}, "no least and largest"),
    ],
)
def test_an_entry_that_will_not_do(make: Make, entry: dict[str, object], says: str) -> None:
    with pytest.raises(WorkloadError, match=says):
        _ = make(**entry).shapes


def test_private_training_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="mods of its own"):
        make({"dp_clip": 1.0, "dp_noise": 1.0})
