"""What an owner gives the readers of a round's sealed chunks: content keys, each sealed to one reader by HPKE.

Rules:
- a key is sealed to the miners whose team has the chunk and, where seats read, to all seats of the round; bound to task, round, chunk,
  owner and reader;
- a reader trusts none of it: a key counts if the chunk commits to it (nodes.work.datasets), and the chunk's list must fit the
  specification;
- what a reader opened is kept nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import SealedKey, SealedKeys
from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import exchange, sealing, steps
from quorumlearn.replay import KEY_BYTES

log = structlog.get_logger()

_BOX_BYTES = 2 * sealing.PUBLIC_KEY_BYTES
"""More than a sealed key with its reader's name takes."""


def readers(view: b.TaskView) -> dict[str, list[int]]:
    """Who is to read which chunks of the round under way: the miners of its teams and, where seats read, its seats' verifiers."""
    now, recompute = view.round, view.task.spec.recompute
    found = {miner: list(team.chunks) for team in now.teams for miner in team.miners}
    if recompute.seats_read:
        everything = sorted({chunk for team in now.teams for chunk in team.chunks})
        held = {one.seat: one.verifier for one in view.seats}
        found |= {held[seat]: everything for seat in now.seats if seat in held}
    return found


def seats_keys(view: b.TaskView) -> dict[str, bytes]:
    """The public sealing keys of the round's seats, by their verifiers."""
    parts = steps.contributions(view, view.round.number)
    return {part.verifier: part.sealing_key for seat, part in parts.items() if seat in view.round.seats}


def able(
    view: b.TaskView, wanted: Mapping[str, Sequence[int]], to: Mapping[str, bytes]
) -> dict[str, Sequence[int]]:
    """Of those who are to read chunks the ones that something can be sealed to, `to` being public keys."""
    now, found = view.round, {}
    for reader, chunks in sorted(wanted.items()):
        if sealing.works(to.get(reader, b"")):
            found[reader] = chunks
        else:
            log.warning("no key to seal to", task=now.task_id, round=now.number, reader=reader)
    return found


def sealed(
    view: b.TaskView,
    data: ArtifactRef,
    keys: Mapping[int, bytes],
    to: Mapping[str, bytes],
    wanted: Mapping[str, Sequence[int]],
) -> bytes:
    """The artifact in which the owner gives each reader the keys of the chunks that are `wanted` by it; `to` are the readers' public
    keys. sealing.SealError for one that is none."""
    now = view.round
    boxes = [
        SealedKey(
            chunk=chunk,
            reader=reader,
            sealed=sealing.seal(keys[chunk], to[reader], _context(view, chunk, reader)),
        )
        for reader, chunks in sorted(wanted.items())
        for chunk in chunks
    ]
    record = SealedKeys(task_id=now.task_id, round=now.number, data=data, keys=boxes)
    return record.SerializeToString(deterministic=True)


def given(store: ArtifactStore, view: b.TaskView) -> SealedKeys:
    """What the owner gave for the round under way. exchange.ExchangeError if it is something else; an ArtifactError while the store
    does not have it."""
    now = view.round
    most = sum(len(chunks) for chunks in readers(view).values())
    return exchange.get(
        store,
        SealedKeys,
        view.grant.keys,
        _BOX_BYTES * most,
        view.task.owner,
        task_id=now.task_id,
        round=now.number,
    )


def opened(view: b.TaskView, record: SealedKeys, me: str, private: bytes) -> dict[int, bytes]:
    """The keys that a reader can open, by chunk; what does not open, and what is no key, is left out."""
    found: dict[int, bytes] = {}
    for one in record.keys:
        if one.reader != me or one.chunk in found:
            continue
        try:
            key = sealing.unseal(one.sealed, private, _context(view, one.chunk, me))
        except sealing.SealError:
            continue
        if len(key) == KEY_BYTES:
            found[one.chunk] = key
    return found


def _context(view: b.TaskView, chunk: int, reader: str) -> str:
    return f"{view.round.task_id}/{view.round.number}/chunk/{chunk}/{view.task.owner}->{reader}"
