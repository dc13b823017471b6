"""A team's chunks as samples, for the miner that trains on them and the seats that replay it.

    reader = ChunkReader(me, store, cache)
    samples = reader.samples(view, team, first=2)     # of the round under way

Rules:
- the list of chunks is the specification's or, of sealed data, the one that the round's grant names. It must fit the specification: so many
  chunks of so many samples, of the task's workload;
- each chunk is checked by digest, parsed strictly, and has exactly as many samples as the task says;
- chunks stay on the node's disk between rounds (nodes.work.chunkcache), sealed ones sealed: what a miner keeps of its chunks from one
  round to the next is fetched once;
- a seat has the chunks of what is drawn for it on its disk as soon as it is drawn: who removes them later stops no replay;
- of a sealed chunk a key counts that the chunk itself commits to. So all who can read a chunk read the same, whatever its owner gave whom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import DataManifest, SealedKeys
from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn.artifacts import (
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactStore,
    ArtifactTooLarge,
    BadReference,
)
from quorumlearn.learning import Samples
from quorumlearn.nodes import metrics
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.work import datasets, keygrants
from quorumlearn.nodes.work.chunkcache import ChunkCache, Fetched
from quorumlearn.replay import ChunkError, from_bytes, joined

log = structlog.get_logger()


class NotGranted(ChunkError):
    """The owner has given nothing for this round yet, or not to this reader: wait, or sit the round out."""


UNREADABLE = (ChunkError, ArtifactMissing, ArtifactCorrupt, ArtifactTooLarge, BadReference, ExchangeError)
"""What `samples` and `have` raise for data that cannot be read as they are, by whosever fault."""


@dataclass
class ChunkReader:
    """Of one identity. `private` gives the private key that a round's grant is sealed to, where data are sealed: a miner's is that of its
    task (nodes.work.minerkey), a seat's that of the round."""

    me: str
    store: ArtifactStore
    cache: ChunkCache
    private: Callable[[b.TaskView], bytes] | None = None
    _manifest: tuple[str, DataManifest] | None = None
    _counted: tuple[str, int, set[str]] = field(default_factory=lambda: ("", 0, set()))

    def samples(self, view: b.TaskView, team: b.Team, first: int | None = None) -> Samples:
        """The first `first` of the team's chunks, by default all, one after another in the team's order.

        ChunkError if a chunk or their list is not what the task says, NotGranted if there is no key for one, ExchangeError if the owner's
        grant is none, ArtifactError if something cannot be had from the store.
        """
        asked, manifest = view.task.spec.recompute, self._round_list(view)
        keys = self._keys(view) if asked.sealed else {}
        parts, bytes_of = [], {True: 0, False: 0}
        for number in team.chunks[:first]:
            fetched = self._fetched(view, manifest.chunks[number])
            bytes_of[fetched.from_store] += len(fetched.data)
            plain = self._opened(view, manifest, number, fetched.data, keys) if asked.sealed else fetched.data
            parts.append(from_bytes(plain, asked.chunk_samples))
        if self.me in team.miners:
            log.info(
                "has its chunks",
                task=view.round.task_id,
                round=view.round.number,
                identity=self.me,
                chunks=len(parts),
                bytes_fetched=bytes_of[True],
                bytes_kept_from_before=bytes_of[False],
            )
        return joined(parts)

    def have(self, view: b.TaskView, team: b.Team, first: int | None = None) -> bool:
        """Have the same chunks on this node's disk, as far as it has room; whether all of them are in the store as well. Errors as in
        `samples`, but for keys, of which none is needed."""
        manifest = self._round_list(view)
        refs = [manifest.chunks[number] for number in team.chunks[:first]]
        for ref in refs:
            self._fetched(view, ref)
        return all(self.store.has(ref, view.task.owner) for ref in refs)

    def _fetched(self, view: b.TaskView, ref: ArtifactRef) -> Fetched:
        """A chunk as it is stored, counted once a round by where it came from."""
        fetched, now = self.cache.get(ref, view.task.owner), view.round
        if self._counted[:2] != (now.task_id, now.number):
            self._counted = now.task_id, now.number, set()
        if ref.digest not in self._counted[2]:
            self._counted[2].add(ref.digest)
            source = "store" if fetched.from_store else "cache"
            metrics.CHUNK_BYTES.labels(now.task_id, source).inc(len(fetched.data))
        return fetched

    def _keys(self, view: b.TaskView) -> dict[int, bytes]:
        """What the round's grant gives this reader, by chunk."""
        if self.private is None:
            return {}
        return keygrants.opened(view, self._given(view), self.me, self.private(view))

    def _opened(
        self, view: b.TaskView, manifest: DataManifest, number: int, data: bytes, keys: Mapping[int, bytes]
    ) -> bytes:
        """What a sealed chunk holds, by the key that it commits to."""
        if number not in keys or not datasets.opens(data, keys[number]):
            raise NotGranted(
                f"{self.me} was given no key that opens chunk {number} of round {view.round.number} of {view.round.task_id}"
            )
        return datasets.unsealed(data, keys[number], manifest, number)

    def _given(self, view: b.TaskView) -> SealedKeys:
        if not view.HasField("grant"):
            raise NotGranted(
                f"{view.task.owner} has given no keys for round {view.round.number} of {view.round.task_id}"
            )
        return keygrants.given(self.store, view)

    def _round_list(self, view: b.TaskView) -> DataManifest:
        """The list of chunks that the round under way goes by."""
        asked = view.task.spec.recompute
        return self._list(view, self._given(view).data if asked.sealed else asked.data)

    def _list(self, view: b.TaskView, ref: ArtifactRef) -> DataManifest:
        """The list of chunks, which fits the specification."""
        if self._manifest is None or self._manifest[0] != ref.digest:
            found = datasets.manifest_of_task(self.store, view.task.spec, ref, view.task.owner)
            self._manifest = ref.digest, found
        return self._manifest[1]
