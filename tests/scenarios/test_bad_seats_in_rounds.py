"""A committee member that cheats in a round is named on the ledger and pays; every block is what honest seats alone would have made."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from quorumlearn import ckks, learning
from quorumlearn.ckks.container import Kind, read, write
from quorumlearn.nodes import candidate, exchange, steps
from quorumlearn.nodes.audit import replay
from quorumlearn.nodes.audit.checks import Result
from quorumlearn.nodes.audit.records import Record
from quorumlearn.nodes.audit.records import read as read_records
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.market import NO_OPTIONS, Contract, Market, StepOptions
from quorumlearn.nodes.models import load_public
from quorumlearn.nodes.organisation import Organisation
from quorumlearn.nodes.training import Workshop
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import PartialDecryption, SketchPayload, SketchShares
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION, ArtifactRef
from quorumlearn_proto.penalties import Cost, fault_penalty
from quorumlearn_proto.protocol import ACCUSED

from tests.client.nodes.committee import moved
from tests.scenarios.ballots import fixed_anew
from tests.scenarios.stage import LIVE, SEATS, STAKES, AnyNode, NodeThread, Stage, assert_settled, at, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TASK, GOES = "seat-3-cheats", "seat-3-goes"
MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
VERIFIERS = [f"{seat}/verifier" for seat in SEATS]
BAD, VICTIM = 3, 1
LIMIT = 1 << 26
Spoil = Callable[["BadSeat", b.TaskView, Any], Any]


def reposted(
    bad: BadSeat, view: b.TaskView, change: Callable[[bytes], bytes], victims: set[int]
) -> ArtifactRef:
    """The seat's own sketch shares, each changed for the victims, in the store at once."""
    spec, number = view.task.spec, view.round.number
    context = f"{spec.task_id}/{number}/sketch"
    attempt = steps.ceremony_of(view, number).attempt
    journal = bad.organisation.journal.below("verifier").below(spec.task_id).below(f"round-{number}")
    own, private = journal.get("sketch-shares"), journal.get(f"attempt-{attempt}/sealing")
    assert own is not None
    assert private is not None
    record = SketchShares.FromString(own)
    honest = exchange.unseal_from(list(record.boxes), private, context, BAD, BAD)
    payload = SketchPayload.FromString(honest)
    changed = SketchPayload(shares=[change(share) for share in payload.shares], salts=payload.salts)
    keys = {seat: part.sealing_key for seat, part in steps.contributions(view, number).items()}
    payloads = {seat: changed.SerializeToString() if seat in victims else honest for seat in keys}
    del record.boxes[:]
    record.boxes.extend(exchange.seal_for(keys, payloads, context, BAD))
    return exchange.put(bad.organisation.store, record)


def shifted(view: b.TaskView, share: bytes, by: int | np.ndarray) -> bytes:
    """A sketch share moved by whole steps: what it opens is in range and on the grid, and wrong."""
    p = parameters_of(view.task.spec)
    counts = ((1, len(p.primes)),)
    (parts,), binding = read(
        p, Kind.SKETCH_SHARE, share, ckks.MalformedShare, counts=counts, length=p.sketch_size
    )
    return write(p, Kind.SKETCH_SHARE, moved(p, parts, by), binding=binding)


def garbage_shares(bad: BadSeat, view: b.TaskView, ref: ArtifactRef) -> ArtifactRef:
    noise = np.random.default_rng(1).integers(-(2**40), 2**40, parameters_of(view.task.spec).sketch_size)
    return reposted(bad, view, lambda share: shifted(view, share, noise), {1, 2, 3})


def shifted_shares(bad: BadSeat, view: b.TaskView, ref: ArtifactRef) -> ArtifactRef:
    return reposted(bad, view, lambda share: shifted(view, share, 60), {1, 2, 3})


def wrong_to_one(bad: BadSeat, view: b.TaskView, ref: ArtifactRef) -> ArtifactRef:
    return reposted(bad, view, lambda share: share[:-1], {VICTIM})


def never_shown(bad: BadSeat, view: b.TaskView, ref: ArtifactRef) -> ArtifactRef:
    return ArtifactRef(digest="ab" * 32, size=1000)


def changed_partial(bad: BadSeat, view: b.TaskView, ref: ArtifactRef, by: int | np.ndarray) -> ArtifactRef:
    p, store = parameters_of(view.task.spec), bad.organisation.store
    record = PartialDecryption.FromString(store.get(ref, LIMIT))
    counts = ((p.chunks, len(p.primes)),)
    (parts,), binding = read(p, Kind.PARTIAL, record.residues, ckks.MalformedShare, counts=counts)
    record.residues = write(p, Kind.PARTIAL, moved(p, parts, by), binding=binding)
    return exchange.put(store, record)


def garbage_partial(
    bad: BadSeat, view: b.TaskView, given: tuple[str, ArtifactRef]
) -> tuple[str, ArtifactRef]:
    degree = parameters_of(view.task.spec).poly_modulus_degree
    noise = np.random.default_rng(2).integers(-(2**40), 2**40, degree)
    return given[0], changed_partial(bad, view, given[1], noise)


def shifted_partial(
    bad: BadSeat, view: b.TaskView, given: tuple[str, ArtifactRef]
) -> tuple[str, ArtifactRef]:
    return given[0], changed_partial(bad, view, given[1], 60)


def other_aggregate(
    bad: BadSeat, view: b.TaskView, given: tuple[str, ArtifactRef]
) -> tuple[str, ArtifactRef]:
    return "cd" * 32, given[1]


def false_selection(
    bad: BadSeat, view: b.TaskView, given: tuple[b.Selection, str]
) -> tuple[b.Selection, str]:
    given[0].verdicts[0].weight, given[0].verdicts[0].reason = 0, b.OUTLIER
    return given


def unfounded_vote(bad: BadSeat, view: b.TaskView, given: tuple[b.Selection, str]) -> tuple[b.Selection, str]:
    """What a seat can say that copies a selection, and has opened no sketch."""
    return given[0], "ab" * 32


def false_ballot(bad: BadSeat, view: b.TaskView, fixed: ArtifactRef) -> ArtifactRef:
    def changed(ballot: b.Ballot) -> None:
        ballot.reason = b.WRONG_MODEL

    return fixed_anew(bad.organisation, view.task.spec.task_id, view.round.number, changed)


def gone(bad: BadSeat, view: b.TaskView, given: object) -> object:
    raise ExchangeError("this seat is gone")


Cheat = tuple[str, Spoil, "b.Fault | None", str]
CHEATS: Mapping[int, Cheat] = {
    1: ("post_sketch", garbage_shares, b.BAD_SKETCH_SHARES, "SELECT"),
    2: ("post_sketch", shifted_shares, b.BAD_SKETCH_SHARES, "SELECT"),
    3: ("post_sketch", wrong_to_one, None, ""),
    4: ("post_sketch", never_shown, b.BAD_SKETCH_SHARES, "SELECT"),
    5: ("post_partial", garbage_partial, b.BAD_PARTIAL, "PROPOSE"),
    6: ("post_partial", shifted_partial, b.BAD_PARTIAL, "PROPOSE"),
    7: ("vote_selection", false_selection, b.FALSE_VOTE, "SELECT"),
    8: ("post_partial", other_aggregate, b.FALSE_VOTE, "OPEN"),
    9: ("vote_block", false_ballot, b.FALSE_VOTE, "VALIDATE"),
    10: ("vote_selection", unfounded_vote, b.UNFOUNDED_VOTE, "OPEN"),
}
"""What seat 3 does in each round in place of its step, and what the ledger calls it, in which phase."""
GONE: Mapping[int, Cheat] = {
    1: ("post_sketch", gone, b.MISSED_STEP, "SCREEN"),
    2: ("vote_selection", gone, b.MISSED_STEP, "SELECT"),
    3: ("post_partial", gone, b.MISSED_STEP, "OPEN"),
    4: ("vote_block", gone, b.MISSED_STEP, "VALIDATE"),
}
PLAYED = {TASK: CHEATS, GOES: GONE}


class BadSeat(Market):
    """Seat 3's market: it passes on what CHEATS makes of the honest seat's step."""

    def __init__(self, contract: Contract, organisation: Organisation) -> None:
        super().__init__(contract)
        self.organisation = organisation

    def _spoilt(self, function: str, task: str, number: int, given: Any) -> Any:
        name, spoil, _, _ = PLAYED[task][number]
        view = self.view(task)
        if name != function or view.round.number != number:
            return given
        return spoil(self, view, given)

    def post_sketch(
        self, task: str, number: int, shares: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        super().post_sketch(task, number, self._spoilt("post_sketch", task, number, shares), options)

    def vote_selection(
        self,
        task: str,
        number: int,
        selection: b.Selection,
        basis: str,
        options: StepOptions = NO_OPTIONS,
    ) -> None:
        spoilt = self._spoilt("vote_selection", task, number, (selection, basis))
        super().vote_selection(task, number, *spoilt, options)  # type: ignore[call-arg]

    def post_partial(
        self, task: str, number: int, aggregate: str, partial: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        spoilt = self._spoilt("post_partial", task, number, (aggregate, partial))
        super().post_partial(task, number, *spoilt, options)  # type: ignore[call-arg]

    def vote_block(
        self, task: str, number: int, fixed: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        super().vote_block(task, number, self._spoilt("vote_block", task, number, fixed), options)

    def accuse(self, task: str, number: int, accusation: b.Accusation) -> None:
        raise AssertionError("an honest node of this seat would have found nobody at fault")


class BadOrganisation(Organisation):
    def market(self, user: str) -> Market:
        return BadSeat(self.contract(user), self)


Trained = dict[tuple[str, int, str], np.ndarray]


@contextmanager
def recorded(trained: Trained) -> Iterator[None]:
    """Miners' plain updates are kept: what honest seats must come to without ever seeing them."""
    leave = Workshop.leave

    def kept(workshop: Workshop, task: str, number: int, miner: str, values: np.ndarray) -> None:
        trained[task, number, miner] = values
        leave(workshop, task, number, miner, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workshop, "leave", kept)
        yield


@pytest.fixture(scope="module")
def played(stage: Stage) -> tuple[Stage, Trained]:
    """Both tasks side by side; on the way every worker process of every node is killed, which nobody is to notice."""
    trained: Trained = {}
    files = stage.node_files("seat-3-*", MINERS, workers=1)
    bad = NodeThread(files.pop(SEATS[BAD - 1]), BadOrganisation)
    started = [bad, *map(NodeThread, files.values())]
    nodes: list[AnyNode] = [*started]
    with recorded(trained), running(*started):
        for task, cheats in PLAYED.items():
            stage.publish(
                task,
                rounds=len(cheats),
                timeouts={"screen": 12, "select": 12, "open": 12, "validate": 12},
                stakes={**STAKES, "verifier": 1000},
                public_blocks=["bottom"],
            )
        stage.wait(TASK, at(2, b.COMMIT), nodes)
        for node in started:
            for pid in node.node.workers.pids:
                os.kill(pid, signal.SIGKILL)
        for task in PLAYED:
            view = stage.wait(task, lambda view: view.state.status not in LIVE, nodes, seconds=300)
            assert view.state.status == t.COMPLETED
    return stage, trained


@pytest.mark.parametrize("task", PLAYED)
def test_every_cheat_is_named_with_its_phase_and_evidence_and_costs_what_the_table_says(
    played: tuple[Stage, Trained], task: str
) -> None:
    stage, _ = played
    found = list(stage.market().misconducts(task))
    assert [(one.round, one.seat, b.Fault.Name(one.fault), one.step) for one in found] == [
        (number, BAD, b.Fault.Name(fault), phase)
        for number, (_, _, fault, phase) in PLAYED[task].items()
        if fault
    ]
    for one in found:
        accused = any(one.fault in faults for faults in ACCUSED.values())
        cost = fault_penalty(one.fault, one.step).cost
        missed_before = cost is Cost.SECOND and one.round > 1
        assert (one.verifier, one.slashed) == (
            stage.name(VERIFIERS[BAD - 1]),
            50 if cost is Cost.STAKE or missed_before else 0,
        )
        assert {1, 2} <= set(one.accusers) or not accused
        assert (len(one.evidence) > 0) or not accused
    slashed = {VERIFIERS[BAD - 1]: sum(one.slashed for one in found)}
    assert_settled(stage, task, [*MINERS, *VERIFIERS], slashed)


def test_shares_sealed_wrong_to_one_member_cost_nobody_anything(played: tuple[Stage, Trained]) -> None:
    view = played[0].market().round_view(TASK, 3)
    assert [(one.accuser, one.seat) for one in view.accusations] == [(VICTIM, BAD)]
    assert list(view.round.seats) == [1, 2, 3]


@pytest.mark.parametrize("task", PLAYED)
def test_every_head_is_what_the_honest_updates_come_to(played: tuple[Stage, Trained], task: str) -> None:
    """From the miners' plain updates, without any of the encryption."""
    stage, trained = played
    market, spec = stage.market(), stage.market().task(task).task.spec
    blocks = list(market.blocks(task))
    assert [block.core.round for block in blocks] == list(range(len(PLAYED[task]) + 1))
    names = {stage.name(who) for who in MINERS}
    for previous, block in pairwise(blocks):
        verdicts = {one.miner: one for one in block.core.verdicts}
        assert {one.reason for one in verdicts.values()} <= {b.CONTRIBUTES, b.NOT_SELECTED}
        assert set(verdicts) == names
        total = sum(one.weight * trained[task, block.core.round, miner] for miner, one in verdicts.items())
        base = load_public(stage.store, spec, previous.core.model)
        selection = b.Selection(verdicts=block.core.verdicts)
        after = candidate.next_model(base, np.asarray(total), selection, parameters_of(spec))
        assert learning.to_bytes(after) == stage.store.get(block.core.model, LIMIT)


def test_an_audit_finds_every_fault_punished_and_nothing_violated(played: tuple[Stage, Trained]) -> None:
    stage, _ = played
    told = stage.on_ledger("task", "audit", TASK, "--store", str(stage.store_folder), "--json")
    assert told.code == 0, told.out
    checks = told.fields["checks"]
    assert isinstance(checks, list)
    assert told.fields["violations"] == 0
    found = {(one["round"], one["what"]): one["result"] for one in checks}
    for number, (_, _, fault, _) in CHEATS.items():
        for what in ("beacon", "claims", "authorisations", "selection", "aggregate", "decryptions and block"):
            assert found[number, what] in {"ok", "fault"}, (number, what)
        sealed = fault in (b.BAD_SKETCH_SHARES, b.UNFOUNDED_VOTE) and number != 4
        assert found.get((number, "misconduct")) == ("unknown" if sealed else "fault" if fault else None)


def tampered(record: Record, what: str) -> Record:
    """A ledger on which one thing is otherwise."""
    views, blocks = copy.deepcopy(record.views), copy.deepcopy(record.blocks)
    faults = copy.deepcopy(record.misconducts)
    now, given = views[0].round, {one.purpose: one for one in views[0].authorisations}
    total, sketches = given[AGGREGATE_DECRYPTION], given[SKETCH_DECRYPTION]
    match what:
        case "another weight":
            total.weights[0] += 1
        case "one update alone":
            del total.updates[1:], total.weights[1:]
        case "a sketch of an update left out":
            del sketches.updates[0]
            sketches.openings -= 1
        case "an aggregate of other updates":
            now.selection.verdicts[0].weight += 1
            total.weights[0] += 1
        case "another beacon":
            now.beacon = "ab" * 32
        case "another claim missing":
            views[0].submissions[0].claim = ""
        case "another model":
            blocks[1].core.model.digest = "ab" * 32
        case "votes of one seat":
            for one in views[0].screenings[1:]:
                del one.selection.verdicts[:]
        case "a false vote that was none":
            fault = next(one for one in faults if one.fault == b.FALSE_VOTE and one.step == "SELECT")
            fault.seat = 1
        case "a missed step that was none":
            fault = next(one for one in faults if one.fault == b.FALSE_VOTE)
            fault.fault = b.MISSED_STEP
            fault.seat = 1
        case "an accusation that nobody made":
            fault = next(one for one in faults if one.fault == b.BAD_PARTIAL)
            fault.seat = 1
    return replace(record, views=views, blocks=blocks, misconducts=faults)


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("another weight", "authorisations"),
        ("one update alone", "authorisations"),
        ("a sketch of an update left out", "authorisations"),
        ("an aggregate of other updates", "aggregate"),
        ("another beacon", "beacon"),
        ("another claim missing", "claims"),
        ("another model", "decryptions and block"),
        ("votes of one seat", "selection"),
        ("a false vote that was none", "misconduct"),
        ("a missed step that was none", "misconduct"),
        ("an accusation that nobody made", "misconduct"),
    ],
)
def test_an_audit_finds_what_is_otherwise(
    played: tuple[Stage, Trained], record: Record, what: str, named: str
) -> None:
    forged = tampered(record, what)
    rounds = {one.round for one in forged.misconducts if one.seat == 1} or {1}
    views = tuple(view for view in forged.views if view.round.number in rounds)
    checks = replay.audit(replace(forged, views=views), played[0].store)
    assert named in {one.what for one in checks if one.result is Result.VIOLATION}


@pytest.fixture(scope="module")
def record(played: tuple[Stage, Trained]) -> Record:
    return read_records(played[0].market(), TASK)
