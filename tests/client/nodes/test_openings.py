"""From sketch shares to sketches: whose count, who is named, and that no bad seat makes a miner false or honest votes differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn import ckks
from quorumlearn.artifacts import ArtifactMissing
from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal, shamir
from quorumlearn.nodes.committee.openings import Opened, Shares
from quorumlearn.nodes.screening import Sketched
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import Coverage

from tests.client.nodes.committee import Committee, committee_of
from tests.scenarios.crafted import overflowing

FALSE = "00" * 32
OTHER_SALT = b"\1" * 32


@pytest.fixture(scope="module")
def three() -> Committee:
    """Three seats of which two open, three miners."""
    return committee_of(3, 2, 3)


def all_posted(c: Committee) -> dict[int, Shares]:
    return {seat: c.posted(seat, c.sketched) for seat in c.shares}


def spoilt(c: Committee, seat: int, how: str) -> Shares | None:
    """What a bad seat posts; None for nothing usable at all."""
    posted = c.posted(seat, c.sketched)
    if how == "garbage":
        return c.posted(seat, c.sketched, lies=True)
    if how == "whole steps":
        return c.shifted(posted, dict.fromkeys(c.miners, 60))
    if how == "one miner's":
        return c.shifted(posted, {c.miners[0]: 60})
    if how == "cut off":
        return replace(posted, shares={miner: share[:-1] for miner, share in posted.shares.items()})
    if how == "of another miner":
        return replace(posted, shares=dict.fromkeys(c.miners, posted.shares[c.miners[1]]))
    if how == "covers nothing":
        return Shares(dict.fromkeys(c.miners, b.MALFORMED), {}, {})
    if how == "other salts":
        return replace(posted, salts=dict.fromkeys(c.miners, OTHER_SALT))
    if how == "no salts":
        return replace(posted, salts={})
    assert how == "nothing"
    return None


SPOILT = (
    *("garbage", "whole steps", "one miner's", "cut off", "of another miner", "covers nothing", "nothing"),
    *("other salts", "no salts"),
)
NAMED = ("garbage", "whole steps", "cut off", "of another miner")


def assert_right(c: Committee, found: Opened, miners: tuple[str, ...] | None = None) -> None:
    assert not found.undecided
    for miner in c.miners if miners is None else miners:
        np.testing.assert_allclose(found.sketches[miner], c.plain(miner), atol=1e-9)


@pytest.mark.parametrize("liar", [1, 2, 3])
@pytest.mark.parametrize("how", SPOILT)
def test_whoever_of_three_lies_every_sketch_opens_and_it_is_named(
    three: Committee, liar: int, how: str
) -> None:
    posted = all_posted(three)
    lie = spoilt(three, liar, how)
    posted = {seat: one for seat, one in posted.items() if seat != liar} | ({liar: lie} if lie else {})
    found = three.opened(posted, byzantine=1)
    assert_right(three, found)
    assert [one.seat for one in found.false] == ([liar] if how in NAMED else [])
    assert all(one.fault == b.BAD_SKETCH_SHARES for one in found.false)
    assert found.contested == ({three.miners[0]} if how == "one miner's" else frozenset())


def test_honest_shares_name_nobody_and_contest_nothing(three: Committee) -> None:
    found = three.opened(all_posted(three))
    assert_right(three, found)
    assert (found.false, found.contested) == ((), frozenset())


@pytest.mark.parametrize("false", [1, 3])
def test_with_a_share_to_spare_a_false_claim_is_false_however_many_there_are(
    three: Committee, false: int
) -> None:
    claims = three.claims() | dict.fromkeys(three.miners[:false], FALSE)
    found = three.opened(all_posted(three), claims)
    assert [found.sketches[miner] for miner in three.miners[:false]] == [b.FALSE_CLAIM] * false
    assert_right(three, found, three.miners[false:])
    assert found.false == ()


def salted(c: Committee, salts: Mapping[int, bytes]) -> dict[int, Shares]:
    """All shares, and of M/a the salts that these seats opened."""
    posted = all_posted(c)
    for seat, one in posted.items():
        others = {miner: salt for miner, salt in one.salts.items() if miner != "M/a"}
        mine = {"M/a": salts[seat]} if seat in salts else {}
        posted[seat] = replace(one, salts=others | mine)
    return posted


@pytest.mark.parametrize("seat", [1, 2, 3])
@pytest.mark.parametrize("others", [None, OTHER_SALT])
def test_the_right_salt_of_any_one_seat_is_enough_whatever_was_sealed_to_the_others(
    three: Committee, seat: int, others: bytes | None
) -> None:
    salts = {} if others is None else dict.fromkeys((1, 2, 3), others)
    found = three.opened(salted(three, salts | {seat: three.salts["M/a"]}))
    assert_right(three, found)
    assert (found.false, found.contested) == ((), frozenset())


@pytest.mark.parametrize("others", [None, OTHER_SALT])
def test_a_miner_whose_salt_nobody_has_claims_falsely_and_no_seat_is_named(
    three: Committee, others: bytes | None
) -> None:
    salts = {} if others is None else dict.fromkeys((1, 2, 3), others)
    found = three.opened(salted(three, salts))
    assert found.sketches["M/a"] == b.FALSE_CLAIM
    assert_right(three, found, three.miners[1:])
    assert (found.false, found.contested) == ((), frozenset())


def test_a_claim_made_for_another_miner_is_false(three: Committee) -> None:
    claims = three.claims()
    assert three.opened(all_posted(three), claims | {"M/a": claims["M/b"]}).sketches["M/a"] == b.FALSE_CLAIM


def test_a_ciphertext_made_from_what_its_miner_does_not_know_cannot_be_claimed(three: Committee) -> None:
    """c1 plus one whole step: its content gains the secret itself, in range and on the grid."""
    p = three.parameters
    update = ckks.parse(p, three.update(three.values["M/a"]))
    one = np.zeros((1, len(p.primes), p.poly_modulus_degree), dtype=np.uint64)
    one[0, :, 0] = [(1 << p.shift) % q for q in p.primes]
    mask = update.c1.copy()
    mask[0] = r.add(
        mask[0], seal.to_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, one)[0], r.column(p.primes)
    )
    crafted = three.sketched_one("M/a", ckks.Ciphertexts(p, update.c0, mask, update.size).to_bytes())
    sketched = [crafted, *three.sketched[1:]]
    posted = {seat: three.posted(seat, sketched) for seat in (1, 2, 3)}
    found = three.opened(posted, sketched=sketched)
    assert found.sketches["M/a"] == b.FALSE_CLAIM
    assert_right(three, found, three.miners[1:])


def test_an_update_out_of_range_is_blamed_on_its_miner_alone(three: Committee) -> None:
    sketched = [*three.sketched[:2], three.sketched_one("M/c", overflowing(three.parameters, three.key))]
    found = three.opened({seat: three.posted(seat, sketched) for seat in (1, 2, 3)}, sketched=sketched)
    assert found.sketches["M/c"] == b.OUT_OF_RANGE
    assert_right(three, found, three.miners[:2])


def test_with_no_share_to_spare_as_many_claims_as_there_may_be_bad_miners_are_false(three: Committee) -> None:
    posted = {seat: one for seat, one in all_posted(three).items() if seat != 3}
    found = three.opened(posted, three.claims(a=FALSE), byzantine=1)
    assert found.sketches["M/a"] == b.FALSE_CLAIM
    assert_right(three, found, three.miners[1:])


@pytest.mark.parametrize("byzantine", [0, 1, 2, 3])
def test_with_no_share_to_spare_a_lying_seat_makes_no_miner_false(three: Committee, byzantine: int) -> None:
    posted = {1: three.posted(1, three.sketched), 2: three.posted(2, three.sketched, lies=True)}
    found = three.opened(posted, byzantine=byzantine)
    assert "no share to spare" in found.undecided
    assert found.false == ()


def test_a_miner_in_league_with_a_seat_has_nobody_else_accused(three: Committee) -> None:
    """M/a claims another sketch; seat 1 moves its share so that seats 1 and 2 open it."""
    p, plan = three.parameters, three.plan
    other = np.roll(three.values["M/a"], 1)
    away = sketch_steps(three, other) - sketch_steps(three, three.values["M/a"])
    scale = 1 / shamir.lagrange((1, 2), 0)[0]
    posted = all_posted(three)
    posted[1] = three.shifted(posted[1], {"M/a": away}, Fraction(scale))
    found = three.opened(
        posted, three.claims(a=ckks.claim(p, plan, other, "M/a", three.salts["M/a"]).hex()), byzantine=1
    )
    np.testing.assert_allclose(found.sketches["M/a"], ckks.plain_sketch(p, plan, other), atol=1e-9)
    assert found.contested == {"M/a"}
    assert found.false == ()
    assert_right(three, found, three.miners[1:])


def sketch_steps(c: Committee, values: np.ndarray) -> np.ndarray:
    opened = ckks.plain_sketch(c.parameters, c.plan, values)
    return np.rint(np.ldexp(opened / np.sqrt(2 / c.parameters.sketch_size), c.parameters.step_bits)).astype(
        np.int64
    )


def test_what_nobody_could_sketch_has_the_reason_that_most_give(three: Committee) -> None:
    sketched = [Sketched(Coverage(miner="M/a", reason=b.MALFORMED), None), *three.sketched[1:]]

    def reason(*given: int) -> object:
        posted = {
            seat: replace(
                one,
                reasons={**one.reasons, "M/a": why},
                shares={m: s for m, s in one.shares.items() if m != "M/a"},
            )
            for (seat, one), why in zip(all_posted(three).items(), given, strict=True)
        }
        return three.opened(posted, sketched=sketched).sketches["M/a"]

    assert reason(b.MALFORMED, b.MISSING_ARTIFACT, b.MALFORMED) == b.MALFORMED
    assert reason(b.MALFORMED, b.MISSING_ARTIFACT, b.MISSING_ARTIFACT) == b.MISSING_ARTIFACT


def test_an_update_that_others_have_and_this_verifier_lacks_is_waited_for(three: Committee) -> None:
    sketched = [three.sketched[0], Sketched(Coverage(miner="M/b", reason=b.MISSING_ARTIFACT), None)]
    with pytest.raises(ArtifactMissing, match="M/b"):
        three.opened(all_posted(three), sketched=sketched)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_honest_verifiers_find_the_same_whatever_bad_seats_and_false_claims_do(data: st.DataObject) -> None:
    """Also where a bad seat has sealed its shares to some of them only. No miner is in league with a seat here."""
    seats, threshold = data.draw(st.sampled_from([(3, 2), (4, 3), (5, 3)]))
    c = committee_of(seats, threshold, 5)
    byzantine = 2
    bad = data.draw(st.sets(st.sampled_from(range(1, seats + 1)), max_size=seats - threshold))
    false = data.draw(st.sets(st.sampled_from(c.miners), max_size=byzantine))
    claims = c.claims() | dict.fromkeys(false, FALSE)
    honest = {seat: one for seat, one in all_posted(c).items() if seat not in bad}
    lies: Mapping[int, Shares | None] = {
        seat: spoilt(c, seat, data.draw(st.sampled_from(SPOILT))) for seat in bad
    }
    told = {seat: one for seat, one in lies.items() if one is not None}
    for size in range(len(told) + 1):
        for some in combinations(sorted(told), size):
            found = c.opened(honest | {seat: told[seat] for seat in some}, claims, byzantine)
            assert_right(c, found, tuple(miner for miner in c.miners if miner not in false))
            assert {found.sketches[miner] for miner in false} <= {b.FALSE_CLAIM}
            assert {one.seat for one in found.false} <= bad
