"""What is slashed is burnt: no account holds more by another's slash, the treasury's included, and every token is accounted for."""

from __future__ import annotations

import json

from quorumlearn_proto.block_pb2 import BallotReason, Fault, Phase

from tests.chaincode.contracts.market_actors import OWNER, TASK, Play, js, spec


def balances(play: Play) -> dict[str, int]:
    keys = [key for key in play.peer.state if key.startswith("\x00account\x00")]
    return {key.split("\x00")[2]: int(json.loads(play.peer.value(key)).get("balance", 0)) for key in keys}


def test_a_miners_and_a_seats_slash_make_nobody_richer() -> None:
    """A miner withholds in two rounds on end, and two seats say that the third's shares are false."""
    play = Play()
    play.start(spec())
    before = balances(play)
    for number in (1, 2):
        play.to(Phase.COMMIT)
        if number == 1:
            play.ceremony(2)
        play.to(Phase.REVEAL)
        play.reveal(play.miners[:3])
        play.wait()
        play.advance()
        play.to(Phase.SELECT)
        if number == 2:
            play.accuse(1, 2, Fault.BAD_SKETCH_SHARES)
            play.accuse(3, 2, Fault.BAD_SKETCH_SHARES)
        else:
            play.whole_round()
            before = balances(play)
    slashed = {who: play.stake(who).slashed for who in (*play.miners, *play.seats.values())}
    assert slashed[play.miners[3]] == 40
    assert [slashed[play.seats[seat]] for seat in (1, 2, 3)] == [0, 50, 0]
    assert balances(play) == before
    assert play.burnt() == sum(slashed.values())
    play.check_tokens()


def test_the_deposit_of_a_challenge_that_is_voted_down_goes_to_nobody() -> None:
    play = Play()
    play.start(spec())
    play.whole_round()
    before = balances(play)
    play.send(OWNER, "blocks:Challenge", TASK, "1", "it forgets the sevens")
    assert play.burnt() == 0
    ballot = play.ballot()
    ballot.model = play.block(1).core.model.digest
    ballot.reason = BallotReason.GOOD
    for seat in (1, 2):
        play.send(play.seats[seat], "blocks:VoteChallenge", TASK, "1", js(ballot))
    assert balances(play) == before | {OWNER: before[OWNER] - 30}
    assert play.burnt() == 30
    play.check_tokens()
