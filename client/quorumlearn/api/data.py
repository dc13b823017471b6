"""A data set on its way to tasks whose training is replayed: cut into chunks, put into the store, looked at, and sealed anew.

    cut = data.cut("mnist-cnn", "data/mnist", chunks=60)
    published = data.publish(cut, store)                     # what a task's file names under recompute.data
    data.write(Path("mnist-data.yaml"), published)

Rules:
- samples are read by the workload's own `load`, the part for training. They are shuffled by a seed that everybody may know, unless it is
  None: a data set that is sorted by class would give chunks of one class each, and who draws one of those learns another task;
- the chunks are all of the same length, and what is left over is left out;
- of sealed data the keys are in the owner's file before anything names what they open (nodes.work.datakeys).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from quorumlearn_network.profiles import write_whole
from quorumlearn_proto.artifact_pb2 import DataManifest
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import Recompute

from quorumlearn import learning, seeds
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.config import ConfigError
from quorumlearn.nodes.tasksettings import DataPart
from quorumlearn.nodes.work import datakeys, datasets
from quorumlearn.nodes.work.datakeys import ChunkKey, DataKeys, DataKeysError
from quorumlearn.nodes.work.granting import renew
from quorumlearn.replay import chunks_of, manifest_of, to_bytes

Progress = Callable[[int, int], None]
"""Told how many chunks are done, and how many there are."""


@dataclass(frozen=True)
class Cut:
    """A data set and how it is cut; `left_out` samples are in no chunk."""

    workload: str
    samples: learning.Samples
    chunks: int
    chunk_samples: int
    left_out: int


def cut(
    workload: str,
    source: str | None,
    *,
    config: Mapping[str, str] | None = None,
    part: str = "",
    chunks: int | None = None,
    chunk_samples: int | None = None,
    seed: int | None = 0,
) -> Cut:
    """Read a data set and say how it is cut: into `chunks` chunks of `chunk_samples` samples, or as many of one as the other leaves.

    ConfigError for what cannot be cut so, learning.LearningError if the data cannot be read.
    """
    found = learning.get_workload(workload, config or {})
    samples = found.load(source, learning.Part("train", part))
    if not isinstance(samples, learning.Samples):
        raise ConfigError(f"{workload} reads no samples that could be dealt out in chunks")
    if chunks is None and chunk_samples is None:
        raise ConfigError("give the number of chunks, the samples of one, or both")
    each = chunk_samples if chunk_samples is not None else len(samples) // (chunks or 1)
    count = chunks if chunks is not None else len(samples) // max(1, each)
    if not (each >= 1 and 1 <= count * each <= len(samples)):
        raise ConfigError(
            f"{len(samples)} samples cannot be cut into {f'{chunks} chunks' if chunks else 'chunks'}"
            f"{f' of {chunk_samples}' if chunk_samples else ''}: take fewer"
        )
    order = np.arange(len(samples), dtype=np.int64)
    if seed is not None:
        order = np.random.Generator(np.random.PCG64(seeds.derive("chunks", seed))).permutation(order)
    return Cut(workload, samples.take(order[: count * each]), count, each, len(samples) - count * each)


def publish(
    made: Cut, store: ArtifactStore, keys: Path | None = None, progress: Progress = lambda _done, _of: None
) -> DataPart:
    """Put the chunks and their list into the store: sealed, if `keys` is given, where the keys are written. An ArtifactError or
    DataKeysError if that fails, replay.ChunkError for samples that cannot be stored."""
    if keys is not None and keys.exists():
        raise DataKeysError(
            f"{keys} is there already, and what it opens would be lost with it: name another file"
        )
    place = DataManifest(workload=made.workload, chunk_samples=made.chunk_samples)
    fresh = [ChunkKey.new() for _ in range(made.chunks)] if keys is not None else []
    refs = []
    for number, chunk in enumerate(chunks_of(made.samples, made.chunk_samples)):
        data = to_bytes(chunk)
        refs.append(store.put(datasets.sealed(data, fresh[number].key, place, number) if fresh else data))
        progress(number + 1, made.chunks)
    manifest = manifest_of(made.workload, made.chunk_samples, refs)
    if keys is not None:
        datakeys.save(keys, DataKeys((datasets.reference_of_manifest(manifest),), tuple(fresh)))
    return _described(manifest, datasets.put_manifest(store, manifest), sealed=keys is not None)


def sentence_of(data: DataPart) -> str:
    """What a data set is, for people."""
    sealed = "sealed " if data.sealed else ""
    return f"{data.chunks} {sealed}chunks of {data.chunk_samples} samples for {data.workload}"


def write(path: Path, data: DataPart) -> None:
    """The file that a task's file names under `recompute.data`."""
    fields = yaml.safe_dump(data.model_dump(), sort_keys=False)
    write_whole(path, f"# {sentence_of(data)}: recompute.data of a task's file\n{fields}")


@dataclass(frozen=True)
class Held:
    """What the store holds of a data set: the version of its list, the bytes of all chunks, and which of them are not there."""

    version: int
    bytes: int
    missing: tuple[int, ...]


def show(
    data: DataPart,
    store: ArtifactStore,
    current: ArtifactRef | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Held:
    """Look whether all chunks of a data set are in the store; `current` names a later version of it. Their bytes are not read."""
    manifest = manifest_in(store, data, current)
    missing = []
    for number, ref in enumerate(manifest.chunks):
        if not store.has(ref):
            missing.append(number)
        progress(number + 1, len(manifest.chunks))
    return Held(manifest.version, sum(one.size for one in manifest.chunks), tuple(missing))


@dataclass(frozen=True)
class Renewed:
    """A data set after some of its chunks were encrypted anew."""

    data: DataPart
    version: int
    chunks: int


def rotate(
    data: DataPart, keys: Path, store: ArtifactStore, progress: Progress = lambda _done, _of: None
) -> Renewed:
    """Encrypt every chunk anew under a fresh key, and store another version of the list. Errors as in `nodes.work.granting.renew`."""
    with datakeys.held(keys) as held:
        return _renew(data, held, keys, store, range(data.chunks), progress)


def revoke(
    data: DataPart,
    keys: Path,
    store: ArtifactStore,
    account: str,
    progress: Progress = lambda _done, _of: None,
) -> Renewed:
    """Give an account, MSP/name, no key any more, and encrypt anew the chunks of which it was given one, in whatever task."""
    with datakeys.held(keys) as held:
        had = [number for number, one in enumerate(held.chunks) if one.was_given_to(account)]
        revoked = held.without(account)
        datakeys.save(keys, revoked)  # first: no later grant has it, whatever becomes of the rest
        return _renew(data, revoked, keys, store, had, progress)


def manifest_in(store: ArtifactStore, data: DataPart, current: ArtifactRef | None = None) -> DataManifest:
    """The list of a data set's chunks, or of a later version; replay.ChunkError if it is another's."""
    asked = Recompute(chunks=data.chunks, chunk_samples=data.chunk_samples)
    ref = current or data.ref
    return datasets.read_manifest(store, ref, asked, data.workload)


def _renew(
    data: DataPart,
    held: DataKeys,
    keys: Path,
    store: ArtifactStore,
    chunks: Collection[int],
    progress: Progress,
) -> Renewed:
    if not data.sealed or not held.of(data.ref):
        raise DataKeysError(
            f"{keys} does not hold the keys of the data set {data.digest[:16]}…: name its own with --keys"
        )
    manifest = manifest_in(store, data, held.manifest)
    if chunks:
        held = renew(store, held, manifest, _counted(chunks, progress))
        datakeys.save(keys, held)
        manifest = manifest_in(store, data, held.manifest)
    return Renewed(_described(manifest, held.manifest, sealed=True), manifest.version, len(chunks))


def _counted(chunks: Collection[int], progress: Progress) -> Iterator[int]:
    for done, chunk in enumerate(chunks):
        progress(done + 1, len(chunks))
        yield chunk


def _described(manifest: DataManifest, ref: ArtifactRef, *, sealed: bool) -> DataPart:
    return DataPart(
        workload=manifest.workload,
        digest=ref.digest,
        size=ref.size,
        chunks=len(manifest.chunks),
        chunk_samples=manifest.chunk_samples,
        sealed=sealed,
    )
