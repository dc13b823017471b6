"""A task of two rounds, everyone honest: what is on the ledger at its end, to the token."""

from __future__ import annotations

from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import BlockStatus, Outcome, Phase, TaskView
from quorumlearn_proto.common_pb2 import Head
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.page_pb2 import BlockPage, ParticipationPage, RoundPage, SubmissionPage
from quorumlearn_proto.task_pb2 import TaskStatus

from tests.chaincode.contracts.market_actors import FUNDS, OWNER, PHASES, TASK, Play


def test_two_honest_rounds_complete_the_task_and_pay_everyone() -> None:
    play = Play()
    play.start()
    play.whole_round()
    assert play.round().number == 2
    assert play.round().phase == Phase.KEY
    play.whole_round()
    view = play.view()
    assert view.state.status == TaskStatus.COMPLETED
    assert view.state.head.height == 2
    # 700 to 4 miners a round, 200 to 3 seats (66 each), 100 to the proposer
    proposers = [play.block(1).core.proposer, play.block(2).core.proposer]
    for miner in play.miners:
        assert play.balance(miner) == FUNDS + 2 * 175 + 100 * proposers.count(miner)
    for verifier in play.seats.values():
        assert play.balance(verifier) == FUNDS + 2 * 66
    assert play.balance(OWNER) == FUNDS - 2 * (700 + 3 * 66 + 100)
    assert play.escrow().amount == 0
    assert all(play.stake(who).amount == 0 for who in (*play.miners, *play.seats.values()))
    play.check_tokens()


def test_the_blocks_are_one_hash_linked_chain_from_the_specification() -> None:
    play = Play()
    play.start()
    play.whole_round()
    play.whole_round()
    page = play.ask(BlockPage, "blocks:Blocks", TASK, "10", "")
    assert [block.core.height for block in page.blocks] == [0, 1, 2]
    previous = play.view().task.spec_digest
    for block in page.blocks:
        assert block.core.previous == previous
        assert block.digest == canonical.digest(block.core)
        assert block.status == BlockStatus.GOOD_BLOCK
        previous = block.digest
    assert play.ask(Head, "blocks:Head", TASK).digest == previous
    assert len(page.blocks[1].ballots) == 3
    assert page.blocks[1].manifests == [
        entry.manifest_digest
        for entry in play.ask(SubmissionPage, "blocks:Submissions", TASK, "1", "10", "").submissions
    ]


def test_a_round_records_when_each_phase_was_entered() -> None:
    play = Play()
    play.start()
    for phase in (Phase.COMMIT, Phase.BEACON, Phase.REVEAL, Phase.SCREEN, Phase.SELECT, Phase.OPEN):
        play.wait(1)
        play.to(phase)
        assert play.round().deadline_ms == play.peer.clock_ms + 100_000
    play.whole_round()
    first = play.ask(RoundPage, "blocks:Rounds", TASK, "1", "").rounds[0]
    assert [entry.phase for entry in first.times] == [*PHASES, Phase.ENDED]
    entered = [entry.entered_ms for entry in first.times]
    assert entered == sorted(entered)
    assert first.outcome == Outcome.ACCEPTED


def test_every_change_emits_one_event_named_after_its_function() -> None:
    play = Play()
    play.start()
    play.whole_round()
    play.whole_round()
    for name, payload in play.peer.events:
        event = canonical.from_json(LedgerEvent, payload)
        assert event.kind == name
        assert event.actor
    moved = [canonical.from_json(LedgerEvent, payload) for _, payload in play.peer.events]
    last = moved[-1]
    assert (last.kind, last.moved, last.status) == ("blocks:ShowBallots", True, TaskStatus.COMPLETED)
    assert (last.round, last.phase) == (2, Phase.ENDED)
    commits = [event for event in moved if event.kind == "blocks:Commit"]
    assert len(commits) == 8
    assert all((event.status, event.phase) == (TaskStatus.RUNNING, Phase.COMMIT) for event in commits)


def test_useful_work_counts_accepted_contributions() -> None:
    play = Play()
    play.start()
    play.to(Phase.SELECT)
    chosen = play.selection(dict.fromkeys(play.miners[:3], 2))
    play.select(chosen)
    play.whole_round()
    view = play.ask(TaskView, "blocks:View", TASK)
    assert [verdict.weight for verdict in play.block(1).core.verdicts].count(2) == 3
    assert view.state.round == 2
    page = play.ask(ParticipationPage, "tasks:Miners", TASK, "100", "")
    assert {entry.miner: entry.work for entry in page.participations} == {
        miner: int(miner in play.miners[:3]) for miner in play.miners
    }
    assert not any(play.stake(miner).slashed for miner in play.miners)
