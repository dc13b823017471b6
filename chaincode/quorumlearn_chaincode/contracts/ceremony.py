"""The key ceremony's rules: when a step closes, and what follows.

KEY_COMMIT, KEY_REVEAL, KEY_TEST, KEY_CONFIRM, one after the other; each closes when all seats taking part
have acted, or on its deadline without those missing. Fewer than t left, or confirmations of different
keys, begin a new attempt with the whole committee, but without those who contradicted t equal
confirmations: one liar could else stop every attempt. The third attempt that fails fails the ceremony.
Pure: no ledger, no time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from quorumlearn_proto.block_pb2 import Ceremony, CeremonyStep, KeyContribution
from quorumlearn_proto.common_pb2 import ArtifactRef

ATTEMPTS = 3

_DONE: dict[CeremonyStep, Callable[[KeyContribution], bool]] = {
    CeremonyStep.KEY_COMMIT: lambda part: part.HasField("public_share"),
    CeremonyStep.KEY_REVEAL: lambda part: part.HasField("sealed_shares"),
    CeremonyStep.KEY_TEST: lambda part: part.HasField("test_partial"),
    CeremonyStep.KEY_CONFIRM: lambda part: part.HasField("confirmed_key"),
}
_NEXT = {
    CeremonyStep.KEY_COMMIT: CeremonyStep.KEY_REVEAL,
    CeremonyStep.KEY_REVEAL: CeremonyStep.KEY_TEST,
    CeremonyStep.KEY_TEST: CeremonyStep.KEY_CONFIRM,
    CeremonyStep.KEY_CONFIRM: CeremonyStep.KEY_READY,
}


def under_way(ceremony: Ceremony) -> bool:
    return ceremony.step in _NEXT


def done(step: CeremonyStep, contribution: KeyContribution) -> bool:
    """Whether a seat has acted in this step."""
    return _DONE[step](contribution)


def close_step(
    ceremony: Ceremony,
    contributions: Mapping[int, KeyContribution],
    committee: Sequence[int],
    threshold: int,
    expired: bool,
) -> Ceremony | None:
    """The ceremony after its step (deadline not set), None if the step is not due.

    `contributions` are those of this attempt by seat, `committee` all seats of the task.
    """
    acted = [
        seat for seat in ceremony.seats if seat in contributions and done(ceremony.step, contributions[seat])
    ]
    if len(acted) < len(ceremony.seats) and not expired:
        return None
    if len(acted) < threshold:
        return _again(ceremony, committee)
    if ceremony.step != CeremonyStep.KEY_CONFIRM:
        return _to(ceremony, _NEXT[ceremony.step], acted)
    agreeing = _largest_agreement(acted, contributions)
    if len(agreeing) == len(acted):
        ready = _to(ceremony, CeremonyStep.KEY_READY, acted)
        ready.collective_key.CopyFrom(contributions[acted[0]].confirmed_key)
        return ready
    liars = set(acted) - set(agreeing) if len(agreeing) >= threshold else set()
    return _again(ceremony, [seat for seat in committee if seat not in liars])


def _to(ceremony: Ceremony, step: CeremonyStep, seats: Sequence[int]) -> Ceremony:
    return Ceremony(
        task_id=ceremony.task_id, round=ceremony.round, attempt=ceremony.attempt, step=step, seats=seats
    )


def _again(ceremony: Ceremony, seats: Sequence[int]) -> Ceremony:
    if ceremony.attempt >= ATTEMPTS:
        return _to(ceremony, CeremonyStep.KEY_FAILED, list(ceremony.seats))
    fresh = _to(ceremony, CeremonyStep.KEY_COMMIT, seats)
    fresh.attempt += 1
    return fresh


def _largest_agreement(seats: Sequence[int], contributions: Mapping[int, KeyContribution]) -> list[int]:
    def key(seat: int) -> tuple[str, int]:
        ref: ArtifactRef = contributions[seat].confirmed_key
        return ref.digest, ref.size

    groups: dict[tuple[str, int], list[int]] = {}
    for seat in seats:
        groups.setdefault(key(seat), []).append(seat)
    return max(groups.values(), key=len)
