"""A verifier votes for the one model that the opened aggregate gives, and for nothing else that a proposer names."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
from quorumlearn import ckks, learning
from quorumlearn.nodes import candidate
from quorumlearn.nodes.committee.scoring import Scorer
from quorumlearn.nodes.committee.sending import Sender
from quorumlearn.nodes.committee.validation import Validator
from quorumlearn.nodes.committee.verifier import Verifier
from quorumlearn.nodes.market import NO_OPTIONS, StepOptions
from quorumlearn.nodes.models import workload_record
from quorumlearn.nodes.training import Workshop
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.client.nodes.committee import committee_of
from tests.client.nodes.played_round import SEATS, WEIGHTS, Played
from tests.client.nodes.seats import no_chunks

PUBLIC = ["bottom"]
WORKLOAD = learning.get_workload("mnist-cnn", {})
SIZE = learning.size_of(learning.public_shapes(WORKLOAD.shapes, PUBLIC))


class Ballots:
    """A market that takes votes on blocks, and accusations."""

    def __init__(self) -> None:
        self.cast: list[ArtifactRef] = []
        self.accusations: list[b.Accusation] = []
        self.shown: list[b.Ballots] = []

    def vote_block(
        self, task: str, number: int, fixed: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        self.cast.append(fixed)

    def show_ballots(self, task: str, number: int, ballots: b.Ballots) -> None:
        self.shown.append(ballots)

    def accuse(self, task: str, number: int, accusation: b.Accusation) -> None:
        self.accusations.append(accusation)


def few_samples(_: object = None) -> learning.Samples:
    random = np.random.default_rng(3)
    return learning.Samples(random.random((20, 1, 28, 28), dtype=np.float32), np.arange(20) % 10)


class Validated(Played):
    """The round up to VALIDATE: its aggregate is open, and an honest proposer has named what it gives."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, committee_of(3, 2, 3, security=128, size=SIZE))
        now, spec = self.view.round, self.spec
        spec.workload.CopyFrom(workload_record(WORKLOAD, PUBLIC))
        spec.tolerance_bp = 10_000
        base = learning.split(WORKLOAD.initial_model(spec.seed), PUBLIC)[0]
        now.base.model.CopyFrom(self.store.put(learning.to_bytes(base)))
        self.view.task.spec.CopyFrom(spec)
        self.view.state.status = t.RUNNING
        self.view.ceremonies.add(round=now.number, attempt=1, step=b.KEY_READY, seats=SEATS)
        for seat, part in self.parts.items():
            self.view.seats.add(seat=seat, verifier=f"V{seat}/v")
            self.view.contributions.add(round=now.number, attempt=1, seat=seat, sealing_key=part.sealing_key)
        self.screened()
        self.shown(*SEATS)
        self.selected()
        self.decrypted()
        now.phase = b.VALIDATE
        self.values = np.sum(
            [[weight * self.committee.values[one]] for one, weight in WEIGHTS.items()], axis=0
        )
        model = candidate.next_model(base, self.values[0], now.selection, self.committee.parameters)
        self.model = self.store.put(learning.to_bytes(model))
        self.aggregate = self.store.put(candidate.aggregate_bytes(self.values[0], now.selection))
        self.shifted = self.store.put(learning.to_bytes({name: one + 1 for name, one in model.items()}))

    def propose(self, model: ArtifactRef, aggregate: ArtifactRef) -> None:
        self.view.round.candidate.CopyFrom(b.Candidate(proposer="M/a", model=model, aggregate=aggregate))

    def node(self, seat: int) -> tuple[Verifier, Ballots]:
        """A seat's node as it comes up, and what it sends."""
        market = Ballots()
        node = Verifier(
            me=f"V{seat}/v",
            msp_id=f"V{seat}",
            market=market,  # type: ignore[arg-type]
            store=self.store,
            journal=self.task_journal(seat),
            sender=Sender(f"V{seat}/v", market),  # type: ignore[arg-type]
            validator=Validator(self.store, Scorer(few_samples)),
            position=lambda _: (0, 0),
            workers=ckks.Workers(0),
            workshop=Workshop(threading.Semaphore(1), threading.Event()),
            reader=no_chunks,
        )
        return node, market

    def vote(self, seat: int) -> b.Ballot:
        node, market = self.node(seat)
        self.journal(seat).erase("ballot-0")
        assert node.act(self.view)
        return self.ballot(seat, market)

    def ballot(self, seat: int, market: Ballots) -> b.Ballot:
        """What the seat has fixed, and not shown."""
        (fixed,) = market.cast
        kept = self.journal(seat).get("ballot-0")
        assert kept is not None
        assert fixed == ArtifactRef(digest=hashlib.sha256(kept).hexdigest(), size=len(kept))
        assert not self.store.has(fixed)
        return canonical.from_json(b.Ballot, kept)


@pytest.fixture(scope="module")
def round_(tmp_path_factory: pytest.TempPathFactory) -> Validated:
    return Validated(tmp_path_factory.mktemp("round"))


def test_every_seat_votes_for_what_the_aggregate_gives(round_: Validated) -> None:
    round_.propose(round_.model, round_.aggregate)
    for seat in SEATS:
        ballot = round_.vote(seat)
        assert (ballot.seat, ballot.model, ballot.reason) == (seat, round_.model.digest, b.GOOD)
        assert ballot.total == len(few_samples())


def test_no_seat_votes_for_another_model_or_another_aggregate(round_: Validated) -> None:
    """A task whose tolerance lets any score pass, and models that are models: only recomputing tells."""
    base = round_.view.round.base.model
    for model, aggregate in (
        (round_.shifted, round_.aggregate),
        (base, round_.aggregate),
        (round_.model, round_.shifted),
        (ArtifactRef(digest=round_.model.digest, size=round_.model.size + 1), round_.aggregate),
        (ArtifactRef(digest="ab" * 32, size=round_.model.size), round_.aggregate),
    ):
        round_.propose(model, aggregate)
        ballot = round_.vote(2)
        assert ballot.model == model.digest
        assert ballot.reason == b.WRONG_MODEL
        assert not ballot.total


def test_what_was_scored_early_is_no_longer_expected_once_the_aggregate_opens_to_something_else(
    round_: Validated,
) -> None:
    """As when a seat whose partial decryption was false has been put out."""
    round_.propose(round_.model, round_.aggregate)
    validator = Validator(round_.store, Scorer(few_samples))
    validator.score_early(round_.view, round_.values + 1)
    assert validator.ballot(round_.view, 1, round_.values).reason == b.GOOD
    assert validator.ballot(round_.view, 1, round_.values + 1).reason == b.WRONG_MODEL


class Counting(Scorer):
    """Finds one sample more correct with each model that it is asked of for the first time."""

    def __init__(self) -> None:
        super().__init__(few_samples)
        self.asked: list[str] = []

    def score(self, spec: t.TaskSpec, public: learning.Model) -> learning.Score:
        digest = hashlib.sha256(learning.to_bytes(public)).hexdigest()
        if digest not in self.asked:
            self.asked.append(digest)
        correct = 1 + self.asked.index(digest)
        return learning.accuracy([True] * correct + [False] * (20 - correct), loss=0.0)


def test_the_candidate_is_scored_before_it_is_named_and_beside_its_base(round_: Validated) -> None:
    round_.propose(round_.model, round_.aggregate)
    scorer = Counting()
    validator = Validator(round_.store, scorer)
    validator.score_early(round_.view, round_.values)
    assert scorer.asked == [round_.model.digest]
    ballot = validator.ballot(round_.view, 1, round_.values)
    assert scorer.asked == [round_.model.digest, round_.view.round.base.model.digest]
    assert (ballot.score, ballot.base_score, ballot.total) == (50_000, 100_000, 20)


def test_a_seat_to_which_the_aggregate_does_not_open_says_so_and_votes_for_no_model(
    round_: Validated,
) -> None:
    """One partial decryption is left of three: there is nothing to hold the candidate against."""
    round_.propose(round_.model, round_.aggregate)
    view = b.TaskView()
    view.CopyFrom(round_.view)
    for one in view.screenings[1:]:
        one.ClearField("partial")
    round_.journal(1).erase("ballot-0")
    node, market = round_.node(1)
    assert node.act(view)
    (accusation,) = market.accusations
    assert (accusation.seat, accusation.fault) == (0, b.BAD_PARTIAL)
    assert market.cast == []
    view.accusations.add(accuser=1, seat=0, fault=b.BAD_PARTIAL)
    assert node.act(view)
    assert round_.ballot(1, market).reason == b.UNAVAILABLE


def test_a_seat_that_comes_up_again_fixes_the_same_ballot(round_: Validated) -> None:
    """Its nonce is random, so a ballot made again would be another one."""
    round_.propose(round_.model, round_.aggregate)
    first = round_.vote(3)
    node, market = round_.node(3)
    assert node.act(round_.view)
    assert round_.ballot(3, market) == first


def test_once_all_have_voted_the_first_seat_shows_what_all_show(round_: Validated) -> None:
    round_.propose(round_.model, round_.aggregate)
    view = b.TaskView()
    view.CopyFrom(round_.view)
    for seat in SEATS:
        round_.vote(seat)
        kept = round_.journal(seat).get("ballot-0") or b""
        ref = ArtifactRef(digest=hashlib.sha256(kept).hexdigest(), size=len(kept))
        view.ballots.add(seat=seat, verifier=f"V{seat}/v", fixed=ref)
    for seat in (3, 2, 1):
        node, market = round_.node(seat)
        assert node.act(view)
        shown = [one.seat for one in market.shown[0].ballots]
        assert shown == {3: [3], 2: [2, 3], 1: [1, 2, 3]}[seat], "what others have shown by then"
