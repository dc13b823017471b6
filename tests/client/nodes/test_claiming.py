"""What a miner claims is the sketch of what it encrypted, also after a restart; nothing of it outlives the round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quorumlearn import ckks
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import exchange, salts, sealing
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.miner import Miner
from quorumlearn.nodes.training import Told
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import CollectiveKey, SealedSalts

from tests.client.nodes.committee import Committee, committee_of
from tests.client.nodes.seats import Ledger, miner_in

ME = "M/a"


KEYS = {seat: sealing.new_key() for seat in (1, 2, 3)}


@pytest.fixture(scope="module")
def committee() -> Committee:
    return committee_of(3, 2, 3, security=128)


def started(folder: Path, behaviour: str = "honest") -> tuple[Miner, Ledger]:
    """The miner's node as it comes up in this folder."""
    ledger = Ledger()
    return miner_in(folder, ledger, me=ME, behaviour=behaviour), ledger


def view_of(c: Committee, store: ArtifactStore, phase: b.Phase) -> b.TaskView:
    spec = t.TaskSpec(task_id="t-1", ckks=record_of(c.parameters))
    spec.committee.CopyFrom(t.Committee(msp_ids=["A", "B", "C"], threshold=2))
    key = exchange.put(store, CollectiveKey(task_id="t-1", round=4, attempt=1, seats=[1, 2, 3], key=c.key))
    now = b.Round(task_id="t-1", number=4, phase=phase, miners=[ME], collective_key=key, seats=KEYS)
    now.base.digest = "ab" * 32
    if phase == b.REVEAL:
        now.beacon = c.plan.beacon.hex()
    state = t.TaskState(task_id="t-1", status=t.RUNNING, round=4)
    view = b.TaskView(task=t.Task(spec=spec), state=state, round=now, miners=[ME])
    for seat, private in KEYS.items():
        view.contributions.add(round=4, attempt=1, seat=seat, sealing_key=sealing.public_key(private))
    if phase == b.REVEAL:
        view.submissions.add(task_id="t-1", round=4, miner=ME)
    return view


def opened_by(c: Committee, store: ArtifactStore, manifest: b.Manifest) -> bytes:
    """The salt that every seat opens."""
    now = view_of(c, store, b.REVEAL).round
    found = {salts.opened(store, now, ME, manifest.salts, private, seat) for seat, private in KEYS.items()}
    (salt,) = found
    assert len(salt) == salts.BYTES
    return salt


@pytest.mark.parametrize("behaviour", ["honest", "overflow", "malformed"])
def test_a_restarted_miner_claims_the_values_that_it_had_encrypted(
    committee: Committee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    miner, ledger = started(tmp_path, behaviour)
    monkeypatch.setattr(miner.trainer, "learn", lambda view: (committee.values[ME], Told(10, 2)))
    assert miner.act(view_of(committee, miner.store, b.COMMIT))
    (function, _, _, digest) = ledger.taken[-1]
    assert function == "blocks:Commit"
    miner, ledger = started(tmp_path, behaviour)
    assert miner.act(view_of(committee, miner.store, b.REVEAL))
    (function, _, number, manifest, claim) = ledger.taken[-1]
    assert (function, number) == ("blocks:Reveal", "4")
    assert miner.journal.names() == []  # shown and claimed: nobody needs the values any more
    revealed = canonical.from_json(b.Manifest, manifest.encode())
    assert canonical.digest(revealed) == digest
    assert (revealed.sample_count, revealed.sample_class) == (10, 2)
    salt = opened_by(committee, miner.store, revealed)
    assert claim == ckks.claim(committee.parameters, committee.plan, committee.values[ME], ME, salt).hex()
    assert claim != committee.claims()[ME], "each round and each miner has a salt of its own"
    update = miner.store.get(revealed.update, committee.parameters.update_bytes)
    if behaviour == "honest":
        sketched = [committee.sketched_one(ME, update)]
        posted = {seat: replace(committee.posted(seat, sketched), salts={ME: salt}) for seat in KEYS}
        found = committee.opened(posted, {ME: claim}, sketched=sketched)
        np.testing.assert_allclose(found.sketches[ME], committee.plain(ME), atol=1e-9)


def test_what_is_in_the_store_before_the_reveal_phase_is_the_sealed_salt_and_nothing_else(
    committee: Committee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    miner, _ = started(tmp_path)
    monkeypatch.setattr(miner.trainer, "learn", lambda view: (committee.values[ME], Told(10, 2)))
    view = view_of(committee, miner.store, b.COMMIT)
    written: list[bytes] = []
    put = ArtifactStore.put
    monkeypatch.setattr(
        ArtifactStore,
        "put",
        lambda self, data, purpose=None: written.append(data) or put(self, data, purpose),
    )
    assert miner.act(view)
    (sealed,) = written
    record = SealedSalts.FromString(sealed)
    assert (record.miner, [box.recipient for box in record.boxes]) == (ME, list(KEYS))
    manifest = miner.journal.get("round-4/manifest")
    assert manifest is not None
    shown = canonical.from_json(b.Manifest, manifest)
    assert miner.store.has(shown.salts)
    assert not miner.store.has(shown.update)
    assert len(sealed) <= salts.most_bytes(len(KEYS)) < shown.update.size


def test_the_values_are_erased_once_the_round_has_ended(
    committee: Committee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    miner, _ = started(tmp_path)
    monkeypatch.setattr(miner.trainer, "learn", lambda view: (committee.values[ME], Told(10, 2)))
    view = view_of(committee, miner.store, b.COMMIT)
    miner.act(view)
    assert not miner.finished(view)
    assert miner.journal.get("round-4/claimed") is not None
    view.round.number = 5
    assert not miner.finished(view)
    assert miner.journal.names() == []
