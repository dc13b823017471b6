"""A task played to each place in which a function of the contracts succeeds for whoever may call it, and stopped there.

Its data are sealed and its trainings are replayed, so that every function there is has its place.

One play leads through all of them, so that it goes on a network as well as in memory. In the first attempt at round 1's key seat 3 is put
out; the second fails through nobody's fault, the third is of seats 1 and 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from quorumlearn_chaincode.contracts import FUNCTIONS
from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import Accusation, Fault, KeyContribution, Phase
from quorumlearn_proto.common_pb2 import OrganisationRoles

from tests.chaincode.contracts.market_actors import (
    FUNDS,
    OWNER,
    SEALING_KEY,
    TASK,
    TREASURY,
    js,
    ref,
    reveal_words,
    secret,
    sha,
)
from tests.chaincode.contracts.recompute_actors import recompute, recompute_spec
from tests.roles.cast import ABROAD, EVERYBODY, JOINING, Everybody, Kind, initialising

TREASURY_KINDS = frozenset({Kind.ADMIN, Kind.TREASURER})
OWNERS = frozenset({Kind.TASK_OWNER, Kind.COLLEAGUE, Kind.OTHER_OWNER})
IN_ROUND = frozenset({Kind.PROPOSER, Kind.CHOSEN})
JOINED = IN_ROUND | {Kind.WAITING}
SEATS = frozenset({Kind.SEAT, Kind.OTHER_SEAT})
HOLDERS = SEATS | {Kind.PUT_OUT}
WITH_TOKENS = EVERYBODY - {Kind.UNKNOWN, Kind.PRETENDER}

Words = Callable[[str], tuple[str, ...]]
"""A call's words, for the account that makes it: valid but for who that is."""


@dataclass(frozen=True)
class Scene:
    """A function called where `may` succeed with it; `right` is one of them."""

    function: str
    may: frozenset[Kind]
    words: Words

    @property
    def right(self) -> Kind:
        return min(self.may - set(ABROAD), key=list(Kind).index)


def _always(function: str, may: frozenset[Kind], *arguments: str) -> Scene:
    return Scene(function, may, lambda _: (function, *arguments))


INITIALISE = _always(initialising()[0], frozenset({Kind.ADMIN}), *initialising()[1:])
"""On a ledger on which nothing stands."""


def story(play: Everybody) -> Iterator[Scene]:
    """The scenes on an initialised ledger, each while the play stands in it."""
    yield from _tokens(play)
    yield from _published(play)
    play.advance()
    play.started = True
    yield from _ceremony(play)
    yield from _round(play)
    yield from _challenged(play)
    yield from _queries()


def _tokens(play: Everybody) -> Iterator[Scene]:
    newcomer = OrganisationRoles(msp_id="M3MSP", roles=["miner"])
    yield _always("rewards:Admit", TREASURY_KINDS, js(newcomer))
    yield _always("rewards:Mint", TREASURY_KINDS, OWNER, "5")
    for account in play.accounts:
        play.send(TREASURY, "rewards:Mint", account, str(FUNDS))
    yield _always("rewards:Transfer", WITH_TOKENS, JOINING[3], "5")


def _published(play: Everybody) -> Iterator[Scene]:
    task = recompute_spec(recompute(sealed=True, seats_read=True), min_aggregate=2)
    task.committee.reserve_msp_ids.append("V4MSP")
    yield _always("tasks:Publish", OWNERS, js(task))
    play.publish(task)
    play.take_seats([2, 3])
    yield _always("tasks:JoinCommittee", frozenset({Kind.SEAT, Kind.SEATLESS}), TASK)
    play.take_seats([1])
    yield _always("tasks:LeaveCommittee", HOLDERS, TASK)
    play.join()
    play.send(JOINING[5], "tasks:Leave", TASK)
    yield _always("tasks:Join", frozenset({Kind.LEFT, Kind.NEVER_JOINED}), TASK)
    yield _always("tasks:Leave", JOINED, TASK)
    yield _always("tasks:ShowKey", JOINED, TASK, SEALING_KEY.hex())
    yield _always("tasks:Cancel", frozenset({Kind.TASK_OWNER}), TASK)
    yield _always("blocks:Advance", EVERYBODY, TASK)


def _ceremony(play: Everybody) -> Iterator[Scene]:
    for function in ("CommitKey", "RevealKey", "TestKey"):
        for seat in play.seats:
            play.key_step(function, seat, 1)
    play.complain("ConfirmKey", 1)
    for seat in (2, 3):
        play.key_step("ConfirmKey", seat, 1)
    for seat in play.seats:
        play.key_step("OpenKey", seat, 1)
    for seat in play.seats:
        play.blame(seat, {3: Fault.BAD_DEALING})
    for function in ("CommitKey", "RevealKey", "TestKey", "ConfirmKey", "OpenKey"):
        yield Scene(f"blocks:{function}", SEATS, partial(_key_words, play, function))
        for seat in (1, 2):
            play.key_step(function, seat, 1, attempt=2, key=f"key by {seat}")
    nobodys = KeyContribution()
    nobodys.blame.SetInParent()
    yield _always("blocks:BlameKey", SEATS, TASK, "1", "2", js(nobodys))
    for seat in (1, 2):
        play.blame(seat, {}, attempt=2)
    play.ceremony(1, [1, 2], attempt=3)


def _key_words(play: Everybody, function: str, who: str) -> tuple[str, ...]:
    return play.key_words(function, _seat(play, who), 1, 2)


def _round(play: Everybody) -> Iterator[Scene]:
    digest = canonical.digest
    yield _always("blocks:Grant", frozenset({Kind.TASK_OWNER}), TASK, "1", js(ref("keys")))
    play.grant()
    yield Scene(
        "blocks:Commit", IN_ROUND, lambda who: ("blocks:Commit", TASK, "1", digest(play.manifest(who)))
    )
    play.to(Phase.BEACON)
    yield Scene(
        "blocks:RevealBeacon",
        SEATS,
        lambda who: ("blocks:RevealBeacon", TASK, "1", secret(_seat(play, who), 1)),
    )
    play.to(Phase.REVEAL)
    yield Scene("blocks:Reveal", IN_ROUND, lambda who: reveal_words(play.manifest(who)))
    play.to(Phase.TRACE)
    yield _always("blocks:OpenTrace", IN_ROUND, TASK, "1", js(ref("opening")))
    play.to(Phase.REPLAY)
    yield _always("blocks:PostReplay", SEATS, TASK, "1", js(ref("report")))
    play.to(Phase.SCREEN)
    yield _always("blocks:PostSketch", SEATS, TASK, "1", js(ref("sketch")))
    play.to(Phase.SELECT)
    yield _always("blocks:VoteSelection", SEATS, TASK, "1", js(play.selection()), sha("basis"))
    yield _always("blocks:Accuse", SEATS, TASK, "1", js(Accusation(fault=Fault.BAD_SKETCH_SHARES)))
    play.to(Phase.OPEN)
    yield _always("blocks:PostPartial", SEATS, TASK, "1", sha("aggregate"), js(ref("opening")))
    play.to(Phase.PROPOSE)
    yield _always("blocks:Propose", frozenset({Kind.PROPOSER}), TASK, "1", js(play.candidate()))
    play.to(Phase.VALIDATE)
    yield Scene(
        "blocks:VoteBlock",
        SEATS,
        lambda who: ("blocks:VoteBlock", TASK, "1", js(play.fixed(_seat(play, who), play.ballot()))),
    )
    for seat in (1, 2):
        play.cast(seat, play.ballot())
    yield Scene("blocks:ShowBallots", SEATS, lambda _: play.shown_words([1, 2]))
    play.show(1)


def _challenged(play: Everybody) -> Iterator[Scene]:
    reason = ("1", "it forgets the sevens")
    takes_part = HOLDERS | JOINED | {Kind.TASK_OWNER, Kind.LEFT}
    yield _always("blocks:Challenge", takes_part, TASK, *reason)
    play.send(OWNER, "blocks:Challenge", TASK, *reason)
    ballot = play.ballot(model=play.block(1).core.model.digest)
    yield _always("blocks:VoteChallenge", HOLDERS, TASK, "1", js(ballot))


def _queries() -> Iterator[Scene]:
    arguments = {
        "account": JOINING[0],
        "task": TASK,
        "round": "1",
        "turn": "0",
        "height": "1",
        "page_size": "10",
        "bookmark": "",
    }
    for function in FUNCTIONS.values():
        if function.query:
            yield _always(function.name, EVERYBODY, *(arguments[name] for name in function.parameters))


def _seat(play: Everybody, who: str) -> int:
    """The seat whose part somebody gives: its own, or the first."""
    return next((number for number, holder in play.seats.items() if holder == who), 1)
