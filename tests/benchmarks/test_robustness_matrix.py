"""The robustness benchmark plays what it says, resumes where it stopped, and its peers are what they claim to be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import byzfl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.robust import make_rule

from benchmarks.robustness.__main__ import ATTACKS, RULES, main
from benchmarks.robustness.cells import EXACT, Cell, attack_of, play
from benchmarks.robustness.matrix import cells_of, read, run
from benchmarks.robustness.peers import PEERS, aggregate, flower_multi_krum
from benchmarks.robustness.report import detection, draw, lines_of, markdown
from benchmarks.robustness.world import Setting

SMALL = Setting(miners=6, byzantine=1, rounds=2, samples=20, head_start=100, tests=60)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.integers(0, 5))
def test_flowers_multi_krum_averages_the_best_by_their_examples(seed: int, f: int, more: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(2 * f + 3 + more, 7))
    examples = random.integers(1, 50, len(x)).tolist()
    closest = len(x) - f - 2
    scores = []
    for i in range(len(x)):
        others = sorted(float(((x[i] - x[j]) ** 2).sum()) for j in range(len(x)) if j != i)
        scores.append(sum(others[:closest]))
    best = sorted(range(len(x)), key=scores.__getitem__)[: len(x) - f]
    expected = sum(examples[i] * x[i] for i in best) / sum(examples[i] for i in best)
    np.testing.assert_allclose(flower_multi_krum(x, f, examples), expected, rtol=1e-9, atol=1e-12)


def test_byzfls_peers_are_byzfls() -> None:
    x = np.random.default_rng(1).normal(size=(9, 5))
    np.testing.assert_allclose(aggregate("byzfl-median", x, 2, [1] * 9), np.median(x, axis=0))
    mixed = byzfl.NNM(2)(x)
    np.testing.assert_allclose(
        aggregate("byzfl-nnm-trimmed-mean", x, 2, [1] * 9), np.sort(mixed, axis=0)[2:-2].mean(axis=0)
    )


@pytest.mark.parametrize("peer", sorted(PEERS))
def test_a_peer_that_hears_nearly_the_same_of_everybody_says_it(peer: str) -> None:
    same = np.arange(5.0)
    heard = same + np.random.default_rng(2).normal(0, 1e-3, (9, 5))
    np.testing.assert_allclose(aggregate(peer, heard, 2, [1] * 9), same, atol=0.01)


def test_every_rule_and_attack_of_the_full_matrix_exists() -> None:
    for rule in RULES:
        if rule not in PEERS:
            make_rule(rule.removesuffix(EXACT), {}, 2, root=np.ones(4))
    for attack in ATTACKS:
        assert attack == "none" or attack_of(attack).name == attack


def test_a_cell_comes_out_the_same_twice_and_copies_are_found_in_it() -> None:
    cell = Cell("multi-krum", "copy", "iid", 1)
    outcome = play(cell, SMALL)
    assert outcome == play(cell, SMALL)
    assert (outcome.attackers, outcome.attackers_found, outcome.attackers_out) == (2, 2, 2)
    assert (outcome.honest, outcome.honest_found) == (10, 0)
    assert outcome.curve[-1] == outcome.accuracy > 0.2


@pytest.mark.parametrize(
    ("rule", "attack"),
    [
        ("clustering@exact", "replay-plaintext"),
        ("nnm+geometric-median", "adaptive"),
        ("trust-scores", "backdoor"),
        ("flower-multi-krum", "backdoor"),
    ],
)
def test_cells_of_every_kind_play(rule: str, attack: str) -> None:
    outcome = play(Cell(rule, attack, "dirichlet", 2), replace(SMALL, rounds=1))
    assert 0 <= outcome.accuracy <= 1
    assert (outcome.backdoor is not None) == (attack == "backdoor")


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    setting = replace(SMALL, rounds=1)
    cells = cells_of(["mean", "byzfl-median"], ["none", "zero"], ["iid"], [1])
    first = run(cells[:2], setting, workers=2, path=path)
    with path.open("a") as file:
        file.write('{"rule": "mean", "att')  # cut off
        file.write("\n")
    lines = path.read_text().splitlines()
    told: list[tuple[int, int]] = []
    whole = run(cells, setting, workers=1, path=path, done=lambda finished, of: told.append((finished, of)))
    assert told[0] == (2, 4)
    assert told[-1] == (4, 4)
    assert path.read_text().splitlines()[: len(lines)] == lines
    assert len(path.read_text().splitlines()) == len(lines) + 2
    assert {cell: whole[cell] for cell in cells[:2]} == first
    assert read(path, setting) == whole
    assert read(path, replace(setting, rounds=2)) == {}
    draw(whole, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert len(lines_of(whole)) == 4
    assert detection(whole) == {}  # mean and peers find nobody
    mean = next(line for line in lines_of(whole) if (line.rule, line.attack) == ("mean", "zero"))
    base, attacked = (whole[Cell("mean", attack, "iid", 1)].accuracy for attack in ("none", "zero"))
    assert (mean.behind, mean.most_behind) == (base - attacked, base - attacked)
    behind = 100 * (base - attacked)
    assert f"| mean | 0.0 / 0.0 (1) | {behind:.1f} / {behind:.1f} (1) |" in markdown(whole)


def test_the_command_prints_one_record_and_refuses_what_there_is_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    small = ["--rounds", "1", "--miners", "5", "--byzantine", "1", "--samples", "20", "--tests", "50"]
    asked = ["--rules", "multi-krum", "--attacks", "noise", "--divisions", "iid", "--seeds", "3"]
    assert main([*small, *asked, "--json", "--workers", "1"]) == 0
    record = json.loads(capsys.readouterr().out)
    (line,) = record["lines"]
    assert (line["rule"], line["attack"], line["seeds"], line["found"]) == ("multi-krum", "noise", 1, 1.0)
    assert record["detection"]["noise"]["honest_caught"] == 0
    for wrong in (
        ["--rules", "krum"],
        ["--attacks", "bribe"],
        ["--divisions", "random"],
        ["--byzantine", "10"],
    ):
        assert main(wrong) == 2
        assert "error" in capsys.readouterr().out
