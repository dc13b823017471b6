"""A small data set in a store, sealed or not, and a round of a task that trains on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.learning import Samples
from quorumlearn.nodes import sealing
from quorumlearn.nodes.work import datakeys, datasets
from quorumlearn.nodes.work.chunkcache import ChunkCache
from quorumlearn.nodes.work.chunks import ChunkReader
from quorumlearn.nodes.work.datakeys import ChunkKey, DataKeys
from quorumlearn.replay import chunks_of, manifest_of, to_bytes
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import DataManifest
from quorumlearn_proto.common_pb2 import ArtifactRef

TASK, OWNER = "sealed-1", "OwnerMSP/owner"
CHUNKS, SAMPLES = 6, 4
MINERS = ("AMSP/a", "BMSP/b", "CMSP/c")
SEATS = {1: "V1MSP/v", 2: "V2MSP/v"}


def samples() -> Samples:
    """Each sample is its own number."""
    count = CHUNKS * SAMPLES
    inputs = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    return Samples(inputs, np.arange(count, dtype=np.int64))


def chunk(number: int) -> list[int]:
    """The targets of a chunk."""
    return list(range(number * SAMPLES, (number + 1) * SAMPLES))


@dataclass
class DataSet:
    """In the folder `store` below `root`; its owner's keys beside it, if it is sealed."""

    root: Path
    sealed: bool = False
    ref: ArtifactRef = field(init=False)
    store: ArtifactStore = field(init=False)
    privates: dict[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.store = ArtifactStore(str(self.root / "store"), organisation="OwnerMSP", create=True)
        empty = DataManifest(workload="toy", chunk_samples=SAMPLES)
        keys = [ChunkKey.new() for _ in range(CHUNKS)]
        refs = []
        for number, one in enumerate(chunks_of(samples(), SAMPLES)):
            plain = to_bytes(one)
            data = datasets.sealed(plain, keys[number].key, empty, number) if self.sealed else plain
            refs.append(self.store.put(data))
        self.ref = datasets.put_manifest(self.store, manifest_of("toy", SAMPLES, refs))
        if self.sealed:
            datakeys.save(self.keys, DataKeys((self.ref,), tuple(keys)))
        self.privates = {one: sealing.new_key() for one in (*MINERS, *SEATS.values())}

    @property
    def keys(self) -> Path:
        return self.root / "data.keys"

    def spec(self, *, seats_read: bool = False) -> t.TaskSpec:
        return t.TaskSpec(
            task_id=TASK,
            mode=t.RECOMPUTE,
            workload=t.Workload(name="toy"),
            max_miners=len(MINERS),
            committee=t.Committee(msp_ids=[one.partition("/")[0] for one in SEATS.values()], threshold=2),
            recompute=t.Recompute(
                data=self.ref,
                chunks=CHUNKS,
                chunk_samples=SAMPLES,
                chunks_per_miner=2,
                sealed=self.sealed,
                seats_read=seats_read,
            ),
        )

    def view(
        self, number: int = 1, *, teams: dict[str, list[int]] | None = None, **options: bool
    ) -> b.TaskView:
        """Round `number` in COMMIT; by default miner i has the chunks 2 i and 2 i + 1."""
        assigned = teams or {miner: [2 * at, 2 * at + 1] for at, miner in enumerate(MINERS)}
        return b.TaskView(
            task=t.Task(spec=self.spec(**options), owner=OWNER),
            state=t.TaskState(task_id=TASK, status=t.RUNNING, round=number),
            round=b.Round(
                task_id=TASK,
                number=number,
                phase=b.COMMIT,
                seats=list(SEATS),
                teams=[b.Team(miners=[miner], chunks=chunks) for miner, chunks in assigned.items()],
            ),
            contributions=[
                b.KeyContribution(
                    task_id=TASK,
                    round=number,
                    seat=seat,
                    verifier=verifier,
                    sealing_key=sealing.public_key(self.privates[verifier]),
                )
                for seat, verifier in SEATS.items()
            ],
            seats=[t.Seat(task_id=TASK, seat=seat, verifier=verifier) for seat, verifier in SEATS.items()],
            miners=list(MINERS),
        )

    def reader(self, me: str, most: int = 1 << 20) -> ChunkReader:
        """Of a node of its own."""
        store = ArtifactStore(str(self.root / "store"), organisation=me.partition("/")[0])
        cache = ChunkCache(store, self.root / "nodes" / me / ".chunks", most)
        return ChunkReader(me, store, cache, lambda _: self.privates[me])
