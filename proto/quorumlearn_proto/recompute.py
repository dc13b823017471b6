"""What contracts and nodes derive alike where training is replayed: who trains on what, from which seed, and who replays what of it.

Rules:
- A round's teams and their chunks are drawn from its start beacon, which the committee reveals with the round's key, before anybody
  trains. Miners of one organisation are in different teams, as far as there are enough teams.
- The beacon draws which chunks a round uses: each as often as any other, or once more; and deals them to the teams, each chunk once to
  a team. Then teams exchange some, so that whose miners had a drawn chunk in the round before have it again. So locality changes who
  trains on a drawn chunk, never which are drawn.
- A training's seed follows from the start beacon, the base and the team. Its miners choose nothing of it.
- What is replayed of a training is drawn from the beacon that is revealed after its trace was committed: q of its segments, and always
  the last checkpoint, an item one higher than the last segment. Who replays an item is drawn for each: t seats of the round's key.

>>> segments_of(TaskSpec(recompute=Recompute(segment_steps=3)), 230)
77
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

from .block_pb2 import Round, Team
from .draws import labelled, sample, words
from .task_pb2 import Exactness, Recompute, TaskSpec, VerificationMode

_TEAMS = b"quorumlearn/teams/1"
_CHUNKS = b"quorumlearn/chunks/1"
_SEED = b"quorumlearn/training/1"
_ROUNDING = b"quorumlearn/training-rounding/1"
_SEGMENTS = b"quorumlearn/segments/1"
_REPLAYERS = b"quorumlearn/replayers/1"


def recomputes(spec: TaskSpec) -> bool:
    """Whether the task's trainings can be replayed, or are confirmed by replicas."""
    return spec.mode in (VerificationMode.RECOMPUTE, VerificationMode.ROBUST_AND_RECOMPUTE)


def replays(spec: TaskSpec) -> bool:
    """Whether the committee's seats replay: not where data are sealed from them, and replicas alone confirm each other."""
    return recomputes(spec) and (spec.recompute.seats_read or not spec.recompute.sealed)


def most_steps(spec: TaskSpec) -> int:
    """The steps of a training on all its chunks."""
    return spec.recompute.chunk_steps * spec.recompute.chunks_per_miner


def least_steps(spec: TaskSpec) -> int:
    """The fewest steps of a training: those of one chunk where it is paid by its steps. Elsewhere all are paid alike, and so do all."""
    return spec.recompute.chunk_steps if spec.recompute.pay_by_steps else most_steps(spec)


def segments_of(spec: TaskSpec, steps: int) -> int:
    """How many segments a training of so many steps has; the last may be shorter."""
    return -(-steps // spec.recompute.segment_steps)


def teams(
    asked: Recompute, start_beacon: str, miners: Sequence[str], held: Mapping[str, Collection[int]]
) -> list[Team]:
    """The round's teams, `miners` being its miners (MSP/name) and `held` the chunks that they had in the round before."""
    drawn = words(_TEAMS, start_beacon)
    by_organisation: dict[str, list[str]] = {}
    for miner in sorted(miners):
        by_organisation.setdefault(miner.partition("/")[0], []).append(miner)
    organisations = sample(drawn, sorted(by_organisation), len(by_organisation))
    order = [miner for one in organisations for miner in sample(drawn, by_organisation[one], len(miners))]
    count = teams_of(asked, len(order))
    found = [sorted(order[place::count]) for place in range(count)]
    known = [{chunk for miner in team for chunk in held.get(miner, ())} for team in found]
    dealt = _kept(_dealt(asked, start_beacon, count), known)
    return [Team(miners=team, chunks=chunks) for team, chunks in zip(found, dealt, strict=True)]


def teams_of(asked: Recompute, miners: int) -> int:
    """How many teams so many miners make: each has as many as there are replicas, or more where that does not divide them."""
    return max(1, miners // asked.replicas)


def chunks_before(before: Round | None) -> dict[str, list[int]]:
    """What each miner had in a round, as `teams` takes it."""
    found = () if before is None else before.teams
    return {miner: list(team.chunks) for team in found for miner in team.miners}


def kept_chunks(now: Round, before: Round | None) -> tuple[int, int]:
    """How many of a round's assigned chunks their miners had in the round before, and how many were assigned."""
    held = chunks_before(before)
    pairs = [(miner, chunk) for team in now.teams for miner in team.miners for chunk in team.chunks]
    return sum(chunk in held.get(miner, ()) for miner, chunk in pairs), len(pairs)


def team_of(now: Round, miner: str) -> tuple[int, Team]:
    """A miner's team and its number, from 1. KeyError if it has none in this round."""
    for number, team in enumerate(now.teams, 1):
        if miner in team.miners:
            return number, team
    raise KeyError(f"{miner} is in no team of round {now.number} of {now.task_id}")


def training_seed(now: Round, team: int) -> bytes:
    """The 32 bytes that a team's trainings of a round draw from."""
    label = labelled(_SEED, now.task_id, now.number, now.base.digest, team)
    return hashlib.sha256(label + bytes.fromhex(now.start_beacon)).digest()


def rounding_key(seed: bytes) -> bytes:
    """The 32 bytes by which a training's update comes onto the task's grid."""
    return hashlib.sha256(_ROUNDING + seed).digest()


def drawn_segments(beacon: str, miner: str, segments: int, count: int) -> list[int]:
    """Which segments (from 1) a miner of so many opens, `count` of them or all if there are fewer, ascending."""
    return sorted(sample(words(labelled(_SEGMENTS, miner), beacon), range(1, segments + 1), count))


def drawn_items(spec: TaskSpec, beacon: str, miner: str, steps: int) -> list[int]:
    """What is replayed of a miner's training: its drawn segments, and the last checkpoint."""
    segments = segments_of(spec, steps)
    return [*drawn_segments(beacon, miner, segments, spec.recompute.segments), segments + 1]


def seats_of_profile(spec: TaskSpec, profile: str, seats: Mapping[int, str]) -> list[int]:
    """Of a ceremony's seats, each with its numeric profile, those that can replay a training of this profile, ascending."""
    exact = spec.recompute.exactness == Exactness.PROFILE
    return [seat for seat in sorted(seats) if not exact or seats[seat] == profile]


def replayers(beacon: str, miner: str, item: int, seats: Sequence[int], count: int) -> list[int]:
    """Which of these seats replay an item of a miner's training: `count` of them, or all if there are fewer, ascending."""
    return sorted(sample(words(labelled(_REPLAYERS, miner, item), beacon), sorted(seats), count))


def _dealt(asked: Recompute, start_beacon: str, count: int) -> list[list[int]]:
    """Chunks for so many teams, each other ones of its own: a shuffled data set, from its start again where it is too small for all."""
    each = asked.chunks_per_miner
    order = sample(words(_CHUNKS, start_beacon), range(asked.chunks), count * each)
    return [[order[(team * each + place) % len(order)] for place in range(each)] for team in range(count)]


def _kept(dealt: list[list[int]], known: Sequence[Collection[int]]) -> list[list[int]]:
    """The same chunks as dealt, exchanged between teams so that those who know one keep it."""
    holders: dict[int, list[int]] = {}
    for team, chunks in enumerate(dealt):
        for chunk in chunks:
            holders.setdefault(chunk, []).append(team)
    for team, wanted in enumerate(known):
        for chunk in sorted((holders.keys() & wanted) - set(dealt[team])):
            exchange = next(
                (
                    (other, given)
                    for other in holders[chunk]
                    if chunk not in known[other]
                    for given in dealt[team]
                    if given not in wanted and given not in dealt[other]
                ),
                None,
            )
            if exchange is not None:
                other, given = exchange
                for one, gives, takes in ((team, given, chunk), (other, chunk, given)):
                    dealt[one][dealt[one].index(gives)] = takes
                    holders[gives].remove(one)
                    holders[takes].append(one)
    return dealt
