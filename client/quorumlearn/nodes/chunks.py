"""A team's chunks as samples, for the miner that trains on them and the seats that replay it.

    reader = ChunkReader(me, store, cache)
    samples = reader.samples(view, team, first=2)     # of the round under way

Rules:
- the list of chunks is the specification's or, of sealed data, the one that the round's grant names. It must fit the specification: so many
  chunks of so many samples, of the task's workload;
- each chunk is checked by digest, parsed strictly, and has exactly as many samples as the task says;
- chunks stay on the node's disk between rounds (nodes.chunkcache), sealed ones sealed: what a miner keeps of its chunks from one round to
  the next is fetched once;
- a seat has the chunks of what is drawn for it on its disk as soon as it is drawn: who removes them later stops no replay;
- of a sealed chunk a key counts that the chunk itself commits to. So all who can read a chunk read the same, whatever its owner gave whom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from quorumlearn.nodes import datasets, keygrants, metrics
from quorumlearn.nodes.chunkcache import ChunkCache, Fetched
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.replay import ChunkError, from_bytes, joined

log = structlog.get_logger()


class NotGranted(ChunkError):
    """The owner has given nothing for this round yet, or not to this reader: wait, or sit the round out."""


UNREADABLE = (ChunkError, ArtifactMissing, ArtifactCorrupt, ArtifactTooLarge, BadReference, ExchangeError)
"""What `samples` and `have` raise for data that cannot be read as they are, by whosever fault."""


@dataclass
class ChunkReader:
    """Of one identity. `private` gives the private key that a round's grant is sealed to, where data are sealed: a miner's is that of its
    task (nodes.minerkey), a seat's that of the round."""

    me: str
    store: ArtifactStore
    cache: ChunkCache
    private: Callable[[b.TaskView], bytes] | None = None
    _manifest: tuple[str, DataManifest] | None = None
    _told: tuple[str, int] | None = None

    def samples(
        self,
        view: b.TaskView,
        team: b.Team,
        first: int | None = None,
        passed_on: Mapping[int, bytes] | None = None,
    ) -> Samples:
        """The first `first` of the team's chunks, by default all, one after another in the team's order.

        `passed_on` are keys by chunk that somebody else says to have; they are trusted no more than the owner's. ChunkError if a chunk or
        their list is not what the task says, NotGranted if there is no key for one, ArtifactError if it cannot be had from the store.
        """
        read = self._read(view, team.chunks[:first], passed_on or {})
        fetched = sum(len(one.fetched.data) for one in read if one.fetched.from_store)
        kept = sum(len(one.fetched.data) for one in read) - fetched
        task = view.task.spec.task_id
        metrics.CHUNK_BYTES.labels(task, "store").inc(fetched)
        metrics.CHUNK_BYTES.labels(task, "cache").inc(kept)
        if self.me in team.miners and (task, view.round.number) != self._told:
            self._told = task, view.round.number
            log.info(
                "has its chunks",
                task=task,
                round=view.round.number,
                identity=self.me,
                chunks=len(read),
                bytes_fetched=fetched,
                bytes_kept_from_before=kept,
            )
        parts = [from_bytes(one.plain, view.task.spec.recompute.chunk_samples) for one in read]
        return joined(parts)

    def have(self, view: b.TaskView, team: b.Team, first: int | None = None) -> bool:
        """Have the same chunks on this node's disk, as far as it has room; whether all of them are in the store as well. Errors as in
        `samples`, but for keys, of which none is needed."""
        manifest = self._round_list(view)
        refs = [manifest.chunks[number] for number in team.chunks[:first]]
        for ref in refs:
            self.cache.get(ref, view.task.owner)
        return all(self.store.has(ref, view.task.owner) for ref in refs)

    def keys(self, view: b.TaskView, team: b.Team, first: int | None = None) -> dict[int, bytes]:
        """The content keys of the same chunks, by chunk; none where data are not sealed. Errors as in `samples`."""
        if not view.task.spec.recompute.sealed:
            return {}
        return {one.number: one.key for one in self._read(view, team.chunks[:first], {})}

    def _read(self, view: b.TaskView, wanted: Sequence[int], passed_on: Mapping[int, bytes]) -> list[_Chunk]:
        if not view.task.spec.recompute.sealed:
            manifest = self._list(view, view.task.spec.recompute.data)
            fetched = [self.cache.get(manifest.chunks[number], view.task.owner) for number in wanted]
            return [_Chunk(number, one, one.data, b"") for number, one in zip(wanted, fetched, strict=True)]
        record = self._given(view)
        manifest = self._list(view, record.data)
        own = {} if self.private is None else keygrants.opened(view, record, self.me, self.private(view))
        return [self._opened(view, manifest, number, (own, passed_on)) for number in wanted]

    def _opened(
        self, view: b.TaskView, manifest: DataManifest, number: int, offered: Sequence[Mapping[int, bytes]]
    ) -> _Chunk:
        """A sealed chunk by the first key that is offered for it and that it commits to."""
        fetched = self.cache.get(manifest.chunks[number], view.task.owner)
        for key in (keys[number] for keys in offered if number in keys):
            if datasets.opens(fetched.data, key):
                return _Chunk(number, fetched, datasets.unsealed(fetched.data, key, manifest, number), key)
        raise NotGranted(
            f"{self.me} was given no key that opens chunk {number} of round {view.round.number} of {view.round.task_id}"
        )

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


@dataclass(frozen=True)
class _Chunk:
    """One that was read: as it was fetched, what it holds in plain, and the key that it was sealed under."""

    number: int
    fetched: Fetched
    plain: bytes = field(repr=False)
    key: bytes = field(repr=False)
