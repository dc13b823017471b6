"""A node's terms: a task that breaks one is left alone, by a sentence that names term, limit and value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from quorumlearn import learning
from quorumlearn.artifacts import reference_of
from quorumlearn.cli import run
from quorumlearn.cli.example import task_example
from quorumlearn.cli.scene import make_scene
from quorumlearn.nodes import config, taskfile
from quorumlearn.nodes.tasksettings import TaskFile, rows
from quorumlearn.nodes.terms import Staking, Terms, broken_terms
from quorumlearn_network.spec import default_spec
from quorumlearn_proto import canonical
from quorumlearn_proto.task_pb2 import Task

DOCS = Path(__file__).resolve().parents[3] / "docs"
OWNER = "OwnerMSP/owner"
FILE: dict[str, Any] = {
    "id": "mnist-1",
    "workload": {"name": "mnist-mlp", "config": {"batch_size": "32", "learning_rate": "0.1"}},
    "public_blocks": ["top"],
    "rounds": 3,
    "miners": {"minimum": 5, "maximum": 6, "byzantine": 1},
    "committee": {"organisations": ["V1MSP", "V2MSP", "V3MSP"], "threshold": 2},
    "reward": {"per_round": 1000},
}
PRIVATE = {"batch_size": "32", "dp_clip": "1.0", "dp_noise": "1.0"}


def task(owner: str = OWNER, **changes: object) -> Task:
    file = TaskFile.model_validate({**FILE, **changes})
    model = reference_of(taskfile.initial_public_model(file))
    return Task(spec=taskfile.spec_of(file, model), owner=owner)


def terms(**accept: object) -> Terms:
    return Terms.model_validate(accept)


@pytest.mark.parametrize("role", ["miner", "verifier"])
def test_a_task_of_default_settings_breaks_no_default_term(role: Any) -> None:
    assert broken_terms(task(), Terms(), role, 300) == []


def test_the_demos_task_and_the_examples_break_no_default_term(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "demo", rounds=5, seed=7, data=None)
    scene.write(samples=1437)
    (tmp_path / "example.yaml").write_text(task_example(default_spec(2, 3, 3)))
    for path in (scene.folder / "task.yaml", tmp_path / "example.yaml"):
        file = taskfile.load(path)
        model = reference_of(taskfile.initial_public_model(file))
        made = Task(spec=taskfile.spec_of(file, model), owner=OWNER)
        for role in ("miner", "verifier"):
            assert broken_terms(made, Terms(), role, 1437 // 8) == []


BREACHES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"owners": ["Owner2MSP/*"]}, "accept.owners is [Owner2MSP/*]"),
    ({}, {"workloads": ["mnist-cnn"]}, "accept.workloads is [mnist-cnn]: the task's workload is mnist-mlp"),
    ({}, {"rules": ["mean", "nnm+*"]}, "accept.rules is [mean, nnm+*]: the task's rule is multi-krum"),
    (
        {"rule": {"name": "agreement", "parameters": {"slack": "4"}}},
        {"rule_parameters": {"slack": [1, 3]}},
        "accept.rule_parameters[slack] is 1 to 3: the task's rule has '4'",
    ),
    (
        {"stakes": {"miner": 1001, "verifier": 1001}},
        {},
        "accept.largest_stake is 1000: the task's stakes.ROLE is 1001",
    ),
    (
        {"stakes": {"miner_slash": 100, "verifier_slash": 150, "miner": 150}},
        {"largest_slash": 99},
        "accept.largest_slash is 99: the task's stakes.ROLE_slash is 1",
    ),
    ({"reward": {"per_round": 1}}, {}, "accept.least_reward is 1: the task's reward a round for a ROLE is 0"),
    *[
        (
            {"timeouts": {name: 1}},
            {},
            f"accept.shortest_timeouts.{name} is {least}: the task's timeouts.{name} is 1",
        )
        for name, least in Terms().shortest_timeouts.model_dump(by_alias=True).items()
        if name not in ("trace", "replay")
    ],
    (
        {},
        {"verifiers": ["V1MSP", "V2MSP"]},
        "accept.verifiers is [V1MSP, V2MSP]: the task's committee names V3MSP",
    ),
    (
        {"committee": {**FILE["committee"], "reserves": ["XMSP"]}},
        {"verifiers": ["V*"]},
        "accept.verifiers is [V*]: the task's committee names XMSP",
    ),
    ({}, {"least_threshold": 3}, "accept.least_threshold is 3: the task's committee.threshold is 2"),
    (
        {},
        {"least_threshold_share": "70%"},
        "accept.least_threshold_share is 70%: the task's committee.threshold is 2 of 3",
    ),
    (
        {"encryption": {"flooding_bits": 39}},
        {},
        "accept.least_flooding_bits is 40: the task's ckks.flooding_bits is 39",
    ),
]
OF_TRAINING: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"least_aggregate": 4}, "accept.least_aggregate is 4: the task's least opened sum is 3"),
    (
        {"reward": {"per_round": 100, "by": "contribution"}},
        {},
        "accept.regrouped_sums is false: the task pays by contribution, so each round opens sums of other groups",
    ),
    (
        {"workload": {"name": "mnist-mlp", "config": {"batch_size": "300"}}},
        {},
        "accept.least_local_steps is 5: the task's number of local steps on 300 samples is 1",
    ),
    (
        {"workload": {"name": "mnist-mlp", "config": {"learning_rate": "2"}}},
        {},
        "accept.largest_learning_rate is 1.0: the task's learning_rate is 2.0",
    ),
    ({}, {"largest_epsilon": 8}, "accept.largest_epsilon is 8: the task's training is not private"),
    (
        {"workload": {"name": "mnist-mlp", "config": PRIVATE}},
        {"largest_epsilon": 0.5},
        "accept.largest_epsilon is 0.5: the task's epsilon over 3 rounds is ",
    ),
]


@pytest.mark.parametrize("role", ["miner", "verifier"])
@pytest.mark.parametrize(("changes", "accept", "words"), BREACHES)
def test_a_term_that_is_broken_is_told_with_its_limit_and_what_the_task_has(
    changes: dict[str, Any], accept: dict[str, Any], words: str, role: Any
) -> None:
    (sentence,) = broken_terms(task(**changes), terms(**accept), role, 300)
    assert sentence.startswith(words.replace("ROLE", role))


def replayed(**changes: Any) -> Task:
    """A task whose training is replayed."""
    data = {"workload": "mnist-mlp", "digest": "ab" * 32, "size": 900, "chunks": 12, "chunk_samples": 320}
    recompute = {"data": data, "chunks_per_miner": 2, **changes.pop("recompute", {})}
    own: dict[str, Any] = {
        "mode": "recompute",
        "rule": {"name": "mean"},
        "public_blocks": ["all"],
        "recompute": recompute,
    }
    return task(**own, **changes)


@pytest.mark.parametrize("role", ["miner", "verifier"])
def test_a_task_that_is_replayed_breaks_no_default_term(role: Any) -> None:
    assert broken_terms(replayed(), Terms(), role) == []


@pytest.mark.parametrize("name", ["trace", "replay"])
def test_times_of_replay_are_looked_at_where_there_are_any(name: str) -> None:
    (sentence,) = broken_terms(replayed(timeouts={name: 5}), Terms(), "miner")
    assert sentence.startswith(f"accept.shortest_timeouts.{name} is ")


def test_a_seat_replays_no_more_than_it_likes_and_a_miner_does_not_mind() -> None:
    """20 segments of 1/20 of a training, all drawn, for 2 of 3 seats, of 6 miners."""
    asked = replayed(recompute={"segment_steps": 2, "drawn": 20})
    assert broken_terms(asked, Terms(), "verifier") == []
    words = (
        "accept.largest_replays is 3.0: the task's number of trainings that a seat replays in a round is 4.0"
    )
    assert broken_terms(asked, terms(largest_replays=3), "verifier") == [words]
    assert broken_terms(asked, terms(largest_replays=3), "miner") == []


def test_terms_that_protect_a_miners_data_do_not_hold_where_the_task_brings_its_own() -> None:
    strict = terms(
        least_local_steps=10**6, largest_learning_rate=0.01, largest_epsilon=0.1, least_aggregate=6
    )
    assert broken_terms(replayed(), strict, "miner") == []


def test_a_training_that_cannot_be_exact_here_breaks_the_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_: object) -> None:
        raise learning.WorkloadError("mnist-mlp cannot be trained exactly here")

    monkeypatch.setattr("quorumlearn.nodes.terms.training_of", refuses)
    roles: tuple[Staking, ...] = ("miner", "verifier")
    for role in roles:
        (sentence,) = broken_terms(replayed(), Terms(), role)
        assert sentence == "the task's workload cannot be had: mnist-mlp cannot be trained exactly here"


@pytest.mark.parametrize(("changes", "accept", "words"), OF_TRAINING)
def test_terms_of_training_are_a_miners(changes: dict[str, Any], accept: dict[str, Any], words: str) -> None:
    asked = task(**changes)
    (sentence,) = broken_terms(asked, terms(**accept), "miner", 300)
    assert sentence.startswith(words)
    assert broken_terms(asked, terms(**accept), "verifier") == []


def test_a_task_that_a_person_has_read_may_be_anybodys() -> None:
    asked = task()
    listed = terms(owners=[], specifications=[canonical.digest(asked.spec)])
    assert broken_terms(asked, listed, "verifier") == []
    asked.spec.rounds = 4
    (sentence,) = broken_terms(asked, listed, "verifier")
    assert sentence.startswith("accept.owners is [] and accept.specifications does not have ")


def test_an_initial_model_is_the_seeds_or_one_that_is_listed() -> None:
    asked, brought = task(), "1" * 64
    asked.spec.initial_model.digest = brought
    (sentence,) = broken_terms(asked, Terms(), "miner", 300)
    assert sentence == (
        f"accept.initial_models is []: the task's initial model {brought} is not what its seed gives"
    )
    assert broken_terms(asked, terms(initial_models=[brought]), "miner", 300) == []


def test_private_training_within_its_epsilon_breaks_no_term() -> None:
    asked = task(workload={"name": "mnist-mlp", "config": PRIVATE})
    workload = learning.get_workload("mnist-mlp", PRIVATE)
    cost = workload.epsilon([300] * 3)
    assert cost is not None
    assert broken_terms(asked, terms(largest_epsilon=cost + 0.01), "miner", 300) == []
    assert len(broken_terms(asked, terms(largest_epsilon=cost - 0.01), "miner", 300)) == 1


def test_the_cost_of_ten_thousand_rounds_is_found_as_soon_as_of_one() -> None:
    asked = task(workload={"name": "mnist-mlp", "config": PRIVATE})
    asked.spec.rounds = 10_000
    (sentence,) = broken_terms(asked, terms(largest_epsilon=8), "miner", 300)
    assert "epsilon over 10000 rounds is" in sentence


def test_a_workload_that_there_is_not_breaks_the_terms() -> None:
    asked = task()
    asked.spec.workload.name = "cifar"
    (sentence,) = broken_terms(asked, Terms(), "miner", 300)
    assert sentence.startswith("the task's workload cannot be had: workload 'cifar' is not installed here")


@pytest.mark.parametrize(
    ("field", "value"),
    [("stake", 5), ("largest_stake", -1), ("least_threshold_share", 50), ("shortest_timeouts", {"join": 5})],
)
def test_terms_that_are_wrong_are_refused_by_their_field(tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "node.yaml"
    identities = [{"user": "miner1", "role": "miner"}]
    node = {"organisation": "o", "store": "a", "state": "s", "identities": identities}
    path.write_text(yaml.safe_dump({**node, "accept": {field: value}}))
    with pytest.raises(config.ConfigError, match=f"accept.{field}"):
        config.load(path)


def test_the_page_of_the_docs_is_what_the_terms_give(capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "terms.md").read_text()
    assert run(["node", "check", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for key, default, what in rows(Terms, "accept."):
        assert what
        assert f"| `{key}` | {default} | {what} |" in page
        assert " ".join(f"{key} {default} {what}".split()) in shown
