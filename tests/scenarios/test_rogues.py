"""Miners that send what they should not, by hand: each gets its reason, nobody else is harmed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from quorumlearn import ckks
from quorumlearn.nodes import exchange, salts
from quorumlearn.nodes.encryption import parameters_of, polynomial_bytes
from quorumlearn.nodes.market import Refused
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import CollectiveKey, SealedSalts
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.scenarios import crafted
from tests.scenarios.stage import SEATS, NodeThread, Stage, assert_settled, at, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TASK = "rogues"
NO_CLAIM = "00" * 32
SALT = bytes(salts.BYTES)
TRUE_CLAIMS_OF_ONES = ("adds to its mask", "keeps its salt")
HONEST = {f"miners1/miner{number}": "honest" for number in (1, 2, 3)}
Update = Callable[[ckks.Parameters, bytes], bytes]


def _garbage(parameters: ckks.Parameters, key: bytes) -> bytes:
    return os.urandom(parameters.update_bytes)


def _short(parameters: ckks.Parameters, key: bytes) -> bytes:
    return crafted.zeros(parameters, key)[:-1]


ROGUES: dict[str, tuple[str, Update, b.Reason]] = {
    "keeps its update": ("miners2/miner1", crafted.zeros, b.MISSING_ARTIFACT),
    "corrupts its update": ("miners2/miner2", crafted.zeros, b.MISSING_ARTIFACT),
    "sends garbage": ("miners2/miner3", _garbage, b.MALFORMED),
    "sends residues over their primes": ("miners2/miner4", crafted.over_their_primes, b.MALFORMED),
    "sends too few bytes": ("miners2/miner5", _short, b.MALFORMED),
    "sends a message in the clear": ("miners2/miner6", crafted.in_the_clear, b.MALFORMED),
    "overflows": ("miners2/miner7", crafted.overflowing, b.OUT_OF_RANGE),
    "sends random residues": ("miners2/miner8", crafted.random_residues, b.OUT_OF_RANGE),
    "sends zeros": ("miners2/miner9", crafted.zeros, b.OUT_OF_RANGE),
    "adds to its mask": ("miners1/miner4", crafted.with_a_foreign_mask, b.FALSE_CLAIM),
    "claims what it has not": ("miners1/miner5", crafted.ones, b.FALSE_CLAIM),
    "keeps its salt": ("miners1/miner6", crafted.ones, b.FALSE_CLAIM),
    "reveals the update of another": ("miners1/miner8", crafted.zeros, b.WITHHELD),
    "reveals something else": ("miners1/miner9", crafted.zeros, b.WITHHELD),
}


@dataclass
class Played:
    """What came of the rogues' task: their refusals on the way, and the round at its end."""

    stage: Stage
    view: b.TaskView = field(default_factory=b.TaskView)
    refusals: dict[str, str] = field(default_factory=dict)

    def refused(self, what: str, call: Callable[[], None]) -> None:
        with pytest.raises(Refused) as caught:
            call()
        self.refusals[what] = caught.value.code

    def verdict(self, who: str) -> b.Verdict:
        return next(one for one in self.view.round.selection.verdicts if one.miner == self.stage.name(who))


@pytest.fixture(scope="module")
def miners_each() -> int:
    return 9


@pytest.fixture(scope="module")
def played(stage: Stage) -> Played:
    """One round with three honest miners and all the rogues."""
    outcome = Played(stage)
    with running(*(NodeThread(file) for file in stage.node_files(TASK, HONEST).values())) as nodes:
        rogues = [who for who, _, _ in ROGUES.values()]
        count = len(HONEST) + len(rogues)
        spec = stage.publish(
            TASK,
            rounds=1,
            miners={"minimum": 3, "maximum": count, "byzantine": (count - 1) // 2},
            timeouts={"reveal": 15},
        )
        for who in rogues:
            stage.market(who).join(TASK)
        stage.wait(TASK, at(1, b.COMMIT), nodes)
        manifests = _commit_all(stage, spec, outcome)
        stage.wait(TASK, at(1, b.REVEAL), nodes)
        _reveal_all(stage, manifests, outcome)
        outcome.view = stage.played(TASK, nodes)
    return outcome


def _commit_all(stage: Stage, spec: t.TaskSpec, outcome: Played) -> dict[str, b.Manifest]:
    parameters = parameters_of(spec)
    view = stage.market().view(TASK)
    round_ = view.round
    record = exchange.get(stage.store, CollectiveKey, round_.collective_key, polynomial_bytes(parameters))
    manifests: dict[str, b.Manifest] = {}
    for name, (who, make, _) in ROGUES.items():
        ref = stage.store.put(make(parameters, record.key))
        if name == "keeps its update":
            assert stage.store.delete(ref)
        if name == "corrupts its update":
            path = next(stage.store_folder.rglob(ref.digest))
            path.write_bytes(bytes(ref.size))
        if name == "reveals the update of another":
            ref = manifests["sends zeros"].update
        manifests[name] = b.Manifest(
            task_id=TASK,
            round=1,
            miner=stage.name(who),
            base_block=round_.base.digest,
            update=ref,
            salts=stage.store.put(_salts(view, stage.name(who), name)),
        )
    first = next(iter(ROGUES))
    early, digest = stage.market(ROGUES[first][0]), canonical.digest(manifests[first])
    outcome.refused("reveal before the phase", lambda: early.reveal(TASK, 1, manifests[first], NO_CLAIM))
    outcome.refused("commit of no digest", lambda: early.commit(TASK, 1, "no digest"))
    outcome.refused("commit to another round", lambda: early.commit(TASK, 2, digest))
    outcome.refused("commit to another task", lambda: early.commit("no-such-task", 1, digest))
    outcome.refused("commit of a stranger", lambda: stage.market("miners1/miner7").commit(TASK, 1, digest))
    outcome.refused(
        "commit of a verifier", lambda: stage.market("verifier1/verifier").commit(TASK, 1, digest)
    )
    for name, manifest in manifests.items():
        market = stage.market(ROGUES[name][0])
        market.commit(TASK, 1, canonical.digest(manifest))
        if name == first:
            outcome.refused("second commit", lambda: early.commit(TASK, 1, "cd" * 32))
    return manifests


def _salts(view: b.TaskView, who: str, name: str) -> bytes:
    if name == "keeps its salt":
        return SealedSalts(task_id=TASK, round=1, miner=who).SerializeToString()
    return salts.sealed(view, who, SALT)


def _reveal_all(stage: Stage, manifests: dict[str, b.Manifest], outcome: Played) -> None:
    for name, manifest in manifests.items():
        market = stage.market(ROGUES[name][0])
        if name == "reveals something else":
            other = b.Manifest()
            other.CopyFrom(manifest)
            other.update.CopyFrom(ArtifactRef(digest="ef" * 32, size=manifest.update.size))
            outcome.refused("reveal that does not match", lambda: market.reveal(TASK, 1, other, NO_CLAIM))  # noqa: B023
        elif name == "reveals the update of another":
            outcome.refused("reveal of a known update", lambda: market.reveal(TASK, 1, manifest, NO_CLAIM))  # noqa: B023
        else:
            market.reveal(TASK, 1, manifest, _claimed(stage, name))
    first = next(iter(ROGUES))
    market = stage.market(ROGUES[first][0])
    outcome.refused("second reveal", lambda: market.reveal(TASK, 1, manifests[first], NO_CLAIM))
    outcome.refused("late commit", lambda: market.commit(TASK, 1, "cd" * 32))
    late = "reveals something else"
    stage.wait(TASK, at(1, b.SCREEN), [])
    market = stage.market(ROGUES[late][0])
    outcome.refused("late reveal", lambda: market.reveal(TASK, 1, manifests[late], NO_CLAIM))


def _claimed(stage: Stage, name: str) -> str:
    """What a rogue claims: the truth where it has any, else what its update would have without the tampering."""
    view = stage.market().view(TASK)
    parameters = parameters_of(view.task.spec)
    plan = ckks.SketchPlan.from_beacon(parameters, bytes.fromhex(view.round.beacon))
    fill = 1 if name in TRUE_CLAIMS_OF_ONES else 0
    values = np.full(parameters.update_size, fill, dtype=np.int64)
    return ckks.claim(parameters, plan, values, stage.name(ROGUES[name][0]), SALT).hex()


@pytest.mark.parametrize("name", ROGUES)
def test_each_rogue_has_its_reason(played: Played, name: str) -> None:
    who, _, reason = ROGUES[name]
    verdict = played.verdict(who)
    assert (b.Reason.Name(verdict.reason), verdict.weight) == (b.Reason.Name(reason), 0)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("reveal before the phase", "WRONG_PHASE"),
        ("commit of no digest", "BAD_ARGUMENT"),
        ("commit to another round", "NO_SUCH_ROUND"),
        ("commit to another task", "NO_SUCH_TASK"),
        ("commit of a stranger", "WRONG_ROLE"),
        ("commit of a verifier", "WRONG_ORGANISATION"),
        ("second commit", "ALREADY_COMMITTED"),
        ("reveal that does not match", "DIGEST_MISMATCH"),
        ("reveal of a known update", "DUPLICATE_UPDATE"),
        ("second reveal", "ALREADY_REVEALED"),
        ("late commit", "WRONG_PHASE"),
        ("late reveal", "WRONG_PHASE"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_code(played: Played, what: str, code: str) -> None:
    assert played.refusals[what] == code


def test_the_honest_are_paid_and_only_the_rogues_slashed(played: Played) -> None:
    assert played.view.round.outcome == b.ACCEPTED
    for who in HONEST:
        assert played.verdict(who).reason == b.CONTRIBUTES
    rogues = {who: 20 for who, _, _ in ROGUES.values()}
    parties = [*HONEST, *rogues, *(f"{seat}/verifier" for seat in SEATS)]
    assert_settled(played.stage, TASK, parties, rogues)
