"""A committee changes between rounds: a seat is left, a reserve takes it, blocks go on; and a round that has ended stays shut.

One task is played for all: in its first round every verifier's disk is copied, and seat 2's node is told by its file to leave.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from quorumlearn import ckks
from quorumlearn.nodes.committee.attempt import Attempt, Faulty
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import PATIENCE, NodeThread, Stage, at, payouts, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TASK = "changing"
MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
EVERYBODY = ("verifier1", "verifier2", "verifier3", "verifier4")
RESERVE, LEAVING = "verifier4", "verifier2"
ROUNDS = 5
SEATS_OF_ROUNDS = [[1, 2, 3], [1, 2, 3], [1, 3], [1, 3], [1, 2, 3]]
"""Asked in round 1, when the ceremony of round 2 is open. When round 2 ends, that of round 3 is over and that of 4 opens."""
SEALING_KEY_BYTES = 96
SMALL = {"workload": {"name": "mnist-cnn", "config": {"batch_size": "32"}}, "public_blocks": ["bottom"]}


@pytest.fixture(scope="module")
def verifiers() -> int:
    return len(EVERYBODY)


@dataclass(frozen=True)
class Played:
    """The task after its end, and the verifiers' disks in and after its first round."""

    stage: Stage
    during: Path
    after: Path


def copied(stage: Stage, name: str) -> Path:
    """All verifiers' state folders as they are; what a node writes meanwhile may be missed."""
    target = stage.folder / name
    for organisation in EVERYBODY:
        for path in (stage.folder / "state" / organisation).rglob("*"):
            try:
                data = path.read_bytes() if path.is_file() else None
            except FileNotFoundError:
                continue
            if data is not None:
                copy = target / path.relative_to(stage.folder / "state")
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(data)
    return target


def until(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


def forgotten(stage: Stage, number: int) -> None:
    """Wait until no verifier's journal has anything of this round."""
    journals = stage.folder / "state"
    until(
        lambda: not list(journals.glob(f"verifier*/*/{TASK}/round-{number}")), f"round {number} is not erased"
    )


@pytest.fixture(scope="module")
def played(stage: Stage) -> Played:
    files = stage.node_files(TASK, MINERS, EVERYBODY)
    leaving = NodeThread(files[LEAVING])
    others = [NodeThread(file) for organisation, file in files.items() if organisation != LEAVING]
    committee = {
        "organisations": [stage.spec.organisation(one).msp_id for one in EVERYBODY[:3]],
        "threshold": 2,
        "reserves": [stage.spec.organisation(RESERVE).msp_id],
    }
    with running(*others) as nodes:
        stage.publish(TASK, rounds=ROUNDS, committee=committee, **SMALL)
        stage.wait(TASK, at(1, b.COMMIT), nodes)
        leaving.end()
        during = copied(stage, "during")
        node = yaml.safe_load(files[LEAVING].read_text())
        node["identities"][0]["leaves"] = ["chang*"]
        files[LEAVING].write_text(yaml.safe_dump(node))
        with running(NodeThread(files[LEAVING])) as left:
            stage.wait(TASK, at(2, b.COMMIT), nodes + left)
            forgotten(stage, 1)
            after = copied(stage, "after")
            stage.played(TASK, nodes + left)
            for number in range(1, ROUNDS + 1):
                forgotten(stage, number)
    return Played(stage, during, after)


def test_a_reserve_takes_the_seat_that_was_left_and_every_round_is_accepted(played: Played) -> None:
    market = played.stage.market()
    view = market.view(TASK)
    assert view.state.status == t.COMPLETED
    rounds = list(market.rounds(TASK))
    assert [one.outcome for one in rounds] == [b.ACCEPTED] * ROUNDS
    assert [list(one.seats) for one in rounds] == SEATS_OF_ROUNDS
    assert [len(block.ballots) for block in market.blocks(TASK)][1:] == [len(one) for one in SEATS_OF_ROUNDS]
    assert {one.seat: one.verifier for one in view.seats}[2] == played.stage.name(f"{RESERVE}/verifier")
    assert list(market.misconducts(TASK)) == []


def test_who_left_has_its_stake_back_and_each_is_paid_for_its_rounds(played: Played) -> None:
    market = played.stage.market()
    for organisation, rounds in ((LEAVING, [1, 2]), (RESERVE, [5]), ("verifier1", [1, 2, 3, 4, 5])):
        name = played.stage.name(f"{organisation}/verifier")
        assert [number for number, _ in payouts(market, name, TASK)] == rounds
        stake = market.stake(TASK, name)
        assert (stake.amount, stake.slashed) == (0, 0)
    totals = market.totals()
    assert totals.minted == totals.balances + totals.escrows + totals.stakes + totals.burnt


def shares_in(folder: Path, attempt: Attempt, seats: Mapping[str, int]) -> dict[int, list[bytes]]:
    """By seat, every share of a key that a thief finds in or makes of a copied disk, ledger and store."""
    found: dict[int, list[bytes]] = {}
    for organisation, seat in seats.items():
        entries = [path.read_bytes() for path in (folder / organisation).rglob("*") if path.is_file()]
        shares = []
        for entry in entries:
            try:
                ckks.read_share(attempt.parameters, entry)
                shares.append(entry)
            except ckks.MalformedShare:
                pass
            if len(entry) == SEALING_KEY_BYTES:
                try:
                    dealt = [attempt.dealt(attempt.boxes(one), one, seat, entry) for one in attempt.dealers]
                    shares.append(ckks.sum_shares(attempt.parameters, dealt))
                except Faulty:
                    pass
        found[seat] = shares
    return found


def openings(stage: Stage, folder: Path) -> Iterator[list[int]]:
    """What a thief with all these disks reads of the first round's updates."""
    market = stage.market()
    view = market.round_view(TASK, 1)
    parameters = parameters_of(view.task.spec)
    parts = {part.seat: part for part in view.contributions if part.round == 1}
    attempt = Attempt(parameters, stage.store, TASK, 1, 1, parts)
    shares = shares_in(folder, attempt, dict(zip(EVERYBODY[:3], (1, 2, 3), strict=True)))
    for submission in market.submissions(TASK, 1):
        data = stage.store.get(submission.manifest.update, parameters.update_bytes)
        update = ckks.parse(parameters, data)
        for seats in itertools.combinations(sorted(shares), parameters.threshold):
            for chosen in itertools.product(*(shares[seat] for seat in seats)):
                partials = {
                    seat: ckks.partial_decrypt(parameters, share, update)
                    for seat, share in zip(seats, chosen, strict=True)
                }
                try:
                    yield list(ckks.open_partials(parameters, update, partials)[:5])
                except ckks.BadPartial:
                    continue


def test_in_its_round_the_disks_of_t_verifiers_open_every_update(played: Played) -> None:
    assert len(list(openings(played.stage, played.during))) >= len(MINERS)


def test_after_its_round_all_disks_with_store_and_ledger_open_nothing(played: Played) -> None:
    assert list(openings(played.stage, played.after)) == []


def test_no_secret_of_a_round_that_ended_is_left_in_any_file(played: Played) -> None:
    secrets = [
        path.read_bytes()
        for path in played.during.glob(f"*/*/{TASK}/round-1/attempt-1/*")
        if path.name in {"share", "sealing", "secret", "beacon"}
    ]
    assert len(secrets) == 3 * 3, "a share, a sealing key and a beacon of each of three seats"
    kept = [path.read_bytes() for path in played.after.rglob("*") if path.is_file()]
    assert kept
    for secret in secrets:
        assert not any(secret in data or secret[-64:] in data for data in kept)


def test_a_seat_is_left_at_once_and_taken_again_by_command_before_the_task_runs(stage: Stage) -> None:
    task = "by-command"
    stage.publish(task, **SMALL)
    for who, seat in (("verifier1/verifier", 1), ("verifier2/verifier", 2)):
        told = stage.on_ledger("committee", "join", task, "--json", who=who)
        assert (told.code, told.fields.get("seat")) == (0, seat)
    told = stage.on_ledger("committee", "leave", task, who="verifier2/verifier")
    assert (told.code, told.out) == (0, f"the seat of {task} is free\n")
    assert list(stage.market().view(task).free_seats) == [2, 3]
    refused = stage.on_ledger("committee", "leave", task, who="verifier2/verifier")
    assert (refused.code, "WRONG_ROLE" in refused.err) == (4, True)
    assert stage.on_ledger("committee", "join", task, who="verifier2/verifier").code == 0
    shown = stage.on_ledger("committee", "show", task)
    assert "Verifier2MSP/verifier" in shown.out
    assert "no misconduct" in shown.out
    stage.market().cancel(task)


def test_a_node_that_was_away_when_its_task_ended_erases_what_is_left(stage: Stage) -> None:
    task = "ended-away"
    stage.publish(
        task,
        rounds=1,
        miners={"minimum": 2, "maximum": 2, "byzantine": 0},
        timeouts={"commit": 4},
        **SMALL,
    )
    files = stage.node_files(task, {}, EVERYBODY[:3], owner=False)
    left = stage.folder / "state" / "verifier1" / "verifier" / task
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        for who in ("miners1/miner1", "miners2/miner1"):
            stage.market(who).join(task)
        stage.wait(task, at(1, b.COMMIT), nodes)
    assert list(left.glob("round-1/*/share"))
    ended(stage, task)
    with running(NodeThread(files["verifier1"])):
        until(lambda: not list(left.glob("round-*")), "its journal is not erased")


def ended(stage: Stage, task: str) -> None:
    """Nobody is there: the round is over by its deadline, once somebody says so."""

    def over() -> bool:
        if stage.market().view(task).can_advance:
            stage.market().advance(task)
        return stage.market().view(task).state.status == t.COMPLETED

    until(over, f"{task} does not end")
