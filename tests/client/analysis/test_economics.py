"""What cheats gain: small cases by hand, bounds by what the contracts pay, and the pages that say which cheats gain."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.analysis import Costs, Gain, economics_of, usual_costs
from quorumlearn.analysis.cheats import Cheat
from quorumlearn.analysis.places import Place, played
from quorumlearn.cli import run
from quorumlearn.cli.example import task_example
from quorumlearn.nodes import taskfile
from quorumlearn_chaincode.contracts.payment import miners_part, proposer_share, verifier_share
from quorumlearn_network.spec import default_spec
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.penalties import Cost
from quorumlearn_proto.task_pb2 import (
    RECOMPUTE,
    ROBUST,
    ROBUST_AND_RECOMPUTE,
    Committee,
    Recompute,
    RewardSplit,
    RobustRule,
    Stakes,
    TaskSpec,
)

DOCS = Path(__file__).resolve().parents[3] / "docs"
SEATS = ["V1MSP", "V2MSP", "V3MSP"]


def spec(
    *,
    rounds: int = 3,
    minimum: int = 4,
    maximum: int = 5,
    threshold: int = 2,
    rule: str = "multi-krum",
    per_round: int = 1000,
    stakes: Stakes | None = None,
) -> TaskSpec:
    return TaskSpec(
        task_id="t-1",
        rounds=rounds,
        min_miners=minimum,
        max_miners=maximum,
        byzantine=1,
        rule=RobustRule(name=rule),
        mode=ROBUST,
        committee=Committee(msp_ids=SEATS, threshold=threshold),
        reward=RewardSplit(per_round=per_round, miners_bp=7000, verifiers_bp=2500, proposer_bp=500),
        stakes=stakes or Stakes(miner=100, miner_slash=20, verifier=200, verifier_slash=50),
    )


def gain(of: TaskSpec, name: str, training: float = 40, verification: float = 30) -> Gain:
    found = economics_of(of, Costs(training, verification))
    return next(one for one in found.gains if one.name == name)


def test_an_honest_place_has_an_even_part_of_what_the_contracts_pay() -> None:
    found = economics_of(spec(), usual_costs(spec()))
    assert (found.miner_pay, found.seat_pay) == (700 / 5, 83)
    assert found.costs == Costs(35, 20.75)


# By hand: 5 miners share 700 a round, 140 each, a training costs 40, so honest work leaves 100; a seat has 83 - 30 = 53.
@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("bluff", 3 * (700 * 0.6 / 4.6 - 100)),
        ("one batch", 3 * (700 * 1.5 / 5.5 - 4 - 100)),
        ("short update", 3 * (700 * 1.05 / 5.05 - 100)),
        ("near copy", 3 * (700 * 1.4 / 5.4 - 100)),
        ("free rider", 700 * 1.05 / 5.05 - 300),  # paid in the first round only
        ("noise", -300),  # costs no stake
        ("copy", -300),
        ("false claim", -300),
        ("withholding", -300 - 20),  # a slash in the second round, and the place
        ("malformed", -300 - 3 * 20),
        ("wrong model", -3 * (50 + 20) / 5),  # one of five is drawn
        ("copied votes", -3 * 53 - 3 * 50),  # two other seats know the sketches
        ("invented counts", 3 * 0.4 * 30),  # what is left to skip
        ("missing", -3 * 53 - 2 * 50),
        ("false partial", -3 * 83 - 3 * 50),  # its work is done, and the pay lost
        ("false vote", -3 * 83 - 3 * 50),
        ("squatting", 3 * (700 / 4 - 700 / 5 - 100)),  # one place is empty, and not worked in
        ("failed rounds", 0),
    ],
)
def test_each_cheat_gains_what_it_does_by_hand(name: str, task: float) -> None:
    found = gain(spec(), name)
    assert found.task == pytest.approx(task)
    assert found.a_round == pytest.approx(task / 3)


def test_no_more_is_slashed_than_the_stake_covers_and_then_the_place_is_lost() -> None:
    short = spec(rounds=10, stakes=Stakes(miner=50, miner_slash=20))
    assert gain(short, "malformed").task == pytest.approx(-10 * 100 - 2 * 20)


def test_without_a_seat_or_a_miner_to_spare_nobody_is_slashed() -> None:
    tight = spec(threshold=3, maximum=4)
    for name in ("false claim", "withholding"):
        assert gain(tight, name).task == pytest.approx(-3 * (700 / 4 - 40))
    assert gain(tight, "missing").task == pytest.approx(-3 * 53)
    for name in ("false partial", "false vote", "squatting"):
        assert gain(tight, name).task == pytest.approx(0)
    assert gain(tight, "copied votes").task == pytest.approx(3 * 30)


def test_under_agreement_a_near_copy_shares_the_part_of_whom_it_copies() -> None:
    assert not gain(spec(rule="agreement"), "near copy").gains
    assert (
        gain(spec(rule="nnm+multi-krum"), "one batch").task > gain(spec(rule="agreement"), "one batch").task
    )


def test_a_single_round_pays_a_free_rider() -> None:
    """There is no step yet that could be sent again, so nothing is found."""
    assert gain(spec(rounds=1), "free rider").gains


def test_a_cheat_pays_from_the_cost_at_which_its_gain_is_nothing() -> None:
    found = gain(spec(), "bluff")
    assert found.pays_from is not None
    at = found.pays_from * 140
    assert gain(spec(), "bluff", training=at).task == pytest.approx(0)
    assert gain(spec(), "noise").pays_from is None


def test_found_and_slashed_as_often_as_is_said_a_cheat_gains_nothing() -> None:
    found = gain(spec(), "invented counts")
    seat = Place("seat", lambda part: 83 * part, 30, stake=10**6, slash=50)
    made_up = Cheat(name="", what="", decides="", pay=1.0, work=0.6, found=found.deterred_by, cost=Cost.STAKE)
    tokens, worked = played(made_up, seat, 3)
    assert (tokens - 30 * worked, worked) == (pytest.approx(3 * 53), pytest.approx(3 * 0.6))
    assert played(replace(made_up, found=found.deterred_by + 0.01), seat, 3)[0] - 30 * worked < 3 * 53


def test_who_is_found_now_and_then_loses_the_place_when_every_course_is_counted() -> None:
    """Two rounds, a chance of one half: a stake that covers one slash is lost with the place at the first."""
    seat = Place("seat", lambda part: 100 * part, 0, stake=50, slash=50)
    cheat = Cheat(name="", what="", decides="", pay=1.0, work=1.0, found=0.5, cost=Cost.STAKE)
    assert played(cheat, seat, 2) == (0.5 * (100 - 50) + 0.25 * (100 - 50), 1.5)


@given(
    st.integers(1, 6),
    st.integers(4, 9),
    st.integers(0, 4),
    st.integers(2, 3),
    st.sampled_from(["multi-krum", "agreement", "mean", "nnm+clustering"]),
    st.integers(1, 5000),
    st.floats(0, 1000),
)
def test_no_cheat_gains_more_than_the_contracts_could_pay_it_and_it_saves(
    rounds: int, minimum: int, more: int, threshold: int, rule: str, per_round: int, cost: float
) -> None:
    of = spec(
        rounds=rounds,
        minimum=minimum,
        maximum=minimum + more,
        threshold=threshold,
        rule=rule,
        per_round=per_round,
    )
    most = {
        "miner": miners_part(of.reward) + cost,
        "seat": verifier_share(of.reward, 3) + cost,
        "proposer": proposer_share(of.reward),
        "owner": 0,
    }
    for one in economics_of(of, Costs(cost, cost)).gains:
        saved = (
            (minimum + more - 1) * cost if one.name == "squatting" else 0.0
        )  # it works in one place of many
        assert one.task <= rounds * (most[one.place] + saved) + 1e-6
        stake = {"seat": of.stakes.verifier, "owner": 0}.get(one.place, of.stakes.miner)
        assert one.task >= -rounds * most[one.place] - rounds * cost - stake - 1e-6


def recomputed(*, rounds: int = 3, sealed: bool = False) -> TaskSpec:
    """Trainings of 100 segments, of which five are drawn."""
    of = spec(rounds=rounds, rule="average")
    of.mode = RECOMPUTE
    of.recompute.CopyFrom(
        Recompute(chunks_per_miner=2, chunk_steps=50, segment_steps=1, segments=5, sealed=sealed, replicas=2)
    )
    return of


# By hand: 140 a round for who is not found, 40 a training. With five of 100 drawn, ten wrong ones are found with 0.4162. A stake of 100
# covers five slashes of 20, more than there are rounds.
@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("no training", -300 - 3 * 20),
        ("copied trace", -300 - 3 * 20),
        ("one batch", -3 * (4 - 0.000003 * 160 + 100 + 20)),
        ("skipped tenth", 3 * (4 - 0.416248 * (140 + 20))),
        ("no opening", -300),
        ("withholding", -300 - 20),
        ("malformed", -300 - 3 * 20),
    ],
)
def test_where_training_is_replayed_what_a_robust_task_pays_earns_nothing(name: str, task: float) -> None:
    assert gain(recomputed(), name).task == pytest.approx(task, abs=0.01)
    assert not gain(recomputed(), name).gains


def test_only_invented_counts_gain_where_training_is_replayed() -> None:
    of = recomputed(rounds=10)
    found = economics_of(of, usual_costs(of))
    assert found.gaining == ("invented counts",)
    of.mode = ROBUST_AND_RECOMPUTE
    assert economics_of(of, usual_costs(of)) == found


def test_a_seat_that_makes_up_receipts_is_slashed_and_saves_its_replays() -> None:
    """It replays 5 of 100 segments of five miners, each with a chance of 2/3, for 0.4 tokens each; what is found is found nearly always."""
    found = gain(recomputed(), "made-up receipts")
    assert found.task == pytest.approx(3 * (25 * 2 / 3 * 0.4 - 83 - 50), abs=0.01)
    assert found.decides.startswith("FALSE_REPLAY")


def test_replicas_that_differ_lose_their_pay_and_nothing_else() -> None:
    """Of sealed data no seat reads: nobody replays, and there is nothing to open."""
    sealed = recomputed(sealed=True)
    assert gain(sealed, "no training").task == pytest.approx(-300)
    assert gain(sealed, "skipped tenth").task == pytest.approx(-3 * 140 + 3 * 4)
    names = [one.name for one in economics_of(sealed, usual_costs(sealed)).gains]
    assert not {"no opening", "made-up receipts"} & set(names)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / "task.yaml"
    path.write_text(task_example(default_spec()))
    return path


def test_the_command_says_of_the_example_what_the_page_says(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyse", "economics", str(example)]) == 0
    assert f"```\n{capsys.readouterr().out}```\n" in (DOCS / "economics.md").read_text(), (
        "docs/economics.md shows what `quorumlearn analyse economics` prints of `quorumlearn task example`"
    )


def test_the_threat_model_names_exactly_the_cheats_that_gain(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "gains.png"
    assert run(["analyse", "economics", str(example), "--json", "--picture", str(picture)]) == 0
    fields = json.loads(capsys.readouterr().out)
    said = re.search(r"At the defaults these cheats gain.*", (DOCS / "threat-model.md").read_text())
    assert said
    assert re.findall(r"`([a-z ]+)`", said[0]) == fields["gaining"]
    assert fields["gaining"] == [one["name"] for one in fields["cheats"] if one["gains"]]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_page_says_what_the_examples_cheats_lose_where_training_is_replayed(example: Path) -> None:
    """Over ten rounds, beside honest work; the page says it in one sentence."""
    unmade = ArtifactRef(digest="0" * 64, size=1)
    of = taskfile.spec_of(taskfile.load(example), unmade)
    of.mode, of.rounds = RECOMPUTE, 10
    of.recompute.CopyFrom(Recompute(chunks_per_miner=1, chunk_steps=100, segment_steps=1, segments=5))
    found = {one.name: f"{-one.a_round:.1f}" for one in economics_of(of, usual_costs(of)).gains}
    assert (
        f"one batch loses {found['one batch']} tokens a round beside honest work, who does not train\n"
        f"{found['no training']}, or {found['no opening']} if it opens nothing"
    ) in (DOCS / "economics.md").read_text()


def test_a_task_that_the_ledger_would_refuse_is_refused(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example.write_text(f"{example.read_text()}  miners: 80%\n")
    assert run(["analyse", "economics", str(example)]) == 4
    assert "they add up to 10000" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.yaml"
    assert run(["analyse", "economics", str(missing)]) == 2
    assert str(missing) in capsys.readouterr().err


@pytest.mark.parametrize("tokens", ["nan", "inf", "-1"])
def test_a_cost_that_is_no_number_of_tokens_is_refused(
    example: Path, tokens: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyse", "economics", str(example), "--training", tokens]) == 2
    assert "--training" in capsys.readouterr().err
