"""A miner seals its opening so that some seats read honest work and others noise: then those would call work wrong that these call
right, and t of them have an honest seat slashed for a false report."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from quorumlearn.artifacts import reference_of
from quorumlearn.nodes import exchange
from quorumlearn.nodes.work import opening
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import SealedOpening, TraceOpening

from tests.client.nodes.sealed_data import MINERS, SEATS, TASK, DataSet
from tests.client.nodes.two_faced import BLOCK, two_faced

ME = MINERS[0]
KEYS = (bytes(range(32)), bytes(range(1, 33)))
NONCE = bytes(12)


@pytest.fixture
def held(tmp_path: Path) -> DataSet:
    return DataSet(tmp_path, sealed=True)


def in_whole_blocks(record: TraceOpening) -> bytes:
    """A record whose bytes are whole blocks and end where a field of 16 bytes begins that nobody knows."""
    begin, unknown = record.SerializeToString(), b"\xfa\x01"  # field 31, of a length that follows
    filling = -(len(begin) + 2 * len(unknown) + 2) % BLOCK
    return begin + unknown + bytes([filling]) + bytes(filling) + unknown + bytes([BLOCK])


def posted(view: b.TaskView, box: bytes) -> tuple[b.Submission, bytes]:
    """An opening whose key is the first of KEYS to seat 1, and the second to seat 2."""
    context = f"{TASK}/1/opening/{ME}"
    seats = {part.seat: part.sealing_key for part in view.contributions}
    boxes = exchange.seal_for(seats, dict(zip(sorted(SEATS), KEYS, strict=True)), context, ME)
    record = SealedOpening(task_id=TASK, round=1, miner=ME, opening=box, keys=boxes)
    data = record.SerializeToString(deterministic=True)
    return b.Submission(task_id=TASK, round=1, miner=ME, opening=reference_of(data)), data


def read_by_seats(held: DataSet, box: bytes) -> list[bytes | None]:
    """What each seat reads in it, None for one that can open nothing."""
    view = held.view(seats_read=True)
    one, data = posted(view, box)
    found: list[bytes | None] = []
    for seat, verifier in SEATS.items():
        try:
            found.append(opening.opened(view, one, data, partial(held.privates.__getitem__, verifier), seat))
        except opening.NoOpening:
            found.append(None)
    return found


def test_the_play_works_where_no_key_is_committed_to() -> None:
    bound = f"{TASK}/1/opening/{ME}".encode()
    text = in_whole_blocks(TraceOpening(task_id=TASK, round=1, miner=ME))
    box = two_faced(text, KEYS, NONCE, bound)
    read = [AESGCM(key).decrypt(NONCE, box, bound) for key in KEYS]
    assert read[0][: len(text)] == text
    assert TraceOpening.FromString(read[0]).miner == ME
    assert read[1] != read[0]


def test_all_seats_that_can_open_a_trace_read_the_same(held: DataSet) -> None:
    bound = f"{TASK}/1/opening/{ME}".encode()
    text = in_whole_blocks(TraceOpening(task_id=TASK, round=1, miner=ME))
    box = NONCE + two_faced(text, KEYS, NONCE, bound)
    for committed in (b"", *map(opening.commitment, KEYS)):
        read = read_by_seats(held, committed + box)
        assert len({one for one in read if one is not None}) <= 1
    assert read_by_seats(held, opening.commitment(KEYS[0]) + box)[1] is None


def test_an_honest_opening_is_read_by_every_seat(held: DataSet) -> None:
    view = held.view(seats_read=True)
    data = opening.sealed(view, ME, b"a trace")
    one = b.Submission(task_id=TASK, round=1, miner=ME, opening=reference_of(data))
    for seat, verifier in SEATS.items():
        read = opening.opened(view, one, data, partial(held.privates.__getitem__, verifier), seat)
        assert read == b"a trace"
