"""A task is the one that was published: no function goes by another specification, whoever wrote it into the Task record."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from quorumlearn_chaincode.contracts import FUNCTIONS, Code, Refusal
from quorumlearn_proto import canonical
from quorumlearn_proto.derived import spec_digest
from quorumlearn_proto.task_pb2 import RobustRule, Task, TaskSpec

from tests.chaincode.contracts.ledger_stub import identity
from tests.chaincode.contracts.market_actors import OWNER, TASK, Play, js, spec
from tests.chaincode.contracts.test_function_table import HOLDERS, OF_A_TASK, words

KEY = f"\x00task\x00{TASK}\x00"


def fewer_in_a_sum(found: TaskSpec) -> None:
    found.min_aggregate = 0


def another_rule(found: TaskSpec) -> None:
    found.rule.CopyFrom(RobustRule(name="l-nearest", parameters={"nearest": "1"}))


def nothing_for_miners(found: TaskSpec) -> None:
    found.reward.miners_bp, found.reward.verifiers_bp, found.reward.proposer_bp = 0, 10_000, 0


def write_raw(play: Play, change: Callable[[TaskSpec], None], *, its_digest_too: bool) -> None:
    """What a transaction endorsed by whoever may write the key would leave."""
    task = canonical.from_json(Task, play.peer.value(KEY))
    change(task.spec)
    if its_digest_too:
        task.spec_digest = canonical.digest(task.spec)
    play.peer.state[KEY] = (canonical.to_json(task), play.peer.version(KEY) + 1)


def started() -> Play:
    play = Play()
    play.start(spec(min_aggregate=2))
    return play


def refused_everywhere(play: Play) -> None:
    for function in OF_A_TASK:
        call = [TASK if word == "nowhere-1" else word for word in words(function)]
        before = dict(play.peer.state)
        with pytest.raises(Refusal) as caught:
            play.peer.submit(identity(HOLDERS[function.role]), *call)
        assert caught.value.code == Code.TASK_ALTERED, function.name
        assert spec_digest(spec(min_aggregate=2)) in caught.value.sentence
        assert play.peer.state == before


@pytest.mark.parametrize("its_digest_too", [False, True])
@pytest.mark.parametrize("change", [fewer_in_a_sum, another_rule, nothing_for_miners])
def test_no_function_goes_by_another_specification(
    change: Callable[[TaskSpec], None], its_digest_too: bool
) -> None:
    play = started()
    write_raw(play, change, its_digest_too=its_digest_too)
    refused_everywhere(play)


def test_no_function_does_without_the_record_nor_is_its_name_free_again() -> None:
    play = started()
    del play.peer.state[KEY]
    refused_everywhere(play)
    with pytest.raises(Refusal) as caught:
        play.peer.submit(identity(OWNER), "tasks:Publish", js(spec()))
    assert caught.value.code == Code.TASK_EXISTS


def test_once_the_record_is_right_again_the_task_goes_on() -> None:
    play = started()
    before = play.peer.state[KEY]
    write_raw(play, another_rule, its_digest_too=True)
    refused_everywhere(play)
    play.peer.state[KEY] = before
    play.whole_round()
    assert play.round().number == 2


def test_every_function_of_a_task_is_held_to_it() -> None:
    assert {one.name for one in FUNCTIONS.values() if one.of_task} == {one.name for one in OF_A_TASK}
