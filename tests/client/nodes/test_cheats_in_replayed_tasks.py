"""Every behaviour that a node's file can name is played by a miner's whole part of one round that is replayed: who did not do its work is
WRONG_WORK at every seat, and nobody else is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from quorumlearn import ckks
from quorumlearn.attacks import BEHAVIOURS, make_behaviour
from quorumlearn.nodes import exchange
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.miner import Miner
from quorumlearn.nodes.training import Trainer
from quorumlearn.nodes.work.minerkey import MinerKey
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto.artifact_pb2 import CollectiveKey
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.client.nodes.played_work import SEATS, PlayedWork
from tests.client.nodes.seats import Ledger, no_samples

GOOD = ("honest", "withhold", "malformed", "overflow", "replay-ciphertext", "replay-rerandomised")
"""They do their work, and what they do wrong is seen elsewhere."""
FIRST = ("replay-plaintext",)
"""In the first round there is nothing to send again."""
NEEDS = {"copy": ":first", "mimic": ":first", "thief": ":first", "skipper": ":1"} | dict.fromkeys(
    ("alie", "inner-product", "adaptive"), ":first,second"
)
LEFT_OUT = ("backdoor",)
"""It marks images, and these samples are points."""
NAMES = [name for name in BEHAVIOURS if name not in LEFT_OUT]


def miner(played: PlayedWork, name: str, behaviour: str) -> tuple[Miner, Ledger]:
    """A miner's node as it comes up, and what it has sent."""
    ledger = Ledger()
    me, market, made = f"M/{name}", Market(ledger), make_behaviour(behaviour)
    tracer = played.tracer(me, behaviour)
    trainer = Trainer(
        me=me,
        market=market,
        store=played.store,
        journal=tracer.journal,
        workshop=played.workshop,
        shard=no_samples,
        behaviour=made,
    )
    key = MinerKey(me, tracer.journal, market)
    return (
        Miner(me, market, played.store, tracer.journal, trainer, tracer, key, made, ckks.Workers(0)),
        ledger,
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayedWork]:
    """A round of one miner for each behaviour, and two honest ones whom some of them watch."""
    made = PlayedWork(
        tmp_path_factory.mktemp("cheats"), [f"M/{name}" for name in ("first", "second", *NAMES)], segments=4
    )
    p = made.parameters
    shares = {seat: ckks.new_key_share(p, b"common").public for seat in SEATS}
    record = CollectiveKey(
        task_id="task", round=1, attempt=1, seats=SEATS, key=ckks.collective_key(p, b"common", shares)
    )
    made.view.round.collective_key.CopyFrom(exchange.put(made.store, record))
    made.view.miners.extend(made.view.round.miners)
    nodes = {
        name: miner(made, name, "honest" if name in ("first", "second") else name + NEEDS.get(name, ""))
        for name in ("first", "second", *NAMES)
    }
    view = made.view
    for name, (node, ledger) in nodes.items():
        node.act(view)
        assert [call[0] for call in ledger.taken] == ["blocks:Commit"], name
        view.submissions.add(task_id="task", round=1, miner=f"M/{name}", manifest_digest=ledger.taken[0][3])
    view.round.phase, view.round.beacon = b.REVEAL, "be" * 32
    for name, (node, ledger) in nodes.items():
        node.act(view)
        if name != "withhold":
            function, _, _, manifest, claim = ledger.taken[1]
            assert function == "blocks:Reveal", name
            one = made.submission(f"M/{name}")
            one.claim = claim
            one.manifest.CopyFrom(canonical.from_json(b.Manifest, manifest.encode()))
    view.round.phase = b.TRACE
    for name, (node, ledger) in nodes.items():
        node.act(view)
        if name not in ("withhold", "no-trace"):
            function, _, _, ref = ledger.taken[2]
            assert function == "blocks:OpenTrace", name
            made.submission(f"M/{name}").opening.CopyFrom(canonical.from_json(ArtifactRef, ref.encode()))
    view.round.phase = b.REPLAY
    made.report(*SEATS)
    made.show(*SEATS)
    yield made


@pytest.mark.parametrize("seat", SEATS)
def test_who_has_not_done_its_work_is_wrong_and_nobody_else(played: PlayedWork, seat: int) -> None:
    found = played.seat(seat).confirmed(played.view, last=False)
    assert found.false == ()
    assert {one.reason for one in found.unsound.values()} == {b.WRONG_WORK}
    wrong = sorted(who.removeprefix("M/") for who in found.unsound)
    assert wrong == sorted(set(NAMES) - {*GOOD, *FIRST, "no-trace"})


def test_what_a_cheat_forged_is_seen_by_its_segments_and_another_update_by_the_last_checkpoint(
    played: PlayedWork,
) -> None:
    found = played.seat(1).confirmed(played.view, last=False).unsound
    last = {
        who.removeprefix("M/") for who, one in found.items() if one.proof is not None and one.proof.item == 5
    }
    trained = {name for name in NAMES if make_behaviour(name + NEEDS.get(name, "")).trains}
    assert last == {
        name for name in ("sign-flip", "scaling", "alie", "inner-product", "adaptive") if name in trained
    }


def test_nothing_of_the_training_is_left_in_a_journal_once_it_is_opened(played: PlayedWork) -> None:
    journal = Journal(played.folder / "journals" / "M" / "honest")
    assert journal.get("round-1/claimed") is None
    assert not (journal.folder / "round-1").exists()
