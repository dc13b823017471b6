"""What the node of sealed data's owner does in a round: it gives content keys to those who are assigned chunks, and renews keys.

Rules:
- it waits until all the round's miners have shown a key to seal to, at most for half of COMMIT: with the grant COMMIT begins anew;
- in COMMIT, once: each miner is given the keys of its team's chunks, and each seat, where seats read, those of all of the round's. Nobody
  else is given any, and nobody whom the owner has revoked;
- before a chunk is given its key is renewed, and the chunk encrypted anew, if somebody who had the key has left the task, or is revoked, or
  it was given in as many rounds as the node's file says. What was read before cannot be unread;
- a ciphertext that was replaced is removed from the store once the grant of the next one is on the ledger, unless another task's
  readers have its key. Until then a round may need it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import DataManifest
from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.steps import seconds_of
from quorumlearn.nodes.work import datakeys, datasets, keygrants
from quorumlearn.nodes.work.datakeys import ChunkKey, DataKeys, DataKeysError
from quorumlearn.replay import MOST_CHUNK_BYTES

log = structlog.get_logger()


@dataclass(frozen=True)
class Granting:
    """Of one owner in one task. `files` are those of its content keys; a key is renewed after `most_rounds` rounds, 0: never for that."""

    me: str
    market: Market
    store: ArtifactStore
    files: Sequence[Path] = ()
    most_rounds: int = 0

    def due(self, view: b.TaskView) -> bool:
        """Whether the round under way waits for its keys."""
        sealed = view.task.spec.recompute.sealed
        return sealed and view.round.phase == b.COMMIT and not view.HasField("grant")

    def waits(self, view: b.TaskView) -> bool:
        """Whether a miner of the round has yet to show its key, and there is time left for it."""
        now = view.round
        if view.now_ms >= now.deadline_ms - seconds_of(view, now) * 500:
            return False
        shown = {one.miner for one in self.market.participations(now.task_id) if one.sealing_key}
        return not all(miner in shown for team in now.teams for miner in team.miners)

    def give(self, view: b.TaskView) -> None:
        """Give the round's keys. DataKeysError or an ArtifactError if the owner's keys or chunks cannot be had."""
        path, now = self._file(view.task.spec.recompute.data), view.round
        public = {one.miner: one.sealing_key for one in self.market.participations(now.task_id)}
        public |= keygrants.seats_keys(view)
        with datakeys.held(path) as held:
            readers = keygrants.able(view, keygrants.readers(view), public)
            wanted = {reader: chunks for reader, chunks in readers.items() if reader not in held.revoked}
            renewed, replaced = self._renewed(
                held, view, {one for chunks in wanted.values() for one in chunks}
            )
            keys = _noted(renewed, now.task_id, now.number, wanted)
            datakeys.save(path, keys)  # first: a key that is given away is known to be
        contents = {number: one.key for number, one in enumerate(keys.chunks)}
        record = keygrants.sealed(view, keys.manifest, contents, public, wanted)
        self.market.grant(now.task_id, now.number, self.store.put(record, (now.task_id, now.number)))
        for ref in replaced:
            self.store.delete(ref)
        log.info(
            "gave the round's keys",
            task=now.task_id,
            round=now.number,
            readers=len(wanted),
            renewed=len(replaced),
        )

    def _file(self, data: ArtifactRef) -> Path:
        for path in self.files:
            if datakeys.load(path).of(data):
                return path
        raise DataKeysError(
            f"no file under data_keys holds the keys of the data set {data.digest[:16]}…: name the one that `quorumlearn data publish "
            "--sealed` wrote for it"
        )

    def _renewed(
        self, keys: DataKeys, view: b.TaskView, chunks: Collection[int]
    ) -> tuple[DataKeys, list[ArtifactRef]]:
        """The keys, with those renewed that are due among these chunks' and, if any is, another list of chunks; and what was replaced."""
        task = view.task.spec.task_id
        present = {*view.miners, *(seat.verifier for seat in view.seats)} - keys.revoked
        due = [chunk for chunk in sorted(chunks) if self._is_due(keys.chunks[chunk], task, present)]
        if not due:
            return keys, []
        manifest = datasets.manifest_of_task(self.store, view.task.spec, keys.manifest, self.me)
        renewed = renew(self.store, keys, manifest, due)
        replaced = [manifest.chunks[chunk] for chunk in due if keys.chunks[chunk].only_in(task)]
        return renewed, replaced

    def _is_due(self, key: ChunkKey, task: str, present: Collection[str]) -> bool:
        return bool(key.had_by(task) - set(present)) or 0 < self.most_rounds <= len(key.rounds)


def renew(store: ArtifactStore, keys: DataKeys, manifest: DataManifest, chunks: Iterable[int]) -> DataKeys:
    """Encrypt these chunks anew under fresh keys, and put them and another version of their list into the store. ArtifactError if
    one is not there, replay.ChunkError if it is not what its key opens. Nothing is removed, and nothing written to the owner's file.
    """
    fresh, version = list(keys.chunks), DataManifest()
    version.CopyFrom(manifest)
    version.version += 1
    for chunk in chunks:
        data = store.get(manifest.chunks[chunk], MOST_CHUNK_BYTES, store.organisation)
        plain = datasets.unsealed(data, keys.chunks[chunk].key, manifest, chunk)
        fresh[chunk] = ChunkKey.new()
        version.chunks[chunk].CopyFrom(store.put(datasets.sealed(plain, fresh[chunk].key, manifest, chunk)))
    return keys.renewed(datasets.put_manifest(store, version), fresh)


def _noted(keys: DataKeys, task: str, number: int, wanted: Mapping[str, Sequence[int]]) -> DataKeys:
    """With whom each key is given to in this round."""
    chunks = list(keys.chunks)
    for chunk in {chunk for of_reader in wanted.values() for chunk in of_reader}:
        accounts = [reader for reader, of_reader in wanted.items() if chunk in of_reader]
        chunks[chunk] = chunks[chunk].given(task, number, accounts)
    return replace(keys, chunks=tuple(chunks))
