"""Whole tasks: who is paid and why not, and that an outsider can replay all of it from the ledger and the artifacts."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import safetensors.numpy
from prometheus_client import REGISTRY
from quorumlearn import ckks
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.market import Market
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import Aggregate, PartialDecryption
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, ArtifactRef
from quorumlearn_proto.protocol import CARRIED

from tests.scenarios.stage import (
    FUNDS,
    PATIENCE,
    PER_ROUND,
    SEATS,
    NodeThread,
    Stage,
    assert_settled,
    payouts,
    running,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TASK = "eight-miners"
VERIFIERS = [f"{seat}/verifier" for seat in SEATS]
ROUNDS = 2
NOISE, COPY, COPIED = "miners1/miner4", "miners2/miner4", "miners2/miner3"
MINERS = {
    f"miners{organisation}/miner{number}": "honest" for organisation in (1, 2) for number in (1, 2, 3, 4)
} | {NOISE: "noise", COPY: "copy:miner3"}
KEPT = dict.fromkeys(VERIFIERS, frozenset({"specification", "seated"})) | dict.fromkeys(
    MINERS, frozenset({"specification", "joined"})
)
"""What is left in each journal once the task has ended."""


def transactions(function: str) -> float:
    """How many of them all nodes of this process have sent."""
    labels = {"function": f"blocks:{function}"}
    return REGISTRY.get_sample_value("quorumlearn_transaction_seconds_count", labels) or 0.0


@pytest.fixture(scope="module")
def played(stage: Stage) -> Stage:
    """The stage after a task of eight miners, two of them cheating."""
    stage.publish(
        TASK,
        rounds=ROUNDS,
        miners={"minimum": 7, "maximum": 8, "byzantine": 2},
        title="eight miners, two cheat",
    )
    before = {step: transactions(step) for step in CARRIED}
    with running(*(NodeThread(file) for file in stage.node_files(TASK, MINERS, workers=1).values())) as nodes:
        view = stage.played(TASK, nodes)
        until = time.monotonic() + PATIENCE
        while any(kept(stage, who) != names for who, names in KEPT.items()) and time.monotonic() < until:
            time.sleep(0.1)  # who did not act last hears of the end a moment later
    # of the first round's ceremony; the second's came along with the first round's steps
    for step in CARRIED:
        assert transactions(step) - before[step] == len(SEATS)
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in stage.market().rounds(TASK)] == [b.ACCEPTED] * ROUNDS
    return stage


def kept(stage: Stage, who: str) -> set[str]:
    """What somebody's journal of the task holds."""
    journal = stage.folder / "state" / who / TASK
    return {path.name for path in journal.rglob("*") if path.is_file()}


def test_cheats_are_rejected_in_every_round_and_the_reason_says_why(played: Stage) -> None:
    for round_ in played.market().rounds(TASK):
        verdicts = {verdict.miner: verdict for verdict in round_.selection.verdicts}
        assert len(verdicts) == len(MINERS)
        assert verdicts[played.name(NOISE)].reason == b.OUTLIER
        assert verdicts[played.name(COPY)].reason == b.DUPLICATE
        assert played.name(COPIED) in verdicts[played.name(COPY)].detail
        for who, behaviour in MINERS.items():
            verdict = verdicts[played.name(who)]
            assert (verdict.weight > 0) == (verdict.reason == b.CONTRIBUTES)
            if behaviour == "honest":
                assert verdict.reason in (b.CONTRIBUTES, b.NOT_SELECTED)
        assert sum(verdict.reason == b.CONTRIBUTES for verdict in verdicts.values()) >= len(MINERS) - 2 - 2


def test_cheats_are_unpaid_and_keep_their_stake_and_the_others_are_paid_by_weight(played: Stage) -> None:
    market = played.market()
    assert_settled(played, TASK, [*MINERS, *VERIFIERS])
    for cheat in (NOISE, COPY):
        assert payouts(market, played.name(cheat), TASK) == []
    for verifier in VERIFIERS:
        share = PER_ROUND * 2500 // 10_000 // len(SEATS)
        assert payouts(market, played.name(verifier), TASK) == [(1, share), (2, share)]
    assert market.account(played.name(NOISE)).balance == FUNDS
    assert market.totals().burnt == 0


def test_an_outsider_replays_every_block_from_the_ledger_and_the_artifacts(played: Stage) -> None:
    market, store = played.market("treasury/treasury"), played.store
    summary = market.task(TASK)
    spec = summary.task.spec
    parameters = parameters_of(spec)
    blocks = list(market.blocks(TASK))
    assert [block.core.height for block in blocks] == list(range(ROUNDS + 1))
    assert canonical.digest(spec) == summary.task.spec_digest == blocks[0].core.previous
    for block, previous in zip(blocks, [None, *blocks], strict=False):
        assert canonical.digest(block.core) == block.digest
        if previous is None:
            continue
        assert block.core.previous == previous.digest
        round_, submissions = market.round(TASK, block.core.round), _submissions(market, block.core.round)
        weights = {one.miner: one.weight for one in round_.selection.verdicts if one.weight}
        assert {one.miner: one.weight for one in block.core.verdicts if one.weight} == weights
        for miner, digest in zip(round_.miners, block.manifests, strict=True):
            assert (
                canonical.digest(submissions[miner].manifest) == digest == submissions[miner].manifest_digest
            )
        # The sum of the selected ciphertexts is what the verifiers say that they opened.
        total = ckks.aggregate(
            parameters,
            (
                (
                    weights[miner],
                    ckks.parse(parameters, store.get(submissions[miner].manifest.update, 1 << 30)),
                )
                for miner in round_.miners
                if miner in weights
            ),
        )
        assert total.digest().hex() == block.aggregate_ciphertext
        # Any two of the published partial decryptions open it, to the aggregate that the block names.
        partials = {}
        for one in market.round_view(TASK, round_.number).screenings:
            record = PartialDecryption.FromString(store.get(one.partial, 1 << 30))
            assert (record.ciphertext, record.purpose) == (block.aggregate_ciphertext, AGGREGATE_DECRYPTION)
            partials[one.seat] = record.residues
        assert len(partials) == len(SEATS)
        aggregate = Aggregate.FromString(_bytes_of(block.core.aggregate, played, 1 << 30))
        values = np.frombuffer(aggregate.values, dtype="<i8")
        for left_out in partials:
            two = {seat: partial for seat, partial in partials.items() if seat != left_out}
            assert (ckks.open_partials(parameters, total, two) == values).all()
        assert aggregate.weight_sum == sum(weights.values())
        # The next model is the one before plus the aggregate's mean, in plain numpy, to the last byte.
        before = safetensors.numpy.load(store.get(previous.core.model, 1 << 30))
        flat = np.concatenate([before[name].ravel().astype(np.float64) for name in sorted(before)])
        moved = (flat + values / aggregate.weight_sum / 2.0**parameters.step_bits).astype(np.float32)
        after = safetensors.numpy.load(store.get(block.core.model, 1 << 30))
        assert (np.concatenate([after[name].ravel() for name in sorted(after)]) == moved).all()
    assert summary.state.head.digest == blocks[-1].digest
    assert summary.state.head.model == blocks[-1].core.model


def test_the_report_says_the_same_as_the_ledger(played: Stage) -> None:
    told = played.on_ledger("task", "report", TASK, "--json")
    assert told.code == 0, told.err
    fields = json.loads(told.out)
    assert fields["outcomes"] == ["ACCEPTED"] * ROUNDS
    stakes = {stake.account_id: stake for stake in played.market().stakes(TASK)}
    for miner in fields["miners"]:
        stake = stakes[miner["id"]]
        assert (miner["paid"], miner["slashed"]) == (stake.paid, stake.slashed)
    verdicts = {miner["id"]: miner["verdicts"] for miner in fields["miners"]}
    assert verdicts[played.name(NOISE)] == ["OUTLIER"] * ROUNDS
    assert verdicts[played.name(COPY)] == ["DUPLICATE"] * ROUNDS


def test_the_owner_has_every_accepted_model(played: Stage) -> None:
    head = played.market().task(TASK).state.head
    models = played.folder / "state" / "owner" / "owner" / TASK
    assert (models / "model.safetensors").read_bytes() == played.store.get(head.model, 1 << 30)


def test_no_secret_of_an_ended_round_is_left(played: Stage) -> None:
    for who, names in KEPT.items():
        assert kept(played, who) == names


def _submissions(market: Market, number: int) -> dict[str, b.Submission]:
    return {one.miner: one for one in market.submissions(TASK, number)}


def _bytes_of(digest: str, stage: Stage, limit: int) -> bytes:
    """An artifact of which the ledger holds only the digest."""
    size = next(path.stat().st_size for path in stage.store_folder.rglob(digest))
    return stage.store.get(ArtifactRef(digest=digest, size=size), limit)
