"""A committee member that spoils a key ceremony is named on the ledger with what it did, pays, and holds up nobody."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import pytest
from quorumlearn import ckks
from quorumlearn.nodes import exchange, sealing, steps
from quorumlearn.nodes.committee.attempt import Attempt
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.market import Contract, Market
from quorumlearn.nodes.organisation import Organisation
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import PartialDecryption, PublicShare, SealedShares
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.scenarios.stage import SEATS, NodeThread, Stage, assert_settled, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
VERIFIERS = [f"{seat}/verifier" for seat in SEATS]
WHOLE = "cheats"
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
    """Names its public share in other bytes than its node has and would show: nobody sees them until the others complain."""
    journal = bad.organisation.journal.below(f"verifier/{attempt.task}/round-{attempt.number}/attempt-1")
    unknown_field = b"\x7a\x01x"
    bad.hidden = (journal.get("public") or b"") + unknown_field
    digest = hashlib.sha256(bad.hidden).hexdigest()
    given.public_share.CopyFrom(ArtifactRef(digest=digest, size=len(bad.hidden)))
    return given


def waits_with_the_test(bad: BadSeat, attempt: Attempt, given: b.KeyContribution) -> b.KeyContribution:
    """Only now is its public share there, and everything of it right."""
    if not all(attempt.parts[seat].complaint for seat in (1, 2)):
        raise ExchangeError("the others have not complained yet")
    attempt.store.put(bad.hidden)
    return given


CHEATS: Mapping[str, tuple[dict[str, Spoil], b.Fault]] = {
    "false-share-to-one": ({"RevealKey": false_share_to_one}, b.BAD_DEALING),
    "hidden-public-share": (
        {"CommitKey": hides_public_share, "TestKey": waits_with_the_test},
        b.BAD_PUBLIC_SHARE,
    ),
    "false-public-share": ({"CommitKey": false_public_share}, b.BAD_PUBLIC_SHARE),
    "false-test": ({"TestKey": false_test}, b.BAD_TEST_PARTIAL),
    "strangers-key": ({"CommitKey": strangers_key, "TestKey": complaint}, b.BAD_SEALING_KEY),
    "false-confirmation": ({"ConfirmKey": false_confirmation}, b.FALSE_CONFIRMATION),
    "mere-complaint": ({"TestKey": complaint}, b.UNFOUNDED_COMPLAINT),
}
"""What seat 3 does in the first attempt of a ceremony, and what that is."""

PLAYED = dict(enumerate(list(CHEATS)[:2], 1))
"""The cheats that are played in the rounds of one whole task; the others spoil ceremonies of tasks that are named after them."""

STEPS = ("CommitKey", "RevealKey", "TestKey", "ConfirmKey", "OpenKey", "BlameKey")
NAMES = dict(
    zip(STEPS, ("KEY_COMMIT", "KEY_REVEAL", "KEY_TEST", "KEY_CONFIRM", "KEY_OPEN", "KEY_BLAME"), strict=True)
)


class BadSeat(Market):
    """Seat 3's market: it cheats as the task is named, or as PLAYED says; in a task `gone-at-STEP` it is gone from that step on."""

    def __init__(self, contract: Contract, organisation: Organisation) -> None:
        super().__init__(contract)
        self.organisation = organisation
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
        elif attempt == 1:
            cheat = PLAYED[number] if task == WHOLE else task
            if (spoil := CHEATS[cheat][0].get(function)) is not None:
                contribution = spoil(self, self._attempt(task, number, attempt), contribution)
        super().key_step(function, ceremony, contribution, pending)

    def _attempt(self, task: str, number: int, attempt: int) -> Attempt:
        view = self.view(task)
        parts = steps.contributions(view, number)
        return Attempt(parameters_of(view.task.spec), self.organisation.store, task, number, attempt, parts)


class BadOrganisation(Organisation):
    def market(self, user: str) -> Market:
        return BadSeat(self.contract(user), self)


def found(stage: Stage, task: str) -> list[b.Misconduct]:
    """The task's misconduct; each is seat 3's, says why, and rests on the word of both others or of the ledger."""
    misconducts = list(stage.market().misconducts(task))
    for one in misconducts:
        assert (one.seat, one.verifier) == (BAD, stage.name(VERIFIERS[BAD - 1]))
        if one.fault != b.MISSED_STEP:
            assert {1, 2} <= set(one.accusers)
            assert one.detail
        first_of_its_kind = one.fault in (b.UNFOUNDED_COMPLAINT, b.MISSED_STEP)
        assert one.slashed == (0 if first_of_its_kind else 50)
    return misconducts


def ceremonies(stage: Stage, pattern: str, tasks: Iterable[str], key: int) -> Iterator[str]:
    """Tasks whose miners never come: of each the ceremony of its first round, all at once, to the key."""
    files = stage.node_files(pattern, {}, owner=False)
    bad = NodeThread(files.pop(SEATS[BAD - 1]), BadOrganisation)
    with running(bad, *(NodeThread(file) for file in files.values())) as nodes:
        for task in tasks:
            stage.publish(
                task,
                rounds=1,
                miners={"minimum": 2, "maximum": 2, "byzantine": 0},
                timeouts={"key": key},
                **SMALL,
            )
            for who in ("miners1/miner1", "miners2/miner1"):
                stage.market(who).join(task)
        for task in tasks:
            view = stage.wait(task, lambda view: view.round.phase > b.KEY, nodes)
            assert (view.round.phase, list(view.round.seats)) == (b.COMMIT, [1, 2])
            yield task
            stage.market().cancel(task)


def test_whoever_spoils_a_ceremony_is_named_and_slashed_and_the_rounds_are_accepted(stage: Stage) -> None:
    files = stage.node_files(WHOLE, MINERS)
    bad = NodeThread(files.pop(SEATS[BAD - 1]), BadOrganisation)
    with running(bad, *(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(WHOLE, rounds=len(PLAYED), timeouts={"key": 9}, **SMALL)
        view = stage.played(WHOLE, nodes)
    assert view.state.status == t.COMPLETED
    rounds = list(stage.market().rounds(WHOLE))
    assert [(one.outcome, list(one.seats)) for one in rounds] == [(b.ACCEPTED, [1, 2])] * len(PLAYED)
    misconducts = found(stage, WHOLE)
    assert [(one.round, one.attempt, one.fault) for one in misconducts] == [
        (number, 1, CHEATS[cheat][1]) for number, cheat in PLAYED.items()
    ]
    assert all(one.evidence for one in misconducts)
    slashed = {VERIFIERS[BAD - 1]: 50 * len(PLAYED)}
    assert_settled(stage, WHOLE, [*MINERS, *VERIFIERS], slashed)
    shown = stage.on_ledger("committee", "show", WHOLE, "--json")
    assert shown.code == 0, shown.err
    assert len(shown.fields["misconducts"]) == len(PLAYED)  # type: ignore[arg-type]
    assert "BAD_DEALING" in stage.on_ledger("committee", "show", WHOLE).out


def test_each_way_to_spoil_a_ceremony_is_named_for_what_it_is(stage: Stage) -> None:
    tasks = [cheat for cheat in CHEATS if cheat not in PLAYED.values()]
    for task in ceremonies(stage, "*-*", tasks, key=20):
        assert [(one.attempt, one.fault) for one in found(stage, task)] == [(1, CHEATS[task][1])]


def test_who_disappears_at_any_step_of_a_ceremony_is_named_for_it_and_the_others_make_the_key(
    stage: Stage,
) -> None:
    tasks = {f"gone-at-{step.lower()}": NAMES[step] for step in STEPS}
    for task in ceremonies(stage, "gone-at-*", tasks, key=9):
        missed = [one.step for one in found(stage, task) if one.fault == b.MISSED_STEP]
        assert missed == [tasks[task]]
