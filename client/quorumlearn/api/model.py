"""The model comes home: a block's public model from the store, checked, with what says where it is from.

1. The block is the ledger's, its digest that of its core, and the model's digest stands in that core. The store is believed in nothing.
2. In the file, safetensors, the tensors are the task's public blocks; the metadata is the provenance, text by name.
3. The private blocks never leave those who train them: the owner's node keeps its own (docs/protocol.md).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.derived import spec_digest
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.models import load_public

_THERE = "{} is there already: name another file, or have it overwritten (--force)"


class ModelRefused(ValueError):
    """A model that cannot be had, or a file that is not written: the sentence says why, and the way out."""


@dataclass(frozen=True)
class Provenance:
    """Where a model is from. Block 0 holds the task's initial model; digests are SHA-256, 64 hex digits; `genesis` is the hash of the
    channel's first block, which no other ledger has."""

    task: str
    height: int
    block: str
    model: str
    specification: str
    workload: str
    workload_version: str
    channel: str
    genesis: str

    def as_text(self) -> dict[str, str]:
        """As the metadata of a file has it: each name begins with `quorumlearn.`."""
        return {f"quorumlearn.{name}": str(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class PublicModel:
    """The task's public blocks by name, float32, and where they are from."""

    tensors: Mapping[str, NDArray[np.float32]]
    provenance: Provenance

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write it as safetensors, the provenance as its metadata; whole or not at all.

        ModelRefused if there is such a file and it is not to be overwritten, OSError if it cannot be written.
        """
        path = Path(path)
        check_free(path, overwrite=overwrite)
        data = safetensors.numpy.save(dict(self.tensors), metadata=self.provenance.as_text())
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            part.write_bytes(data)
            if overwrite:
                part.replace(path)
            else:
                os.link(part, path)  # unlike a rename, this never takes the place of what came meanwhile
        except FileExistsError as error:
            raise ModelRefused(_THERE.format(path)) from error
        finally:
            part.unlink(missing_ok=True)


def check_free(path: Path, *, overwrite: bool) -> None:
    """ModelRefused if a model cannot be written there: a file that is to stay, or no folder for it."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ModelRefused(f"{path} names no file in a folder that there is")
    if path.exists() and not overwrite:
        raise ModelRefused(_THERE.format(path))


def bring_home(
    market: Market, store: ArtifactStore, task: str, *, channel: str, genesis: str, height: int | None = None
) -> PublicModel:
    """The public model of a block, of the last if `height` is None.

    ModelRefused for a block that there is not or that does not fit its digest, Refused for no such task, ArtifactError or
    learning.ModelError if the store has not the model that the block names.
    """
    summary = market.task(task)
    spec, head = summary.task.spec, summary.state.head
    wanted = head.height if height is None else height
    digest, ref = _named(market, spec, wanted, head.height)
    tensors = load_public(store, spec, ref)
    return PublicModel(
        tensors,
        Provenance(
            task=task,
            height=wanted,
            block=digest,
            model=ref.digest,
            specification=spec_digest(spec),
            workload=spec.workload.name,
            workload_version=spec.workload.version,
            channel=channel,
            genesis=genesis,
        ),
    )


def _named(market: Market, spec: TaskSpec, height: int, last: int) -> tuple[str, ArtifactRef]:
    """The digest of the block at this height, and the model that it names."""
    if not 0 <= height <= last:
        raise ModelRefused(
            f"{spec.task_id} has no block {height}; its last is {last}, and 0 its initial model"
        )
    block = market.block(spec.task_id, height)
    if canonical.digest(block.core) != block.digest or (block.core.task_id, block.core.height) != (
        spec.task_id,
        height,
    ):
        raise ModelRefused(
            f"block {height} of {spec.task_id}, as the peer tells it, is not what its digest says"
        )
    if block.status == b.REVERTED:
        raise ModelRefused(f"block {height} of {spec.task_id} was reverted; take another")
    return block.digest, block.core.model
