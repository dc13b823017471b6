"""The noise of a private training comes from a secret of the miner's, and never from what everybody knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn.analysis import report_of
from quorumlearn.learning import get_workload
from quorumlearn.nodes.training import Trainer
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import Head

from tests.client.nodes.seats import miner_in

PRIVATE = {"dp_clip": "1.0", "dp_noise": "1.0", "dp_delta": "1e-05", "batch_size": "32"}


class NoContract:
    """A ledger that none of this may ask."""

    def evaluate(self, function: str, *args: str) -> bytes:
        raise AssertionError(function)

    def submit(self, function: str, *args: str) -> bytes:
        raise AssertionError(function)


def miner(folder: Path, key: bytes | None = None, me: str = "AMSP/miner1") -> Trainer:
    return miner_in(folder, NoContract(), me=me, noise_key=key).trainer


def now(number: int = 1, base: str = "aa") -> b.Round:
    return b.Round(task_id="private", number=number, base=Head(digest=base * 32))


def test_two_miners_of_one_name_draw_other_noise_unless_an_experiment_fixes_it(tmp_path: Path) -> None:
    one, other = miner(tmp_path / "one"), miner(tmp_path / "other")
    assert one.noise_seed(now()) != other.noise_seed(now())
    fixed, again = miner(tmp_path / "fixed", b"k" * 32), miner(tmp_path / "again", b"k" * 32)
    assert fixed.noise_seed(now()) == again.noise_seed(now())
    assert fixed.journal.names() == []
    assert fixed.noise_seed(now()) != miner(tmp_path / "x", b"k" * 32, "AMSP/miner2").noise_seed(now())


def test_a_restarted_miner_draws_the_same_noise_and_every_round_and_base_other(tmp_path: Path) -> None:
    seed = miner(tmp_path).noise_seed(now())
    assert miner(tmp_path).noise_seed(now()) == seed
    assert len({seed, miner(tmp_path).noise_seed(now(2)), miner(tmp_path).noise_seed(now(base="bb"))}) == 3


def test_the_secret_shows_in_no_repr(tmp_path: Path) -> None:
    assert "kkkk" not in repr(miner(tmp_path, b"k" * 32))


def task(config: dict[str, str]) -> t.TaskSpec:
    workload = t.Workload(name="mnist-cnn", config=config, public_blocks=["bottom", "top"])
    return t.TaskSpec(task_id="private", rounds=3, workload=workload)


def view(number: int, counts: dict[str, int | None]) -> b.TaskView:
    """A round in which each miner revealed an update of so many samples, or committed and did not reveal."""
    found = b.TaskView(round=b.Round(task_id="private", number=number, miners=sorted(counts)))
    for name, count in counts.items():
        submission = found.submissions.add(task_id="private", round=number, miner=name)
        if count is not None:
            submission.manifest.CopyFrom(
                b.Manifest(task_id="private", round=number, miner=name, sample_count=count)
            )
    return found


def test_the_report_accounts_for_every_update_that_a_miner_revealed() -> None:
    views = [view(1, {"a": 300, "b": 300}), view(2, {"a": 300, "b": None}), view(3, {"a": 600, "b": None})]
    report = report_of(task(PRIVATE), views, [], {})
    workload = get_workload("mnist-cnn", PRIVATE)
    assert report.delta == 1e-5
    spent = {one.miner: one.epsilon for one in report.miners}
    assert spent == {"a": workload.epsilon([300, 300, 600]), "b": workload.epsilon([300])}
    assert spent["a"] is not None
    assert spent["b"] is not None
    assert spent["a"] > spent["b"] > 0


@pytest.mark.parametrize("config", [{}, {"dp_clip": "no number"}])
def test_a_task_that_is_not_private_or_cannot_be_played_has_no_epsilon(config: dict[str, str]) -> None:
    report = report_of(task(config), [view(1, {"a": 300})], [], {})
    assert report.delta is None
    assert [one.epsilon for one in report.miners] == [None]
