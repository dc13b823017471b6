"""Where pay is by contribution: seats open the sums of the groups that are authorised, name who lies in one, and score coalitions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore, reference_of
from quorumlearn.nodes import candidate
from quorumlearn.nodes.committee import guard, round_part
from quorumlearn.nodes.committee.guard import NotAuthorised
from quorumlearn.nodes.committee.scoring import Scorer
from quorumlearn.nodes.committee.validation import Validator
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.models import workload_record
from quorumlearn.nodes.sums import Sums, Values
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import PartialDecryption
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION
from quorumlearn_proto.contribution import UNIT, contributions_fault, divided, sums_of
from quorumlearn_proto.derived import weights_of

from tests.client.nodes.committee import committee_of
from tests.client.nodes.played_round import SEATS, Played
from tests.client.nodes.test_judging_candidates import PUBLIC, SIZE, WORKLOAD, few_samples

MINERS = ("M/a", "M/b", "M/c", "M/d")


class Grouped(Played):
    """A round of four contributors, whom the beacon divides into two groups of two."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, committee_of(3, 2, 4, security=128))
        self.view.round.miners[:] = MINERS
        for spec in (self.spec, self.view.task.spec):
            spec.reward.by_contribution = True

    def selected(self) -> None:
        now = self.view.round
        for miner in MINERS:
            now.selection.verdicts.add(miner=miner, weight=2, reason=b.CONTRIBUTES)
        groups = divided(self.spec, now.beacon, [], weights_of(now.selection.verdicts))
        now.groups[:] = [groups[miner] for miner in MINERS]
        self.view.opened.groups.extend(b.MinerGroup(miners=sorted(group)) for group in sums_of(now))
        self.authorise(AGGREGATE_DECRYPTION)

    @property
    def values(self) -> Values:
        """What the groups' updates come to, shape (2, d)."""
        return np.stack(
            [
                sum(weight * self.committee.values[miner] for miner, weight in one.items())
                for one in sums_of(self.view.round)
            ]
        )

    def spoil(self, seat: int, change: Callable[[bytes], bytes]) -> None:
        """Have a seat post another partial decryption than it made."""
        posted = next(one for one in self.view.screenings if one.seat == seat)
        record = PartialDecryption.FromString(self.store.get(posted.partial, 1 << 30))
        record.residues = change(record.residues)
        posted.partial.CopyFrom(self.store.put(record.SerializeToString(deterministic=True)))


@pytest.fixture
def grouped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grouped:
    monkeypatch.setattr(round_part, "WAIT_SECONDS", 0.01)
    played = Grouped(tmp_path)
    played.screened()
    played.shown(*SEATS)
    played.selected()
    return played


def test_the_seats_open_the_sum_of_each_group_and_the_proposer_opens_the_same(grouped: Grouped) -> None:
    grouped.decrypted()
    for seat in SEATS:
        found = grouped.seat(seat).verified(grouped.view, grace_over=False)
        assert (found.false, found.undecided) == ((), "")
        assert found.values is not None
        np.testing.assert_array_equal(found.values, grouped.values)
    opened = candidate.open_agreed(
        grouped.store, grouped.committee.parameters, grouped.view.round, grouped.view.screenings
    )
    np.testing.assert_array_equal(opened, grouped.values)


@pytest.mark.parametrize("group", [0, 1])
def test_a_seat_whose_partial_decryption_is_false_for_one_group_is_named(
    grouped: Grouped, group: int
) -> None:
    grouped.decrypted()
    total = candidate.aggregate_of(grouped.store, grouped.committee.parameters, grouped.view.round)
    foreign = total.partial_decrypt(grouped.committee.foreign[3])
    half = len(foreign) // 2

    def spoilt(own: bytes) -> bytes:
        return foreign[:half] + own[half:] if group == 0 else own[:half] + foreign[half:]

    grouped.spoil(3, spoilt)
    found = grouped.seat(1).verified(grouped.view, grace_over=False)
    assert [(one.seat, one.fault) for one in found.false] == [(3, b.BAD_PARTIAL)]
    assert found.values is not None
    np.testing.assert_array_equal(found.values, grouped.values)
    with pytest.raises(ckks.BadPartial):
        candidate.open_agreed(
            grouped.store, grouped.committee.parameters, grouped.view.round, grouped.view.screenings
        )


@pytest.mark.parametrize(
    "change",
    [
        lambda own: own[: len(own) // 2],
        lambda own: own[:-1],
        lambda own: own + b"x",
        lambda own: own[len(own) // 2 :] + own[: len(own) // 2],
    ],
    ids=["of one sum", "cut off", "more", "changed about"],
)
def test_a_partial_decryption_that_is_not_of_these_sums_is_named(
    grouped: Grouped, change: Callable[[bytes], bytes]
) -> None:
    grouped.decrypted()
    grouped.spoil(2, change)
    found = grouped.seat(1).verified(grouped.view, grace_over=False)
    assert [(one.seat, one.fault) for one in found.false] == [(2, b.BAD_PARTIAL)]
    assert found.values is not None


def swapped(one: b.TaskView) -> None:
    """A miner against one of the other group, in all records that say it."""
    groups = list(one.round.groups)
    first, second = groups.index(1), groups.index(2)
    groups[first], groups[second] = groups[second], groups[first]
    one.round.groups[:] = groups
    given = one.authorisations[-1]
    given.groups[:] = groups
    one.opened.ClearField("groups")
    one.opened.groups.extend(b.MinerGroup(miners=sorted(group)) for group in sums_of(one.round))


def alone(one: b.TaskView) -> None:
    """Three against one."""
    one.round.groups[:] = [1, 1, 1, 2]
    one.authorisations[-1].groups[:] = [1, 1, 1, 2]
    one.opened.ClearField("groups")
    one.opened.groups.extend(b.MinerGroup(miners=sorted(group)) for group in sums_of(one.round))


def undivided(one: b.TaskView) -> None:
    one.round.ClearField("groups")
    one.authorisations[-1].ClearField("groups")
    one.authorisations[-1].openings = 1


FORGED: dict[str, Callable[[b.TaskView], object]] = {
    "another division": swapped,
    "a miner alone": alone,
    "one sum": undivided,
    "another in the authorisation": lambda one: one.authorisations[-1].groups.__setitem__(
        slice(0, 4), [1, 2, 2, 1]
    ),
    "a sum more": lambda one: setattr(one.authorisations[-1], "openings", 3),
    "earlier sums that were not": lambda one: one.authorisations[-1].alike.add(miners=list(MINERS[:3])),
}


@pytest.mark.parametrize("forge", FORGED)
def test_a_division_that_the_beacon_does_not_give_is_not_opened(grouped: Grouped, forge: str) -> None:
    before = grouped.journal(1).names()
    FORGED[forge](grouped.view)
    with pytest.raises(NotAuthorised, match="is refused"):
        grouped.seat(1).partial(grouped.view)
    assert grouped.journal(1).names() == before


def test_sums_that_show_one_miner_beside_what_was_opened_on_the_base_are_refused(grouped: Grouped) -> None:
    """Whatever division the ledger shows, each sum is held against the base's groups."""
    apart = [group for one in sums_of(grouped.view.round) for group in ([miner] for miner in one)]
    del grouped.view.opened.groups[:]
    grouped.view.opened.groups.extend(b.MinerGroup(miners=group) for group in apart)
    assert "only 1 miners are weighed like" in guard.fault(grouped.view, grouped.view.authorisations[-1])


def test_one_sum_is_its_ciphertexts_to_the_byte() -> None:
    c = committee_of(3, 2, 3)
    total = ckks.parse(c.parameters, c.update(c.values["M/a"]))
    one = Sums(c.parameters, (total,))
    assert one.to_bytes() == total.to_bytes()
    assert one.digest == total.digest().hex()
    assert one.partial_decrypt(c.shares[1]) == ckks.partial_decrypt(c.parameters, c.shares[1], total)
    again = Sums.parse(c.parameters, one.to_bytes(), 1)
    assert again.digest == one.digest
    with pytest.raises(ckks.MalformedCiphertext):
        Sums.parse(c.parameters, one.to_bytes(), 2)


# What groups contribute


class Judged:
    """A round of two groups whose sums are known, up to its candidate. The second group teaches the first one's lesson backwards."""

    def __init__(self, folder: Path, metric: str = "", *, lower_is_better: bool = False) -> None:
        parameters = ckks.Parameters.named("default", SIZE, seats=3, threshold=2, max_weight_sum=8)
        self.store = ArtifactStore(str(folder / "store"), create=True)
        base = learning.split(WORKLOAD.initial_model(0), PUBLIC)[0]
        self.spec = t.TaskSpec(
            task_id="t-1",
            workload=workload_record(WORKLOAD, PUBLIC),
            ckks=record_of(parameters),
            committee=t.Committee(msp_ids=["A", "B", "C"], threshold=2),
            reward=t.RewardSplit(by_contribution=True),
            tolerance_bp=10_000,
        )
        if metric:
            self.spec.workload.metric, self.spec.workload.lower_is_better = metric, lower_is_better
        now = b.Round(task_id="t-1", number=1, miners=MINERS, groups=[1, 2, 1, 2])
        now.base.model.CopyFrom(self.store.put(learning.to_bytes(base)))
        for miner in MINERS:
            now.selection.verdicts.add(miner=miner, weight=2, reason=b.CONTRIBUTES)
        steps = np.random.default_rng(1).integers(-60, 61, SIZE)
        self.values = np.stack([4 * steps, -3 * steps])
        self.models = {
            name: candidate.moved(base, values, weights, parameters)
            for name, values, weights in (
                ("first", 4 * steps, 4),
                ("second", -3 * steps, 4),
                ("both", steps, 8),
            )
        }
        now.candidate.model.CopyFrom(self.store.put(learning.to_bytes(self.models["both"])))
        now.candidate.aggregate.CopyFrom(self.store.put(candidate.aggregate_bytes(steps, now.selection)))
        self.base = base
        self.view = b.TaskView(task=t.Task(spec=self.spec), round=now)


class Distances(Scorer):
    """A loss: how far from what the first group teaches a model is."""

    def __init__(self, wanted: learning.Model) -> None:
        super().__init__(few_samples)
        self.wanted = learning.flatten(wanted)

    def score_once(self, spec: t.TaskSpec, public: learning.Model) -> learning.Score:
        away = float(np.abs(learning.flatten(public) - self.wanted).mean())
        return learning.mean_loss(np.full(20, 1000 * away))


def test_a_ballot_says_what_each_group_adds_to_the_score(tmp_path: Path) -> None:
    judged = Judged(tmp_path, "loss", lower_is_better=True)
    scorer = Distances(judged.models["first"])
    validator = Validator(judged.store, scorer)
    validator.score_early(judged.view, judged.values)
    ballot = validator.ballot(judged.view, 1, judged.values)
    assert ballot.reason in (b.GOOD, b.SCORE_FELL)
    assert contributions_fault(ballot, judged.spec, 2) == ""
    none, first, second, both = (
        scorer.score_once(judged.spec, model).value * 1_000_000
        for model in (judged.base, *judged.models.values())
    )
    wanted = [-(first - none + both - second) / 2, -(second - none + both - first) / 2]
    np.testing.assert_allclose(np.array(ballot.contributions) / UNIT, wanted, atol=2)
    assert ballot.contributions[0] > 0 > ballot.contributions[1]


def test_contributions_to_an_accuracy_add_up_to_its_gain(tmp_path: Path) -> None:
    judged = Judged(tmp_path)
    ballot = Validator(judged.store, Scorer(few_samples)).ballot(judged.view, 1, judged.values)
    assert len(ballot.contributions) == 2
    assert contributions_fault(ballot, judged.spec, 2) == ""
    assert sum(ballot.contributions) == UNIT * (ballot.score - ballot.base_score)


def test_a_false_candidate_tells_nothing_of_groups_and_nor_does_a_round_of_one_sum(tmp_path: Path) -> None:
    judged = Judged(tmp_path)
    judged.view.round.candidate.model.CopyFrom(reference_of(b"another"))
    validator = Validator(judged.store, Scorer(few_samples))
    ballot = validator.ballot(judged.view, 1, judged.values)
    assert (ballot.reason, list(ballot.contributions)) == (b.WRONG_MODEL, [])
    judged = Judged(tmp_path)
    judged.view.round.ClearField("groups")
    ballot = Validator(judged.store, Scorer(few_samples)).ballot(
        judged.view, 1, judged.values.sum(axis=0)[None]
    )
    assert ballot.reason in (b.GOOD, b.SCORE_FELL)
    assert not ballot.contributions
