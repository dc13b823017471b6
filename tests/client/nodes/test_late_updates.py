"""Which update a miner sends: of this round and this base, or a late one where the task takes it and it was sent nowhere yet."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
from quorumlearn import learning
from quorumlearn.learning import Samples, get_workload
from quorumlearn.nodes import exchange
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.miner import Miner
from quorumlearn.nodes.models import workload_of, workload_record
from quorumlearn.nodes.training import Workshop
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import CollectiveKey
from quorumlearn_proto.page_pb2 import BlockPage, SubmissionPage
from structlog.testing import capture_logs

from tests.client.nodes.committee import Committee, committee_of
from tests.client.nodes.seats import Ledger, miner_in

ME = "M/a"
PUBLIC = ["bottom"]
SIZE = learning.size_of(learning.public_shapes(get_workload("mnist-cnn", {}).shapes, PUBLIC))


class History(Ledger):
    """A ledger with blocks, by the height of each, and what this miner has committed, by round."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: dict[int, b.BlockStatus] = {0: b.GOOD_BLOCK, 1: b.GOOD_BLOCK}
        self.committed: dict[int, str] = {}

    def evaluate(self, function: str, *args: str) -> bytes:
        if function == "blocks:Blocks":
            blocks = [b.Block(digest=block(height), status=status) for height, status in self.blocks.items()]
            return BlockPage(blocks=blocks).SerializeToString()
        assert function == "blocks:Submissions"
        miner = self.committed.get(int(args[1]))
        return SubmissionPage(submissions=[b.Submission(miner=miner)] if miner else []).SerializeToString()


def block(height: int) -> str:
    return f"{height:02d}" * 32


def some_samples(_: object = None) -> Samples:
    random = np.random.default_rng(1)
    return Samples(random.random((32, 1, 28, 28), dtype=np.float32), random.integers(0, 10, 32))


@pytest.fixture(scope="module")
def committee() -> Committee:
    return committee_of(3, 2, 3, security=128, size=SIZE)


class Task:
    """A miner's node in its folder, and what it sees of the task."""

    def __init__(self, folder: Path, committee: Committee, late_rounds: int = 0) -> None:
        self.folder, self.committee, self.ledger = folder, committee, History()
        config = {"late_rounds": str(late_rounds)} if late_rounds else {}
        self.spec = t.TaskSpec(
            task_id="t-1",
            ckks=record_of(committee.parameters),
            workload=workload_record(get_workload("mnist-cnn", config), PUBLIC),
        )
        self.spec.committee.CopyFrom(t.Committee(msp_ids=["A", "B", "C"], threshold=2))
        self.miner = self.started()

    def started(self) -> Miner:
        return miner_in(self.folder, self.ledger, some_samples, me=ME)

    def view(self, number: int, height: int, phase: b.Phase = b.KEY) -> b.TaskView:
        """Round `number` on the block of this height: each block's model is another."""
        store = self.miner.store
        initial = learning.split(workload_of(self.spec).initial_model(height), PUBLIC)[0]
        key = exchange.put(
            store,
            CollectiveKey(task_id="t-1", round=number, attempt=1, seats=[1, 2, 3], key=self.committee.key),
        )
        now = b.Round(task_id="t-1", number=number, phase=phase, miners=[ME], collective_key=key)
        now.base.digest = block(height)
        now.base.model.CopyFrom(store.put(learning.to_bytes(initial)))
        state = t.TaskState(task_id="t-1", status=t.RUNNING, round=number)
        return b.TaskView(task=t.Task(spec=self.spec), state=state, round=now, miners=[ME])

    def acts(self, view: b.TaskView) -> list[str]:
        """What the log says that the miner did."""
        with capture_logs() as logs:
            self.miner.act(view)
        return [one["event"] for one in logs]

    def manifest(self, number: int) -> b.Manifest:
        """The one that the miner has committed to last, as its journal holds it."""
        kept = self.miner.journal.get(f"round-{number}/manifest")
        assert kept is not None
        (*_, (function, task, round_, digest)) = self.ledger.taken
        assert (function, task, round_) == ("blocks:Commit", "t-1", str(number))
        manifest = canonical.from_json(b.Manifest, kept)
        assert digest == canonical.digest(manifest)
        update = self.miner.journal.get(f"round-{number}/update")
        assert update is not None
        assert manifest.update.digest == hashlib.sha256(update).hexdigest()
        return manifest


@pytest.mark.parametrize("restarts", [False, True])
def test_what_was_made_on_another_base_is_not_sent(
    tmp_path: Path, committee: Committee, restarts: bool
) -> None:
    """A commit that was lost, and a block reverted before it was sent again: the update is learned anew from the base that holds."""
    task = Task(tmp_path, committee)
    assert task.acts(task.view(2, 1, b.COMMIT)) == ["trained", "committed"]
    on_reverted = task.manifest(2)
    assert on_reverted.base_block == block(1)
    if restarts:
        task.miner = task.started()
    assert task.acts(task.view(2, 0, b.COMMIT)) == ["trained", "committed"]
    assert task.manifest(2).base_block == block(0)
    assert task.manifest(2).update != on_reverted.update


def test_what_was_made_on_this_base_is_sent_again_as_it_is(tmp_path: Path, committee: Committee) -> None:
    task = Task(tmp_path, committee)
    task.acts(task.view(2, 1, b.COMMIT))
    made = task.manifest(2)
    task.miner = task.started()
    assert task.acts(task.view(2, 1, b.COMMIT)) == ["committed"]
    assert task.manifest(2) == made


def test_an_update_that_missed_its_round_is_sent_in_a_later_one(tmp_path: Path, committee: Committee) -> None:
    task = Task(tmp_path, committee, late_rounds=2)
    assert task.acts(task.view(1, 0)) == ["trained"]
    assert task.acts(task.view(3, 1, b.COMMIT)) == ["late update", "committed"]
    manifest = task.manifest(3)
    assert (manifest.round, manifest.base_block) == (3, block(1))


@pytest.mark.parametrize(
    ("late_rounds", "number", "sent", "base", "late"),
    [
        (0, 2, {}, b.GOOD_BLOCK, False),  # the task takes none
        (1, 2, {}, b.GOOD_BLOCK, True),
        (1, 3, {}, b.GOOD_BLOCK, False),  # too late
        (2, 3, {}, b.GOOD_BLOCK, True),
        (2, 3, {1: ME}, b.GOOD_BLOCK, False),  # sent in its own round
        (2, 3, {2: ME}, b.GOOD_BLOCK, False),  # sent late already
        (2, 3, {1: "M/b", 2: "M/b"}, b.GOOD_BLOCK, True),
        (2, 3, {}, b.REVERTED, False),  # learned from a model that is no good
    ],
)
def test_an_update_is_late_only_if_it_is_fresh_unsent_and_of_a_good_block(
    tmp_path: Path,
    committee: Committee,
    late_rounds: int,
    number: int,
    sent: dict[int, str],
    base: b.BlockStatus,
    late: bool,
) -> None:
    task = Task(tmp_path, committee, late_rounds)
    assert task.acts(task.view(1, 0)) == ["trained"]
    task.ledger.committed = sent
    task.ledger.blocks[0] = base
    assert task.acts(task.view(number, 1)) == (["late update"] if late else ["trained"])


def test_a_late_update_is_the_one_that_was_learned(tmp_path: Path, committee: Committee) -> None:
    task = Task(tmp_path, committee, 1)
    trainer = task.miner.trainer
    first = trainer.learn(task.view(1, 0))
    late = trainer.learn(task.view(2, 1))
    assert first is not None
    assert late is not None
    np.testing.assert_array_equal(first[0], late[0])


def test_a_miner_that_leaves_an_update_removes_no_other_of_its_round_and_all_earlier_ones() -> None:
    workshop = Workshop(threading.Semaphore(1), threading.Event())
    updates = {
        place: np.full(3, value) for value, place in enumerate((("t", 1, "a"), ("t", 1, "b"), ("u", 1, "a")))
    }
    for place, values in updates.items():
        workshop.leave(*place, values)
    for place, values in updates.items():
        assert workshop.find(*place) is values
    workshop.leave("t", 2, "a", np.full(3, 7))
    assert workshop.find("t", 1, "a") is None
    assert workshop.find("t", 2, "b") is None
    assert workshop.find("u", 1, "a") is updates["u", 1, "a"]
    assert workshop.find("t", 2, "a") is not None
