"""A miner's opening of its trace on its way through the store, in plain or, of sealed data, sealed to the seats of the round.

Rules:
- a trace tells of the data that was trained on: where those are sealed, the opening is encrypted under a key of its own (AES-256-GCM), and
  the key sealed to each seat of the round's key (HPKE). All of them, not only those for whom something is drawn: where reports
  disagree every seat replays;
- it begins with a commitment to that key, and no other opens it. AES-GCM alone is none (nodes.work.datasets): a miner could have some
  seats read honest work and others noise, and those would be slashed for what they then report;
- its size is checked before it is read. One that is longer than any honest opening is not read by anybody, and opens nothing;
- of what a seat has not in the store, or cannot open, it says that it is missing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import SealedOpening
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import replay
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import exchange, sealing, steps
from quorumlearn.replay.states import MOST_TIES

_NONCE, _TAG = 12, 16
_COMMITMENT, _COMMITMENT_BYTES = b"quorumlearn/opening-key/1", hashlib.sha256().digest_size
_BOX_BYTES = 2 * sealing.PUBLIC_KEY_BYTES
"""More than a sealed key takes."""
_NAMES = 1 << 20
"""More than the names and shapes of a checkpoint's tensors take."""


class NoOpening(exchange.ExchangeError):
    """An opening that this seat cannot read, whoever's fault that is."""


def most_bytes(spec: TaskSpec, work: replay.Work) -> int:
    """How long the artifact of an opening of this training may be."""
    return replay.most_opening_bytes(work, spec.recompute.segments) + _overhead(spec)


def likely_bytes(spec: TaskSpec) -> int:
    """The same for who only keeps a copy, and knows no more than how many numbers the model has: each 8 bytes in a checkpoint, and those of
    an optimiser three times as many."""
    a_state = 32 * spec.ckks.update_size + _NAMES
    return (spec.recompute.segments + 1) * (a_state + 9 * MOST_TIES) + _overhead(spec)


def sealed(view: b.TaskView, me: str, plain: bytes) -> bytes:
    """The artifact that the miner `me` puts into the store for its opening."""
    if not view.task.spec.recompute.sealed:
        return plain
    now, key, nonce = view.round, AESGCM.generate_key(256), secrets.token_bytes(_NONCE)
    parts = steps.contributions(view, now.number)
    keys = {seat: part.sealing_key for seat, part in parts.items()}
    record = SealedOpening(
        task_id=now.task_id,
        round=now.number,
        miner=me,
        opening=commitment(key) + nonce + AESGCM(key).encrypt(nonce, plain, _context(now, me).encode()),
        keys=exchange.seal_for(keys, dict.fromkeys(keys, key), _context(now, me), me),
    )
    return record.SerializeToString(deterministic=True)


def commitment(key: bytes) -> bytes:
    """What a sealed opening begins with: 32 bytes that fit no other key."""
    return hashlib.sha256(_COMMITMENT + key).digest()


def fetched(store: ArtifactStore, view: b.TaskView, one: b.Submission, most: int) -> bytes:
    """The artifact, of which a copy is kept. ArtifactMissing and the like, ArtifactTooLarge, BadReference."""
    return store.get(one.opening, most, one.miner, (one.task_id, one.round))


def opened(
    view: b.TaskView, one: b.Submission, data: bytes, private: Callable[[], bytes], seat: int
) -> bytes:
    """The plain opening in a fetched artifact; NoOpening if this seat cannot open it. `private` gives its sealing key of the round."""
    if not view.task.spec.recompute.sealed:
        return data
    context = _context(view.round, one.miner)
    try:
        record = exchange.parsed(
            SealedOpening, data, one.opening, task_id=one.task_id, round=one.round, miner=one.miner
        )
        key = exchange.unseal_from(list(record.keys), private(), context, one.miner, seat)
        committed, box = record.opening[:_COMMITMENT_BYTES], record.opening[_COMMITMENT_BYTES:]
        if not hmac.compare_digest(committed, commitment(key)):
            raise exchange.ExchangeError(
                "it commits to another key than the one that was sealed to this seat"
            )
        nonce, box = box[:_NONCE], box[_NONCE:]
        return AESGCM(key).decrypt(nonce, box, context.encode())
    except (exchange.ExchangeError, InvalidTag, ValueError) as error:
        raise NoOpening(f"the opening of {one.miner} does not open to seat {seat}: {error}") from error


def show_again(store: ArtifactStore, one: b.Submission, data: bytes) -> None:
    """Put an opening that was read back, should somebody have removed it since."""
    if not store.has(one.opening, one.miner):
        store.put(data, (one.task_id, one.round))


def _overhead(spec: TaskSpec) -> int:
    """Of the sealed form."""
    if not spec.recompute.sealed:
        return 0
    return _BOX_BYTES * len(spec.committee.msp_ids) + _COMMITMENT_BYTES + _NONCE + _TAG + exchange.OVERHEAD


def _context(now: b.Round, miner: str) -> str:
    return f"{now.task_id}/{now.number}/opening/{miner}"
