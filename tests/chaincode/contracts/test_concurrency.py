"""What transactions endorsed side by side do to each other when they are committed in one block."""

from __future__ import annotations

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_chaincode.runtime import OutOf, SignedBy, parse_policy
from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import Blame, BlameVote, CeremonyStep, Fault, KeyContribution, Phase

from tests.chaincode.contracts.ledger_stub import ConflictError, identity
from tests.chaincode.contracts.market_actors import (
    FUNDS,
    OWNER,
    SEALING_KEY,
    TASK,
    TIMEOUT_S,
    Play,
    commitment,
    js,
    ref,
    reveal_words,
    secret,
    spec,
)


def blame_words(seat: int) -> tuple[str, ...]:
    vote = BlameVote(blames=[Blame(seat=seat, fault=Fault.BAD_DEALING)])
    return "blocks:BlameKey", TASK, "1", "1", js(KeyContribution(blame=vote))


def prefixes(keys: object) -> set[str]:
    return {str(key).split("\x00")[1] for key in keys}  # type: ignore[attr-defined]


def key_commit(seat: int, number: int) -> tuple[str, ...]:
    part = KeyContribution(
        public_share=ref("share"), beacon_commitment=commitment(seat, number), sealing_key=SEALING_KEY
    )
    return "blocks:CommitKey", TASK, str(number), "1", js(part)


def test_a_hundred_commits_and_reveals_endorsed_together_all_commit() -> None:
    play = Play(miner_count=100)
    play.start(spec(max_miners=100, min_miners=100))
    play.to(Phase.COMMIT)
    manifests = {miner: play.manifest(miner) for miner in play.miners}
    commits = [
        play.peer.endorse(identity(miner), "blocks:Commit", TASK, "1", canonical.digest(manifest))
        for miner, manifest in manifests.items()
    ]
    for simulation in commits:
        play.peer.commit(simulation)
    play.advance()
    play.beacon()
    reveals = [
        play.peer.endorse(identity(miner), *reveal_words(manifest)) for miner, manifest in manifests.items()
    ]
    for simulation in reveals:
        play.peer.commit(simulation)
    play.advance()
    assert play.round().phase == Phase.SCREEN
    for simulation in commits:
        assert prefixes(simulation.reads) == {"config", "task", "state", "round", "submission"}
        assert prefixes(simulation.writes) == {"submission"}
        assert not simulation.ranges
    for simulation in reveals:
        assert prefixes(simulation.reads) == {"config", "task", "state", "round", "submission", "update"}
        assert prefixes(simulation.writes) == {"submission", "update"}
        assert not simulation.ranges


def test_a_ceremony_never_reads_what_miners_write() -> None:
    play = Play()
    play.start()
    play.to(Phase.COMMIT)
    for seat in (1, 2):
        play.key_step("CommitKey", seat, 2)
    last = play.peer.endorse(identity(play.seats[3]), *key_commit(3, 2))
    play.commit()
    play.peer.commit(last)
    assert "submission" not in prefixes(last.reads) | prefixes(start for start, _, _ in last.ranges)


def test_a_view_asks_its_peer_for_each_key_and_each_range_once() -> None:
    play = Play()
    play.start()
    play.to(Phase.SELECT)
    view = play.peer.endorse(identity(OWNER), "blocks:View", TASK)
    assert len(set(view.asked)) == len(view.asked)
    ranges = [start for start, _, _ in view.ranges]
    assert len(set(ranges)) == len(ranges)


def test_the_last_confirmation_opens_commit_without_reading_submissions() -> None:
    play = Play()
    play.start()
    for function in ("CommitKey", "RevealKey", "TestKey", "ConfirmKey"):
        for seat in (1, 2, 3) if function != "ConfirmKey" else (1, 2):
            play.key_step(function, seat, 1)
    part = KeyContribution(confirmed_key=ref("key 1"))
    words = ("blocks:ConfirmKey", TASK, "1", "1", js(part))
    last = play.peer.endorse(identity(play.seats[3]), *words)
    assert "submission" not in prefixes(start for start, _, _ in last.ranges)
    play.peer.commit(last)
    assert play.round().phase == Phase.COMMIT


def test_closing_a_phase_never_loses_a_commit_made_before() -> None:
    play = Play()
    play.start()
    play.to(Phase.COMMIT)
    commit = play.peer.endorse(identity(play.miners[0]), "blocks:Commit", TASK, "1", "0" * 64)
    late = play.peer.endorse(identity(play.miners[1]), "blocks:Commit", TASK, "1", "0" * 64)
    play.wait()
    close = play.peer.endorse(identity("OwnerMSP/anyone"), "blocks:Advance", TASK)
    play.peer.commit(commit)
    with pytest.raises(ConflictError):
        play.peer.commit(close)
    play.advance()
    with pytest.raises(ConflictError):
        play.peer.commit(late)


def test_of_two_completing_votes_the_second_is_retried_and_moves_the_round() -> None:
    play = Play()
    play.start()
    play.to(Phase.BEACON)
    play.beacon([1])
    both = [
        play.peer.endorse(identity(play.seats[seat]), "blocks:RevealBeacon", TASK, "1", secret(seat, 1))
        for seat in (2, 3)
    ]
    play.peer.commit(both[0])
    with pytest.raises(ConflictError, match="READ_CONFLICT"):
        play.peer.commit(both[1])
    assert play.round().phase == Phase.BEACON
    play.beacon([3])
    assert play.round().phase == Phase.REVEAL


def test_seats_that_know_of_others_commit_in_one_block_and_anyone_moves_the_step() -> None:
    play = Play()
    play.start()
    steps = [
        (function, [play.key_words(function, seat) for seat in play.seats])
        for function in ("CommitKey", "RevealKey", "TestKey", "ConfirmKey")
    ]
    for _, calls in steps:
        endorsed = [
            play.peer.endorse(identity(play.seats[seat]), *words, "pending")
            for seat, words in enumerate(calls, 1)
        ]
        for simulation in endorsed:
            play.peer.commit(simulation)
        assert play.view().can_advance
        play.advance()
    assert play.round().phase == Phase.COMMIT
    play.to(Phase.BEACON)
    beacons = [
        play.peer.endorse(identity(who), "blocks:RevealBeacon", TASK, "1", secret(seat, 1), "pending")
        for seat, who in play.seats.items()
    ]
    for simulation in beacons:
        play.peer.commit(simulation)
        assert not simulation.ranges
    assert play.round().phase == Phase.BEACON
    play.advance()
    assert play.round().phase == Phase.REVEAL


def test_a_step_that_is_closed_takes_no_late_part_of_a_seat_that_knew_of_others() -> None:
    play = Play()
    play.start()
    play.to(Phase.BEACON)
    late = play.peer.endorse(
        identity(play.seats[3]), "blocks:RevealBeacon", TASK, "1", secret(3, 1), "pending"
    )
    play.beacon([1, 2])
    play.wait()
    play.advance()
    with pytest.raises(ConflictError):
        play.peer.commit(late)
    assert [entry.seat for entry in play.misconducts() if entry.step == "BEACON"] == [3]


def test_a_vote_of_blame_reads_only_whom_it_names() -> None:
    play = Play()
    play.start()
    for function in ("CommitKey", "RevealKey"):
        for seat in play.seats:
            play.key_step(function, seat, 1)
    for seat in play.seats:
        play.complain("TestKey", seat)
    for seat in play.seats:
        play.key_step("OpenKey", seat, 1)
    votes = [play.peer.endorse(identity(play.seats[seat]), *blame_words(3), "pending") for seat in (1, 2)]
    for simulation in votes:
        play.peer.commit(simulation)
    assert [part.HasField("blame") for part in play.view().contributions] == [True, True, False]


@pytest.mark.parametrize("word", ["", "Pending", "pending,pending", "true"])
def test_only_a_seats_step_takes_the_word_pending(word: str) -> None:
    play = Play()
    play.start()
    step = play.key_words("CommitKey", 1)
    for words in ((*step, word), (*step, "pending", "pending"), ("blocks:Advance", TASK, "pending")):
        with pytest.raises(Refusal) as caught:
            play.peer.endorse(identity(play.seats[1]), *words)
        assert caught.value.code == Code.BAD_ARGUMENT


def test_the_first_seats_step_and_the_last_cannot_both_be_lost() -> None:
    play = Play()
    play.start()
    waiting = list(play.seats)
    attempts = 0
    while waiting:
        simulations = [
            (seat, play.peer.endorse(identity(play.seats[seat]), *key_commit(seat, 1))) for seat in waiting
        ]
        for seat, simulation in simulations:
            try:
                play.peer.commit(simulation)
                waiting.remove(seat)
            except ConflictError:
                attempts += 1
    assert attempts
    assert play.view().ceremonies[0].step == CeremonyStep.KEY_REVEAL


def test_two_settlements_of_one_round_pay_once() -> None:
    play = Play()
    play.start()
    play.to(Phase.VALIDATE)
    play.vote({1: play.ballot().reason, 2: play.ballot().reason})
    play.wait(TIMEOUT_S / 2)
    words = play.shown_words([1, 2])
    play.send(play.seats[1], *play.shown_words([1]))
    play.wait(TIMEOUT_S / 2)
    twice = [play.peer.endorse(identity("OwnerMSP/anyone"), "blocks:Advance", TASK) for _ in range(2)]
    last = play.peer.endorse(identity(play.seats[2]), *words)
    play.peer.commit(twice[0])
    paid = play.escrow().paid
    for simulation in (twice[1], last):
        with pytest.raises(ConflictError):
            play.peer.commit(simulation)
    with pytest.raises(Refusal) as caught:
        play.send(play.seats[2], *words)
    assert caught.value.code == Code.WRONG_PHASE
    assert play.escrow().paid == paid
    play.check_tokens()


def test_two_transfers_of_the_same_tokens_spend_them_once() -> None:
    play = Play()
    rich, first, second = play.miners[0], play.miners[1], play.miners[2]
    both = [
        play.peer.endorse(identity(rich), "rewards:Transfer", receiver, str(FUNDS))
        for receiver in (first, second)
    ]
    play.peer.commit(both[0])
    with pytest.raises(ConflictError):
        play.peer.commit(both[1])
    assert [play.balance(who) for who in (rich, first, second)] == [0, 2 * FUNDS, FUNDS]


def test_writes_are_in_the_order_of_keys_and_each_new_key_gets_its_policy_once() -> None:
    play = Play()
    simulation = play.peer.endorse(identity("OwnerMSP/olivia"), "tasks:Publish", js(spec()))
    assert simulation.order == sorted(simulation.order)
    new = {key for key in simulation.writes if not play.peer.value(key)}
    assert set(simulation.policies) == new
    play.peer.commit(simulation)
    quorum = OutOf(2, (SignedBy("V1MSP"), SignedBy("V2MSP"), SignedBy("V3MSP")))
    for policy in play.peer.policies.values():
        assert parse_policy(policy) == quorum
    assert set(play.peer.policies) == set(play.peer.state)
    again = play.peer.endorse(identity(play.miners[0]), "rewards:Transfer", play.miners[1], "1")
    assert not again.policies


def test_seats_that_know_of_others_pending_commit_together_and_then_the_round_moves() -> None:
    play = Play()
    play.start()
    for simulation in [
        play.peer.endorse(identity(who), *key_commit(seat, 1), "pending") for seat, who in play.seats.items()
    ]:
        play.peer.commit(simulation)
    assert play.view().ceremonies[0].step == CeremonyStep.KEY_COMMIT
    assert play.view().can_advance
    play.advance()
    assert play.view().ceremonies[0].step == CeremonyStep.KEY_REVEAL
    play = Play()
    play.start()
    play.to(Phase.BEACON)
    for simulation in [
        play.peer.endorse(identity(who), "blocks:RevealBeacon", TASK, "1", secret(seat, 1), "pending")
        for seat, who in play.seats.items()
    ]:
        play.peer.commit(simulation)
        assert not simulation.ranges
    assert play.round().phase == Phase.BEACON
    play.advance()
    assert play.round().phase == Phase.REVEAL
