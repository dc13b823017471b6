"""Sealed data: who shows a key and when, who gives the keys of a round, and that nobody is absent without them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.block_pb2 import Outcome, Phase, Round
from quorumlearn_proto.page_pb2 import ParticipationPage

from tests.chaincode.contracts.market_actors import OWNER, SEALING_KEY, TASK, TIMEOUT_S, js, ref
from tests.chaincode.contracts.recompute_actors import RecomputePlay, recompute, recompute_spec
from tests.chaincode.contracts.test_timeouts import expire

pytestmark = pytest.mark.usefixtures("views_are_whole")


def sealed(**changes: object) -> RecomputePlay:
    play = RecomputePlay()
    play.start(recompute_spec(recompute(sealed=True, seats_read=True), **changes))
    return play


def code(call: Callable[[], object]) -> Code:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code


def keys(play: RecomputePlay) -> dict[str, bytes]:
    page = play.ask(ParticipationPage, "tasks:Miners", TASK, "100", "")
    return {one.miner: one.sealing_key for one in page.participations}


def test_a_miner_shows_a_key_and_another_in_its_place() -> None:
    play = RecomputePlay()
    play.publish(recompute_spec(recompute(sealed=True, seats_read=True)))
    miner, *others = play.miners
    assert code(lambda: play.show_key(miner)) == Code.WRONG_ROLE
    play.take_seats()
    play.join()
    play.show_key(miner)
    play.show_key(miner, b"a" * 32)
    assert keys(play) == {miner: b"a" * 32} | dict.fromkeys(others, b"")
    play.advance()
    play.to(Phase.COMMIT)
    play.show_key(miner, SEALING_KEY)
    assert keys(play)[miner] == SEALING_KEY
    play.send(others[0], "tasks:Leave", TASK)
    play.to(Phase.BEACON)
    assert code(lambda: play.show_key(miner)) == Code.WRONG_PHASE


def test_no_key_is_shown_on_the_deadline_of_commit_which_reads_all_miners() -> None:
    play = sealed()
    play.to(Phase.COMMIT)
    play.wait(TIMEOUT_S)
    assert code(lambda: play.show_key(play.miners[0])) == Code.WRONG_PHASE


@pytest.mark.parametrize(
    "text", ["", "00" * 31, "00" * 4097, "0" * 65, "AB" * 32, "0x" + "00" * 32, "zz" * 32]
)
def test_a_key_is_bytes_in_hex(text: str) -> None:
    play = RecomputePlay()
    play.publish(recompute_spec(recompute(sealed=True, seats_read=True)))
    play.join()
    assert code(lambda: play.send(play.miners[0], "tasks:ShowKey", TASK, text)) == Code.BAD_ARGUMENT


def test_who_has_left_shows_no_key() -> None:
    play = RecomputePlay()
    play.publish(recompute_spec(recompute(sealed=True, seats_read=True)))
    play.join()
    play.send(play.miners[0], "tasks:Leave", TASK)
    assert code(lambda: play.show_key(play.miners[0])) == Code.WRONG_ROLE


def test_public_data_take_no_keys() -> None:
    play = RecomputePlay()
    play.start()
    play.to(Phase.COMMIT)
    assert code(lambda: play.show_key(play.miners[0])) == Code.NOT_SUPPORTED
    assert code(play.grant) == Code.NOT_SUPPORTED


def test_the_owner_gives_the_keys_in_commit_and_time_to_train_with_them() -> None:
    play = sealed()
    assert code(play.grant) == Code.WRONG_PHASE
    play.to(Phase.COMMIT)
    assert not play.view().HasField("grant")
    play.wait(TIMEOUT_S - 1)
    play.grant()
    view = play.view()
    assert view.grant.keys == ref("keys")
    assert view.round.deadline_ms == play.peer.clock_ms + TIMEOUT_S * 1000
    play.whole_round()
    assert play.ask(Round, "blocks:Round", TASK, "1").outcome == Outcome.ACCEPTED
    assert play.view().round.number == 2
    assert not play.view().HasField("grant")


def test_only_the_tasks_owner_gives_keys_and_names_an_artifact() -> None:
    play = sealed()
    play.to(Phase.COMMIT)
    assert code(lambda: play.grant(who="OwnerMSP/anyone")) == Code.NOT_THE_OWNER
    assert code(lambda: play.grant(who=play.miners[0])) == Code.WRONG_ORGANISATION
    assert code(lambda: play.send(OWNER, "blocks:Grant", TASK, "1", "{}")) == Code.BAD_ARGUMENT
    assert code(lambda: play.send(OWNER, "blocks:Grant", TASK, "2", js(ref("keys")))) == Code.NO_SUCH_ROUND


def test_no_other_keys_are_given_once_miners_may_have_trained() -> None:
    """Other keys could be those of other chunks: seats would replay on them what miners have trained on the first, and slash it."""
    play = sealed()
    play.to(Phase.COMMIT)
    play.grant()
    assert code(lambda: play.grant("others")) == Code.ALREADY_POSTED
    assert play.view().grant.keys == ref("keys")
    play.whole_round()
    play.to(Phase.COMMIT)
    play.grant("others")
    assert play.view().grant.keys == ref("others")


def test_no_keys_are_given_on_the_deadline_of_commit() -> None:
    late = sealed()
    late.to(Phase.COMMIT)
    late.wait(TIMEOUT_S)
    assert code(late.grant) == Code.WRONG_PHASE


@pytest.mark.parametrize("committed", [0, 3])
@pytest.mark.parametrize("grants", [(), ("keys",)])
def test_nobody_is_absent_from_a_round_without_keys(grants: tuple[str, ...], committed: int) -> None:
    play = sealed()
    play.to(Phase.COMMIT)
    for one in grants:
        play.grant(one)
    here = list(play.round().miners)[:committed]
    play.commit(here)
    expire(play)
    absentees = list(play.ask(Round, "blocks:Round", TASK, "1").absentees)
    missing = [miner for miner in play.miners if miner not in here]
    assert sorted(absentees) == (sorted(missing) if grants else [])


def test_sealing_keys_stand_where_who_reads_the_task_finds_them() -> None:
    play = sealed()
    play.to(Phase.COMMIT)
    for miner in play.miners:
        play.show_key(miner)
    assert set(keys(play).values()) == {SEALING_KEY}
    play.whole_round()
    assert set(keys(play).values()) == {SEALING_KEY}
