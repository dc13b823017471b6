"""From partial decryptions to the aggregate: what bad seats can do to it, and that no honest one is named."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from quorumlearn import ckks
from quorumlearn.ckks import decryption, shamir
from quorumlearn.ckks.container import Kind, write
from quorumlearn.nodes.committee.partials import Verified, believed, verify
from quorumlearn.nodes.sums import Sums, Values

from tests.client.nodes.committee import SIZE, Committee, Steps, committee_of, moved

WEIGHTS = {"M/a": 3, "M/b": 1, "M/c": 4}


class Opening:
    """The weighted sum of three updates, and its partial decryptions."""

    def __init__(self, c: Committee) -> None:
        self.committee = c
        self.total = ckks.aggregate(
            c.parameters,
            [
                (weight, ckks.parse(c.parameters, c.update(c.values[miner])))
                for miner, weight in WEIGHTS.items()
            ],
        )
        self.sums = Sums(c.parameters, (self.total,))
        self.values = np.sum([[weight * c.values[miner]] for miner, weight in WEIGHTS.items()], axis=0)
        self.partials = {
            seat: ckks.partial_decrypt(c.parameters, share, self.total) for seat, share in c.shares.items()
        }

    def garbage(self, seat: int) -> bytes:
        c = self.committee
        return ckks.partial_decrypt(c.parameters, c.foreign[seat], self.total)

    def shifted(self, seat: int, steps: Steps, scale: Fraction = Fraction(2)) -> bytes:
        p = self.committee.parameters
        residues = decryption.read_partial(p, self.total, self.partials[seat])
        return write(p, Kind.PARTIAL, moved(p, residues, steps, scale), binding=self.total.digest())

    def verified(self, partials: Mapping[int, bytes], *, contested: bool = False, off: int = 0) -> Verified:
        """`off`: by how many steps a sketch was another than that of what was added up."""
        c = self.committee
        sketches = [(weight, c.plain(miner)) for miner, weight in WEIGHTS.items()]
        sketches[0] = (
            3,
            sketches[0][1] + off * np.ldexp(np.sqrt(2 / c.parameters.sketch_size), -c.parameters.step_bits),
        )

        def fits(values: Values) -> bool:
            return ckks.sum_fits(c.parameters, c.plan, values[0], sketches)

        return verify(c.parameters.threshold, self.sums, partials, fits, contested=contested)


@pytest.fixture(scope="module")
def three() -> Opening:
    return Opening(committee_of(3, 2, 3))


@pytest.fixture(scope="module")
def four() -> Opening:
    return Opening(committee_of(4, 3, 3))


def test_partials_that_agree_open_to_the_sum(three: Opening, four: Opening) -> None:
    for opening in (three, four):
        found = opening.verified(opening.partials)
        assert found.values is not None
        np.testing.assert_array_equal(found.values, opening.values)
        assert (found.false, found.undecided) == ((), "")
    exactly = three.verified({2: three.partials[2], 3: three.partials[3]})
    assert exactly.values is not None
    np.testing.assert_array_equal(exactly.values, three.values)


@pytest.mark.parametrize("liar", [1, 2, 3])
@pytest.mark.parametrize("how", ["garbage", "whole steps"])
def test_whoever_lies_is_named_and_the_sum_is_right(
    three: Opening, four: Opening, liar: int, how: str
) -> None:
    for opening in (three, four):
        lie = opening.garbage(liar) if how == "garbage" else opening.shifted(liar, 50)
        found = opening.verified({**opening.partials, liar: lie})
        assert [one.seat for one in found.false] == [liar]
        assert found.values is not None
        np.testing.assert_array_equal(found.values, opening.values)


def test_a_shift_of_whole_steps_opens_to_something_plausible_and_another_sum(three: Opening) -> None:
    """What is refused above would otherwise pass: range and grid do not tell."""
    lie = {1: three.shifted(1, 50), 2: three.partials[2]}
    assert (ckks.open_partials(three.committee.parameters, three.total, lie) != three.values).any()


def test_with_none_to_spare_a_shift_is_seen_and_nobody_is_named(three: Opening) -> None:
    found = three.verified({1: three.shifted(1, 50), 2: three.partials[2]})
    assert (found.values, found.false) == (None, ())
    assert "sketch of the opened sum" in found.undecided
    found = three.verified({1: three.garbage(1), 2: three.partials[2]})
    assert (found.values, found.false) == (None, ())
    assert "none to spare" in found.undecided


def test_a_false_sketch_is_noticed_by_the_sum_and_names_no_seat(three: Opening) -> None:
    found = three.verified(three.partials, off=1)
    assert (found.values, found.false) == (None, ())
    assert "not the sum of the sketches" in found.undecided


def test_where_sketch_shares_contradict_each_other_nobody_is_named(three: Opening) -> None:
    assert three.verified(three.partials, contested=True).values is not None
    found = three.verified({**three.partials, 1: three.shifted(1, 50)}, contested=True)
    assert (found.values, found.false) == (None, ())


def test_who_lacks_a_contributors_sketch_believes_what_all_agree_on_with_one_to_spare(three: Opening) -> None:
    partials, threshold = three.partials, three.committee.parameters.threshold
    found = believed(threshold, three.sums, partials, "M/a")
    assert found.values is not None
    np.testing.assert_array_equal(found.values, three.values)
    for doubtful in ({1: partials[1], 2: partials[2]}, {**partials, 3: three.shifted(3, 50)}):
        found = believed(threshold, three.sums, doubtful, "M/a")
        assert (found.values, found.false) == (None, ())
        assert "M/a was selected" in found.undecided


def test_too_few_are_too_few(three: Opening) -> None:
    assert "2 are needed" in three.verified({1: three.partials[1]}).undecided


def test_what_the_sketch_maps_to_nothing_is_undecided_with_a_spare_and_unseen_without() -> None:
    """The limit stated in the module: a shift in the kernel of the sketch's k rows, few here so that one is found quickly."""
    three = Opening(committee_of(3, 2, 3, 8))
    kernel = kernel_of(three.committee)
    assert ckks.sum_fits(three.committee.parameters, three.committee.plan, kernel, [])
    laid = ckks.packing.lay_out(three.committee.parameters, kernel)
    lie = three.shifted(1, laid)
    found = three.verified({**three.partials, 1: lie})
    assert (found.values, found.false) == (None, ())
    assert "different sums fit" in found.undecided
    unseen = three.verified({1: lie, 2: three.partials[2]})
    coefficient = 2 * shamir.lagrange((1, 2), 0)[0]
    assert unseen.values is not None
    np.testing.assert_array_equal(unseen.values, three.values + int(coefficient) * kernel)


def kernel_of(c: Committee) -> np.ndarray:
    """Whole values (d,), not all zero, whose sketch is zero: exact elimination on the first k + 1 columns."""
    p, k = c.parameters, c.parameters.sketch_size
    columns = []
    for at in range(k + 1):
        unit = np.zeros(SIZE, dtype=np.int64)
        unit[at] = 1
        opened = ckks.plain_sketch(p, c.plan, unit)
        columns.append(np.rint(np.ldexp(opened / np.sqrt(2 / k), p.step_bits)).astype(int))
    rows = [[Fraction(int(column[row])) for column in columns] for row in range(k)]
    pivots: list[int] = []
    for at in range(k + 1):
        row = next((i for i in range(len(pivots), k) if rows[i][at]), None)
        if row is None:
            break
        rows[len(pivots)], rows[row] = rows[row], rows[len(pivots)]
        top = [value / rows[len(pivots)][at] for value in rows[len(pivots)]]
        rows = [
            top if i == len(pivots) else [x - line[at] * y for x, y in zip(line, top, strict=True)]
            for i, line in enumerate(rows)
        ]
        pivots.append(at)
    free = len(pivots)
    solution = [-rows[i][free] for i in range(free)] + [Fraction(1)]
    whole = np.lcm.reduce([value.denominator for value in solution], dtype=object)
    kernel = np.zeros(SIZE, dtype=np.int64)
    kernel[: free + 1] = [int(value * whole) for value in solution]
    return kernel
