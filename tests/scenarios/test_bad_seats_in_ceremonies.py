"""A committee member that spoils a key ceremony is named on the ledger with what it did, pays, and holds up nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from quorumlearn import ckks
from quorumlearn.nodes import exchange, sealing, steps
from quorumlearn.nodes.attempt import Attempt
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.organisation import Organisation
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import PartialDecryption, PublicShare, SealedShares
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.scenarios.stage import SEATS, STAKES, NodeThread, Stage, assert_settled, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
VERIFIERS = [f"{seat}/verifier" for seat in SEATS]
BAD = 3
VICTIM = 1
LIMIT = 1 << 24
SMALL = {"workload": {"name": "mnist-cnn", "config": {"batch_size": "32"}}, "public_blocks": ["bottom"]}

Spoil = Callable[["BadSeat", Attempt, b.KeyContribution], b.KeyContribution]


def other_secret(parameters: ckks.Parameters) -> ckks.SecretPolynomial:
    return ckks.new_key_share(parameters, b"some other key").secret


def false_public_share(bad: BadSeat, attempt: Attempt, given: b.KeyContribution) -> b.KeyContribution:
    """b_i of another secret than it deals."""
    record = PublicShare(task_id=attempt.task, round=attempt.number, attempt=attempt.attempt, seat=BAD)
    record.polynomial = ckks.new_key_share(attempt.parameters, attempt.common_seed).public
    given.public_share.CopyFrom(exchange.put(attempt.store, record))
    return given


def false_share_to_one(bad: BadSeat, attempt: Attempt, given: b.KeyContribution) -> b.KeyContribution:
    """One member is dealt a share of another secret, the others theirs."""
    record = SealedShares.FromString(attempt.store.get(given.sealed_shares, LIMIT))
    share = ckks.deal(attempt.parameters, other_secret(attempt.parameters), (1, 2, 3))[VICTIM]
    key = attempt.parts[VICTIM].sealing_key
    false = exchange.seal_for({VICTIM: key}, {VICTIM: share}, attempt.context, BAD)
    boxes = [box for box in record.boxes if box.recipient != VICTIM]
    del record.boxes[:]
    record.boxes.extend([*boxes, *false])
    given.sealed_shares.CopyFrom(exchange.put(attempt.store, record))
    return given


def false_test(bad: BadSeat, attempt: Attempt, given: b.KeyContribution) -> b.KeyContribution:
    """A partial decryption of the test with another share."""
    record = PartialDecryption.FromString(attempt.store.get(given.test_partial, LIMIT))
    share = ckks.deal(attempt.parameters, other_secret(attempt.parameters), (1, 2, 3))[BAD]
    sample = attempt.sample(attempt.collective_key())
    record.residues = ckks.partial_decrypt(attempt.parameters, share, sample)
    given.test_partial.CopyFrom(exchange.put(attempt.store, record))
    return given


def strangers_key(bad: BadSeat, attempt: Attempt, given: b.KeyContribution) -> b.KeyContribution:
    """A sealing key of which it has not the private half."""
    given.sealing_key = sealing.public_key(sealing.new_key())
    return given


def false_confirmation(bad: BadSeat, attempt: Attempt, given: b.KeyContribution) -> b.KeyContribution:
    given.confirmed_key.CopyFrom(ArtifactRef(digest="ab" * 32, size=7))
    return given


def complaint(bad: BadSeat, attempt: Attempt, given: b.KeyContribution) -> b.KeyContribution:
    return b.KeyContribution(complaint="I could not, says seat 3")


def hides_public_share(bad: BadSeat, attempt: Attempt, given: b.KeyContribution) -> b.KeyContribution:
    """Not in the store until the others have complained (`shows_public_share`)."""
    ref = attempt.parts[BAD].public_share
    bad.hidden = attempt.store.get(ref, LIMIT)
    assert attempt.store.delete(ref)
    return given


def waits_with_the_test(bad: BadSeat, attempt: Attempt, given: b.KeyContribution) -> b.KeyContribution:
    """Only now is its public share there, and everything of it right."""
    if not all(attempt.parts[seat].complaint for seat in (1, 2)):
        raise ExchangeError("the others have not complained yet")
    attempt.store.put(bad.hidden)
    return given


ROUNDS: Mapping[int, tuple[dict[str, Spoil], b.Fault.ValueType]] = {
    1: ({"CommitKey": false_public_share}, b.BAD_PUBLIC_SHARE),
    2: ({"RevealKey": false_share_to_one}, b.BAD_DEALING),
    3: ({"TestKey": false_test}, b.BAD_TEST_PARTIAL),
    4: ({"CommitKey": strangers_key, "TestKey": complaint}, b.BAD_SEALING_KEY),
    5: ({"ConfirmKey": false_confirmation}, b.FALSE_CONFIRMATION),
    6: ({"TestKey": complaint}, b.UNFOUNDED_COMPLAINT),
    7: ({"RevealKey": hides_public_share, "TestKey": waits_with_the_test}, b.BAD_PUBLIC_SHARE),
}
"""What seat 3 does in the first attempt of each round's ceremony, and what that is."""

STEPS = ("CommitKey", "RevealKey", "TestKey", "ConfirmKey", "OpenKey", "BlameKey")
NAMES = dict(
    zip(STEPS, ("KEY_COMMIT", "KEY_REVEAL", "KEY_TEST", "KEY_CONFIRM", "KEY_OPEN", "KEY_BLAME"), strict=True)
)


class BadSeat(Market):
    """Seat 3's market: in the task `cheats` it does what ROUNDS says; in a task `gone-at-STEP` it is gone from that step on."""

    def __init__(self, honest: Market, organisation: Organisation) -> None:
        super().__init__(honest._contract)
        self._organisation = organisation
        self.hidden = b""

    def key_step(
        self,
        function: str,
        ceremony: tuple[str, int, int],
        contribution: b.KeyContribution,
        pending: bool = False,
    ) -> None:
        task, number, attempt = ceremony
        gone = task.removeprefix("gone-at-")
        if gone != task:
            leaves = next(step for step in STEPS if step.lower() == gone)
            if STEPS.index(function) >= STEPS.index(leaves):
                raise ExchangeError("this seat is gone")
            if function == "TestKey" and leaves in {"OpenKey", "BlameKey"}:
                contribution = b.KeyContribution(complaint="so that keys are opened")
        elif attempt == 1 and (spoil := ROUNDS[number][0].get(function)) is not None:
            view = self.view(task)
            shown = Attempt(
                parameters_of(view.task.spec),
                self._organisation.store,
                task,
                number,
                attempt,
                steps.contributions(view, number),
            )
            contribution = spoil(self, shown, contribution)
        super().key_step(function, ceremony, contribution, pending)


class BadOrganisation(Organisation):
    def market(self, user: str) -> Market:
        return BadSeat(super().market(user), self)


def test_each_way_to_spoil_a_ceremony_is_named_and_slashed_and_every_round_is_accepted(stage: Stage) -> None:
    task = "cheats"
    files = stage.node_files(task, MINERS)
    bad = NodeThread(files.pop(SEATS[BAD - 1]), BadOrganisation)
    with running(bad, *(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(
            task, rounds=len(ROUNDS), timeouts={"key": 9}, stakes={**STAKES, "verifier": 1000}, **SMALL
        )
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    market = stage.market()
    rounds = list(market.rounds(task))
    assert [one.outcome for one in rounds] == [b.ACCEPTED] * len(ROUNDS)
    assert [list(one.seats) for one in rounds] == [[1, 2]] * len(ROUNDS)
    found = list(market.misconducts(task))
    assert [(one.round, one.attempt, one.seat, b.Fault.Name(one.fault)) for one in found] == [
        (number, 1, BAD, b.Fault.Name(fault)) for number, (_, fault) in ROUNDS.items()
    ]
    for one in found:
        assert one.verifier == stage.name(VERIFIERS[BAD - 1])
        assert {1, 2} <= set(one.accusers)
        assert one.detail
        assert one.slashed == (0 if one.fault == b.UNFOUNDED_COMPLAINT else 50)
    evidence = {one.round: {ref.digest for ref in one.evidence} for one in found}
    assert all(evidence[number] for number in (1, 2, 3))
    slashed = sum(one.slashed for one in found)
    assert_settled(stage, task, [*MINERS, *VERIFIERS], {VERIFIERS[BAD - 1]: slashed})
    shown = stage.on_ledger("committee", "show", task, "--json")
    assert shown.code == 0, shown.err
    assert len(shown.fields["misconducts"]) == len(ROUNDS)  # type: ignore[arg-type]
    people = stage.on_ledger("committee", "show", task)
    assert "BAD_DEALING" in people.out


def test_who_disappears_at_any_step_of_a_ceremony_is_slashed_for_it_and_the_others_make_the_key(
    stage: Stage,
) -> None:
    tasks = {f"gone-at-{step.lower()}": NAMES[step] for step in STEPS}
    files = stage.node_files("gone-at-*", {}, owner=False)
    bad = NodeThread(files.pop(SEATS[BAD - 1]), BadOrganisation)
    with running(bad, *(NodeThread(file) for file in files.values())) as nodes:
        for task in tasks:
            stage.publish(
                task,
                rounds=1,
                miners={"minimum": 1, "maximum": 1, "byzantine": 0},
                timeouts={"key": 9},
                **SMALL,
            )
            stage.market("miners1/miner1").join(task)
        for task, step in tasks.items():
            view = stage.wait(task, lambda view: view.round.phase > b.KEY, nodes)
            assert (view.round.phase, list(view.round.seats)) == (b.COMMIT, [1, 2])
            found = [one for one in stage.market().misconducts(task) if one.fault == b.MISSED_STEP]
            assert [(one.seat, one.step, one.slashed) for one in found] == [(BAD, step, 50)]
            stage.market().cancel(task)
