"""Each function's own refusals: amounts, identities, records, once-only, and what must agree."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal, errors
from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import (
    Ballot,
    BallotReason,
    Candidate,
    KeyContribution,
    Phase,
    Reason,
    Round,
    Selection,
    TaskView,
    Verdict,
)
from quorumlearn_proto.common_pb2 import ArtifactRef, Config
from quorumlearn_proto.page_pb2 import (
    AccountPage,
    AccountStatement,
    BlockPage,
    StakePage,
    TaskPage,
)
from quorumlearn_proto.reward_pb2 import MovementKind
from quorumlearn_proto.task_pb2 import TaskStatus

from tests.chaincode.contracts.ledger_stub import Peer, identity
from tests.chaincode.contracts.market_actors import (
    FUNDS,
    OWNER,
    SEALING_KEY,
    TASK,
    TREASURY,
    Play,
    config,
    js,
    ref,
    reveal_words,
    secret,
    sha,
    spec,
)

BAD_AMOUNTS = [
    "",
    "0",
    "-1",
    "+5",
    " 5",
    "5 ",
    "5.0",
    "5e3",
    "05",
    "٥",
    "５",
    "1_000",
    str(10**15 + 1),
    "9" * 99,
]


def code(act: Callable[..., object], *arguments: object, **named: object) -> Code:
    with pytest.raises(Refusal) as caught:
        act(*arguments, **named)
    return caught.value.code


def at(phase: Phase) -> Play:
    play = Play()
    play.start()
    play.to(phase)
    return play


# rewards


@pytest.mark.parametrize("text", BAD_AMOUNTS)
def test_only_plain_positive_amounts_move(text: str) -> None:
    play = Play()
    assert code(play.send, TREASURY, "rewards:Mint", OWNER, text) == Code.BAD_AMOUNT
    assert code(play.send, OWNER, "rewards:Transfer", play.miners[0], text) == Code.BAD_AMOUNT


@pytest.mark.parametrize(
    "text", ["", "olivia", "/x", "x/", "OwnerMSP/a/b", "OwnerMSP/a b", "OwnerMSP/é", "O" * 99 + "/x"]
)
def test_only_identities_have_accounts(text: str) -> None:
    play = Play()
    for words in (("rewards:Mint", text, "5"), ("rewards:Account", text), ("rewards:Statement", text)):
        assert code(play.send, TREASURY, *words) == Code.BAD_ARGUMENT


def test_tokens_of_unknown_organisations_and_overspending_are_refused() -> None:
    play = Play()
    assert code(play.send, TREASURY, "rewards:Mint", "StrangeMSP/eve", "5") == Code.WRONG_ORGANISATION
    assert code(play.send, OWNER, "rewards:Transfer", "StrangeMSP/eve", "5") == Code.WRONG_ORGANISATION
    assert code(play.send, OWNER, "rewards:Transfer", OWNER, "5") == Code.BAD_ARGUMENT
    assert code(play.send, OWNER, "rewards:Transfer", TREASURY, str(FUNDS + 1)) == Code.OVERSPENDING
    assert code(play.send, "OwnerMSP/poor", "rewards:Transfer", OWNER, "1") == Code.OVERSPENDING
    assert code(play.send, OWNER, "rewards:Account", "OwnerMSP/poor") == Code.NO_SUCH_ACCOUNT


def test_minting_ends_at_the_supply_limit() -> None:
    play = Play()
    for _ in range(999):
        play.send(TREASURY, "rewards:Mint", OWNER, str(10**15))
    assert code(play.send, TREASURY, "rewards:Mint", OWNER, str(10**15)) == Code.BAD_AMOUNT
    play.check_tokens()


def test_initialise_takes_an_admin_of_the_treasury_it_names_and_works_once() -> None:
    peer, text = Peer(), js(config())
    for who, units, expected in (
        ("TreasuryMSP/admin", ("client",), Code.WRONG_ROLE),
        ("OwnerMSP/admin", ("admin",), Code.WRONG_ORGANISATION),
    ):
        assert code(peer.submit, identity(who, units=units), "rewards:Initialise", text) == expected
    admin = identity(TREASURY, units=("client", "admin"))
    peer.submit(admin, "rewards:Initialise", text)
    assert code(peer.submit, admin, "rewards:Initialise", text) == Code.ALREADY_INITIALISED
    assert canonical.from_json(Config, peer.evaluate(admin, "rewards:Config")) == config()


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.organisations.pop(0),
        lambda c: c.organisations.append(c.organisations[0]),
        lambda c: c.organisations[1].roles.append("king"),
        lambda c: c.organisations[1].roles.append("treasury"),
        lambda c: c.organisations[1].roles.append("owner"),
        lambda c: setattr(c.organisations[1], "msp_id", "a/b"),
        lambda c: setattr(c, "treasury_msp", "OwnerMSP"),
        lambda c: setattr(c, "verifier_quorum", 0),
        lambda c: setattr(c, "verifier_quorum", 4),
        lambda c: c.verifier_msps.append("V1MSP"),
        lambda c: c.verifier_msps.append("OwnerMSP"),
        lambda c: c.ClearField("verifier_msps"),
        lambda c: c.ClearField("organisations"),
    ],
    ids=range(13),
)
def test_a_config_that_cannot_work_is_refused(change: Callable[[Config], object]) -> None:
    made = config()
    change(made)
    admin = identity(f"{made.treasury_msp}/admin", units=("admin",))
    assert code(Peer().submit, admin, "rewards:Initialise", js(made)) == Code.BAD_ARGUMENT


def test_a_statement_shows_every_movement_newest_first() -> None:
    play = Play()
    play.start(spec(rounds=2))
    play.whole_round()
    play.whole_round()
    entries = play.ask(AccountStatement, "rewards:Statement", play.miners[0]).entries
    balances = [entry.account.balance for entry in entries]
    assert balances[-1] == FUNDS
    assert balances[0] == play.balance(play.miners[0])
    last = entries[0].account
    kinds = [move.kind for move in (*last.earlier, last.last)]
    assert kinds[0] == MovementKind.PAYOUT
    assert kinds[-1] == MovementKind.STAKE_RETURN


def test_lists_are_paged_to_the_end_and_bookmarks_belong_to_their_list() -> None:
    play = Play(miner_count=9)
    play.start()
    names, bookmark = [], ""
    while True:
        page = play.ask(AccountPage, "rewards:Accounts", "4", bookmark)
        names += [account.account_id for account in page.accounts]
        bookmark = page.bookmark
        if not bookmark:
            break
        kept = bookmark
    assert names == sorted({OWNER, *play.miners, *play.seats.values()})
    assert code(play.ask, TaskPage, "tasks:List", "4", kept) == Code.BAD_ARGUMENT
    for size, mark in (("0", ""), ("1001", ""), ("4", "zz"), ("4", "ff"), ("4", "00" * 600), ("x", "")):
        assert code(play.ask, AccountPage, "rewards:Accounts", size, mark) == Code.BAD_ARGUMENT
    assert len(play.ask(TaskPage, "tasks:List", "4", "").tasks) == 1
    assert len(play.ask(StakePage, "rewards:Stakes", TASK, "1000", "").stakes) == 12
    assert len(play.ask(BlockPage, "blocks:Blocks", TASK, "1000", "").blocks) == 1


# tasks


def test_a_task_is_published_once_and_paid_in_advance() -> None:
    play = Play()
    play.publish()
    assert code(play.publish) == Code.TASK_EXISTS
    assert play.balance(OWNER) == FUNDS - 2000
    other = spec(task_id="digits-2")
    other.reward.per_round = FUNDS
    assert code(play.publish, other) == Code.OVERSPENDING


def test_a_seat_is_taken_once_by_its_organisation() -> None:
    play = Play()
    play.publish()
    play.take_seats([1])
    assert code(play.take_seats, [1]) == Code.SEAT_TAKEN
    assert code(play.send, "V1MSP/other", "tasks:JoinCommittee", TASK) == Code.SEAT_TAKEN
    narrow = Play(seats=4)
    narrow.publish()
    assert code(narrow.take_seats, [4]) == Code.WRONG_ORGANISATION


def test_one_identity_cannot_mine_and_verify_one_task() -> None:
    both = config()
    both.organisations[-1].roles.append("miner")
    play = Play()
    play.peer = Peer()
    play.peer.submit(identity(TREASURY, units=("admin",)), "rewards:Initialise", js(both))
    for account in (OWNER, play.seats[3]):
        play.send(TREASURY, "rewards:Mint", account, str(FUNDS))
    play.publish()
    play.join([play.seats[3]])
    assert code(play.take_seats, [3]) == Code.ALREADY_JOINED
    play.send(play.seats[3], "tasks:Leave", TASK)
    play.take_seats([3])
    assert code(play.join, [play.seats[3]]) == Code.ALREADY_JOINED


def test_joining_leaving_and_joining_again() -> None:
    play = Play()
    play.publish()
    miner = play.miners[0]
    assert code(play.send, miner, "tasks:Leave", TASK) == Code.WRONG_ROLE
    play.join([miner])
    assert code(play.join, [miner]) == Code.ALREADY_JOINED
    assert play.stake(miner).amount == 100
    play.send(miner, "tasks:Leave", TASK)
    assert code(play.send, miner, "tasks:Leave", TASK) == Code.WRONG_ROLE
    assert play.balance(miner) == FUNDS
    play.join([miner])
    assert list(play.view().miners) == [miner]
    poor = play.miners[1]
    play.send(poor, "rewards:Transfer", OWNER, str(FUNDS - 99))
    assert code(play.join, [poor]) == Code.OVERSPENDING


def test_a_miner_that_is_in_no_round_leaves_at_once() -> None:
    play = Play(miner_count=5)
    play.start()
    play.to(Phase.COMMIT)
    reserve = (set(play.miners) - set(play.round().miners)).pop()
    play.send(reserve, "tasks:Leave", TASK)
    assert play.balance(reserve) == FUNDS


def test_a_miner_leaves_after_the_round_under_way_and_has_its_stake_back_then() -> None:
    play = Play(miner_count=5)
    play.start()
    play.to(Phase.REVEAL)
    leaving, waiting = play.miners[0], play.miners[4]
    play.send(leaving, "tasks:Leave", TASK)
    assert code(play.send, leaving, "tasks:Leave", TASK) == Code.WRONG_PHASE
    assert code(play.join, [leaving]) == Code.ALREADY_JOINED
    assert play.stake(leaving).amount == 100
    assert leaving in play.view().miners
    play.whole_round()
    assert play.state().round == 2
    assert (play.stake(leaving).amount, play.stake(leaving).slashed) == (0, 0)
    assert play.stake(leaving).paid > 0
    assert play.balance(leaving) == FUNDS + play.stake(leaving).paid
    assert leaving not in play.view().miners
    assert leaving not in play.round().miners
    assert waiting in play.round().miners
    play.check_tokens()
    play.to(Phase.COMMIT)
    play.join([leaving])
    assert play.stake(leaving).amount == 100


def test_a_miner_that_leaves_is_bound_to_the_round_it_leaves_in() -> None:
    play = Play(miner_count=4)
    play.start()
    play.to(Phase.COMMIT)
    leaving = play.round().miners[0]
    play.send(leaving, "tasks:Leave", TASK)
    play.to(Phase.REVEAL)
    play.reveal(list(play.round().miners)[1:])
    play.wait()
    play.advance()
    assert play.stake(leaving).amount == 100
    while play.round().number == 1:
        play.to(Phase.VALIDATE)
        play.vote()
    withheld = play.ask(Round, "blocks:Round", TASK, "1").selection.verdicts[0]
    assert (withheld.miner, withheld.reason) == (leaving, Reason.WITHHELD)
    assert play.balance(leaving) == FUNDS
    play.check_tokens()


def test_with_too_few_left_the_task_ends_and_everything_goes_back() -> None:
    play = Play(miner_count=4)
    play.start()
    play.to(Phase.REVEAL)
    for miner in list(play.round().miners)[:2]:
        play.send(miner, "tasks:Leave", TASK)
    play.whole_round()
    assert play.state().status == TaskStatus.EXPIRED
    assert [play.stake(miner).amount for miner in play.miners] == [0, 0, 0, 0]
    play.check_tokens()


def test_cancelling_before_the_start_refunds_at_once() -> None:
    play = Play()
    play.publish()
    play.take_seats()
    play.join()
    assert code(play.send, "OwnerMSP/other", "tasks:Cancel", TASK) == Code.NOT_THE_OWNER
    play.send(OWNER, "tasks:Cancel", TASK)
    assert play.state().status == TaskStatus.CANCELLED
    assert all(play.balance(who) == FUNDS for who in (OWNER, *play.miners, *play.seats.values()))
    for act in (lambda: play.send(OWNER, "tasks:Cancel", TASK), play.join, play.take_seats):
        assert code(act) == Code.WRONG_PHASE
    assert code(play.send, play.miners[0], "tasks:Leave", TASK) == Code.WRONG_PHASE
    assert code(play.advance) == Code.NOT_DUE


def test_cancelling_a_running_task_still_pays_the_round_under_way() -> None:
    play = at(Phase.REVEAL)
    play.send(OWNER, "tasks:Cancel", TASK)
    assert code(play.send, OWNER, "tasks:Cancel", TASK) == Code.WRONG_PHASE
    play.whole_round()
    assert play.state().status == TaskStatus.CANCELLED
    assert play.escrow().paid == 700 + 3 * 66 + 100
    assert play.balance(OWNER) == FUNDS - play.escrow().paid


# blocks, miners


def test_a_commit_is_made_once_by_a_miner_of_the_round_in_its_phase() -> None:
    play = Play(miner_count=5)
    play.start()
    play.to(Phase.COMMIT)
    inside, reserve = play.round().miners[0], (set(play.miners) - set(play.round().miners)).pop()
    assert code(play.send, reserve, "blocks:Commit", TASK, "1", "0" * 64) == Code.WRONG_ROLE
    for digest in ("", "0" * 63, "0" * 65, "A" * 64, "g" * 64):
        assert code(play.send, inside, "blocks:Commit", TASK, "1", digest) == Code.BAD_ARGUMENT
    for number in ("0", "-1", "01", "1.0", "", "10001", "１"):
        assert code(play.send, inside, "blocks:Commit", TASK, number, "0" * 64) == Code.BAD_ARGUMENT
    assert code(play.send, inside, "blocks:Commit", TASK, "2", "0" * 64) == Code.NO_SUCH_ROUND
    play.commit([inside])
    assert code(play.commit, [inside]) == Code.ALREADY_COMMITTED
    assert code(play.reveal, [inside]) == Code.WRONG_PHASE


def test_a_reveal_is_what_was_committed_and_about_this_round() -> None:
    play = at(Phase.COMMIT)
    faults: list[dict[str, Any]] = [
        {"miner": play.miners[1]},
        {"round": 2},
        {"base_block": "0" * 64},
        {"trace_root": "0" * 64},
        {"sample_count": 1 << 41},
        {"update": ArtifactRef(digest="x" * 64)},
        {"salts": ArtifactRef(digest="x" * 64)},
    ]
    for fault in faults:
        play = at(Phase.COMMIT)
        miner = play.miners[0]
        manifest = play.manifest(miner, **fault)
        play.send(miner, "blocks:Commit", TASK, "1", canonical.digest(manifest))
        play.commit(play.miners[1:])
        play.advance()
        play.beacon()
        assert code(play.send, miner, *reveal_words(manifest)) == Code.BAD_ARGUMENT
        other = play.manifest(miner, sample_count=5)
        assert code(play.send, miner, *reveal_words(other)) == Code.DIGEST_MISMATCH


def test_an_update_is_revealed_once() -> None:
    play = at(Phase.COMMIT)
    first, copier = play.miners[0], play.miners[1]
    copy = play.manifest(copier)
    copy.update.CopyFrom(play.manifest(first).update)
    play.send(copier, "blocks:Commit", TASK, "1", canonical.digest(copy))
    play.commit([miner for miner in play.miners if miner != copier])
    play.advance()
    play.beacon()
    play.reveal([first])
    assert code(play.send, copier, *reveal_words(copy)) == Code.DUPLICATE_UPDATE
    assert code(play.reveal, [first]) == Code.ALREADY_REVEALED
    assert code(play.send, "M1MSP/stranger", *reveal_words(copy)) == Code.WRONG_ROLE


# blocks, verifiers


def test_a_ceremony_takes_each_step_once_in_its_order() -> None:
    play = Play()
    play.start()
    assert code(play.key_step, "RevealKey", 1, 1) == Code.WRONG_PHASE
    assert code(play.key_step, "CommitKey", 1, 1, 2) == Code.WRONG_PHASE
    assert code(play.key_step, "CommitKey", 1, 2) == Code.NO_SUCH_ROUND
    play.key_step("CommitKey", 1, 1)
    assert code(play.key_step, "CommitKey", 1, 1) == Code.ALREADY_POSTED
    good = KeyContribution(
        public_share=ref("b"), beacon_commitment="0" * 64, sealing_key=SEALING_KEY, seat=2, task_id=TASK
    )
    for field, value in (
        ("seat", 3),
        ("verifier", play.seats[3]),
        ("beacon_commitment", "0"),
        ("sealing_key", b"short"),
        ("beacon", "0" * 64),
        ("confirmed_key", ref("x")),
        ("public_share", ArtifactRef(digest="0" * 64)),
    ):
        bad = KeyContribution()
        bad.CopyFrom(good)
        if isinstance(value, ArtifactRef):
            getattr(bad, field).Clear()
            getattr(bad, field).CopyFrom(value)
        else:
            setattr(bad, field, value)
        assert (
            code(play.send, play.seats[2], "blocks:CommitKey", TASK, "1", "1", js(bad)) == Code.BAD_ARGUMENT
        )
    play.send(play.seats[2], "blocks:CommitKey", TASK, "1", "1", js(good))
    assert code(play.send, "V3MSP/other", "blocks:CommitKey", TASK, "1", "1", js(good)) == Code.WRONG_ROLE


def test_a_seat_takes_part_in_its_phases_only_once_and_only_while_it_stays() -> None:
    play = at(Phase.BEACON)
    assert code(play.send, play.seats[1], "blocks:RevealBeacon", TASK, "1", "0" * 64) == Code.DIGEST_MISMATCH
    assert code(play.send, play.seats[1], "blocks:RevealBeacon", TASK, "1", "zz") == Code.BAD_ARGUMENT
    play.beacon([1])
    assert code(play.beacon, [1]) == Code.ALREADY_REVEALED
    assert code(play.send, play.seats[1], "blocks:PostSketch", TASK, "1", js(ref("s"))) == Code.WRONG_PHASE
    play.beacon([2])
    play.wait()
    play.advance()
    play.to(Phase.SCREEN)
    assert code(play.sketch, [3]) == Code.WRONG_ROLE
    play.sketch([1])
    assert code(play.sketch, [1]) == Code.ALREADY_POSTED
    assert code(play.send, play.seats[2], "blocks:RevealBeacon", TASK, "1", secret(2, 1)) == Code.WRONG_PHASE


def test_a_selection_that_contradicts_the_ledger_is_refused() -> None:
    play = at(Phase.REVEAL)
    play.reveal(play.miners[:3])
    play.wait()
    play.advance()
    play.to(Phase.SELECT)
    good = play.selection()
    by_name = {verdict.miner: index for index, verdict in enumerate(good.verdicts)}
    gone, here = by_name[play.miners[3]], by_name[play.miners[0]]
    for index, verdict in (
        (gone, Verdict(miner=play.miners[3], weight=1, reason=Reason.CONTRIBUTES)),
        (gone, Verdict(miner=play.miners[3], reason=Reason.ABSENT)),
        (here, Verdict(miner=play.miners[0], reason=Reason.WITHHELD)),
        (here, Verdict(miner=play.miners[0], reason=Reason.CONTRIBUTES)),
        (here, Verdict(miner=play.miners[0], weight=1, reason=Reason.OUTLIER)),
        (here, Verdict(miner=play.miners[0], weight=7, reason=Reason.CONTRIBUTES)),
        (here, Verdict(miner=play.miners[1], weight=1, reason=Reason.CONTRIBUTES)),
        (here, Verdict(miner=play.miners[0])),
        (here, Verdict(miner=play.miners[0], reason=Reason.OUTLIER, detail="x" * 201)),
        (here, Verdict(miner=play.miners[0], reason=Reason.OUTLIER, detail="a\x1bb")),
    ):
        bad = Selection()
        bad.CopyFrom(good)
        bad.verdicts[index].CopyFrom(verdict)
        assert code(play.select, bad, [1]) == Code.BAD_ARGUMENT
    assert code(play.select, Selection(verdicts=good.verdicts[:-1]), [1]) == Code.BAD_ARGUMENT
    play.select(good)


def test_a_candidate_comes_from_the_drawn_miner() -> None:
    play = at(Phase.PROPOSE)
    first, second = play.round().proposers[:2]
    words = ("blocks:Propose", TASK, "1")
    assert code(play.send, second, *words, js(play.candidate())) == Code.NOT_YOUR_TURN
    for bad in (
        Candidate(),
        Candidate(model=ref("m"), aggregate=ref("a", 0)),
        Candidate(model=ref("m", 1 << 41), aggregate=ref("a")),
        Candidate(model=ref("m"), aggregate=ref("a"), proposer=second),
    ):
        assert code(play.send, first, *words, js(bad)) == Code.BAD_ARGUMENT
    assert code(play.open, [1]) == Code.WRONG_PHASE


def test_a_ballot_is_on_the_candidate_and_cast_once() -> None:
    play = at(Phase.VALIDATE)
    model = play.round().candidate.model.digest
    for ballot, expected in (
        (Ballot(model=sha("other"), reason=BallotReason.GOOD), Code.DIGEST_MISMATCH),
        (Ballot(model=model), Code.BAD_ARGUMENT),
        (Ballot(model=model, reason=BallotReason.GOOD, score=2_000_000, total=1), Code.BAD_ARGUMENT),
        (Ballot(model=model, reason=BallotReason.GOOD, base_score=2_000_000, total=1), Code.BAD_ARGUMENT),
        (Ballot(model=model, reason=BallotReason.GOOD, round=2), Code.BAD_ARGUMENT),
        (Ballot(model=model, reason=BallotReason.GOOD, verifier=play.seats[2]), Code.BAD_ARGUMENT),
        (Ballot(model=model, reason=BallotReason.GOOD, total=1 << 41), Code.BAD_ARGUMENT),
    ):
        play = at(Phase.VALIDATE)
        for seat in play.seats:
            play.cast(seat, ballot)
        assert code(play.show, 1, of=[1]) == expected
    play = at(Phase.VALIDATE)
    play.vote({1: BallotReason.GOOD})
    assert code(play.vote, {1: BallotReason.SCORE_FELL}) == Code.ALREADY_VOTED


def test_earlier_rounds_can_be_viewed_and_unknown_ones_not() -> None:
    play = Play()
    play.start()
    play.whole_round()
    view = play.ask(TaskView, "blocks:RoundView", TASK, "1")
    assert (view.round.number, len(view.submissions), len(view.screenings), len(view.ballots)) == (1, 4, 3, 3)
    assert code(play.ask, TaskView, "blocks:RoundView", TASK, "3") == Code.NO_SUCH_ROUND
    assert code(play.ask, TaskView, "blocks:Round", TASK, "3") == Code.NO_SUCH_ROUND
    assert code(play.ask, TaskView, "blocks:Block", TASK, "2") == Code.NO_SUCH_BLOCK


@pytest.mark.parametrize("one", Code, ids=str)
def test_every_code_is_raised_and_tested(one: Code) -> None:
    declared = Path(errors.__file__)
    for room in (declared.parent, Path(__file__).parent):
        files = [path for path in room.glob("*.py") if path != declared]
        assert any(re.search(rf"\bCode\.{one.name}\b", path.read_text()) for path in files), room
