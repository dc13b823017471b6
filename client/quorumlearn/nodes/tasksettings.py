"""The settings of a task, as its file has them: each with its type, its default and what it is, written here and nowhere else.

`quorumlearn task publish --help` and docs/task.md show them as `rows` gives them:

    python -m quorumlearn.nodes.tasksettings > docs/task.md
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo
from quorumlearn_proto.classes import MAX_CLASS
from quorumlearn_proto.common_pb2 import ArtifactRef

WHOLE = 10_000


def _basis_points(value: object) -> object:
    """`70%` or `2.5 %` as 7000 or 250, in 1/10000. A number other than 0 is refused: a plain 2 could be 2 % or 2 in 10000."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,3})(?:\.(\d{1,2}))? ?%", value)):
        points = int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))
        if points > WHOLE:
            raise ValueError(f"{value} is more than 100%")
        return points
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no percentage with at most two decimals, such as 2.5%")
    if value == 0:
        return 0
    ways = [f"{value:g}%"] if 0 < value <= 100 else []
    ways += (
        [f"{value / 100:g}% if it counts 1/10000"] if isinstance(value, int) and 0 < value <= WHOLE else []
    )
    raise ValueError(f"{value:g} has no unit; write {', or '.join(ways) or 'a percentage such as 2.5%'}")


def _as_text(value: object) -> object:
    """A number as it would be written in quotes."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


BasisPoints = Annotated[int, BeforeValidator(_basis_points)]
Setting = Annotated[str, BeforeValidator(_as_text)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WorkloadPart(_Strict):
    name: str = Field(
        description="mnist-cnn, mnist-mlp or mnist-wide, or one of your own; see quorumlearn workload list"
    )
    module: str | dict[str, Any] | None = Field(
        None,
        description="package.module:NAME, where a workload of your own is if no installed package brings it, or what a node's file "
        "says under workloads of a Flower app or of adapters; it stays with you",
    )
    config: dict[str, Setting] = Field(
        {},
        description="epochs, batch_size, learning_rate, momentum; dp_clip and dp_noise (together) make training "
        "differentially private, with epsilon reported at dp_delta (1e-5); late_rounds (0) takes updates that were late",
    )


class MinersPart(_Strict):
    minimum: int = Field(
        ge=1,
        description="a round needs so many: 2 byzantine + 2 at least, and what the rule needs; multi-krum 2 byzantine + 3",
    )
    maximum: int = Field(ge=1, description="no more take part in a round")
    per_organisation: int | None = Field(
        None, ge=1, description="nor more of one organisation; by default half of miners.maximum, rounded up"
    )
    byzantine: int = Field(0, ge=0, description="so many of them may cheat, together")


class RulePart(_Strict):
    name: str = Field(
        "multi-krum",
        description="or agreement, clustering, nnm+multi-krum, ...; docs/robustness.md; mean where mode is recompute",
    )
    parameters: dict[str, Setting] = Field(
        {},
        description='of the rule; margin: "0.07" leaves out who is not clear of the line too; docs/cost.md; '
        'least_new: "0.7" (0.1 to 0.95) of what is usual must be new, or an update is not paid; docs/robustness.md',
    )
    root: str | None = Field(
        None,
        description="for trust-scores: samples of the owner's data that become public, such as iid:0/600@7",
    )


class WeightingPart(_Strict):
    samples: tuple[int, ...] = Field(
        (),
        max_length=MAX_CLASS - 1,
        description="such as [1000, 4000]: who says to have so many weighs 2 or 3 times, and is paid as all are; docs/robustness.md",
    )


class CommitteePart(_Strict):
    organisations: tuple[str, ...] = Field(
        min_length=1, description="MSP ids, such as [Verifier1MSP, Verifier2MSP, Verifier3MSP]: a seat each"
    )
    threshold: int = Field(ge=1, description="so many seats decrypt and decide together")
    reserves: tuple[str, ...] = Field(
        (), description="MSP ids of those who may take a seat that has become free"
    )


class EncryptionPart(_Strict):
    preset: str = Field("default", description="or fast, paranoid; see quorumlearn ckks explain")
    bound: float = Field(1.0, gt=0, description="values of an update beyond it are clipped")
    step_bits: int | None = Field(None, description="instead of the preset's")
    flooding_bits: int | None = Field(None, description="instead of the preset's")
    sketch_size: int | None = Field(None, description="instead of the preset's")


class DataPart(_Strict):
    """What `quorumlearn data publish` writes of a data set."""

    workload: str = Field(description="whose data they are")
    digest: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the list of chunks in the store")
    size: int = Field(ge=1, description="its bytes")
    chunks: int = Field(ge=1, description="how many there are")
    chunk_samples: int = Field(ge=1, description="samples in each")
    sealed: bool = Field(False, description="whether they are encrypted")

    @property
    def ref(self) -> ArtifactRef:
        """Where the list of its chunks is."""
        return ArtifactRef(digest=self.digest, size=self.size)


class RecomputePart(_Strict):
    data: str | DataPart | None = Field(
        None,
        description="needed unless mode is robust: the file that `quorumlearn data publish -o FILE` wrote, or what it holds; docs/store.md",
    )
    chunks_per_miner: int | None = Field(
        None,
        ge=1,
        description="chunks that a miner is assigned in a round; by default so many that miners.maximum of them take all",
    )
    segment_steps: int | None = Field(
        None, ge=1, description="a checkpoint after so many steps; by default about 120 of them a training"
    )
    drawn: int = Field(5, ge=1, description="segments of each training that are replayed")
    exactness: Literal["portable", "profile"] = Field(
        "portable",
        description="portable: float64, the same bytes on every processor; profile: float32, replayed by seats whose processor and "
        "torch are as the miner's",
    )
    grid_bits: int = Field(20, description="portable: gradients are multiples of 2^-grid_bits")
    replicas: int | None = Field(
        None,
        ge=1,
        description="miners that train on the same chunks, of different organisations; by default 1, or 2 where no seat may read the data",
    )
    seats_read: bool = Field(
        False,
        description="of sealed data: the committee reads them too, and replays; otherwise replicas confirm each other",
    )
    pay_by_steps: bool = Field(
        False,
        description="miners may train on some of their chunks only, and are paid for those; otherwise all train on all, and are paid alike",
    )


class TimeoutsPart(_Strict):
    join: int = Field(600, description="seconds that miners and verifiers have to join")
    key: int = Field(30, description="seconds of each step of a key ceremony")
    commit: int = Field(600, description="seconds of the phase COMMIT")
    reveal: int = Field(120, description="seconds of the phase REVEAL")
    beacon: int = Field(30, description="seconds of the phase BEACON")
    trace: int = Field(120, description="seconds of the phase TRACE, where training is replayed")
    replay: int = Field(300, description="seconds of the phase REPLAY, where training is replayed")
    screen: int = Field(120, description="seconds of the phase SCREEN")
    select: int = Field(60, description="seconds of the phase SELECT")
    open: int = Field(60, description="seconds of the phase OPEN")
    propose: int = Field(60, description="seconds of the phase PROPOSE")
    validate_: int = Field(120, alias="validate", description="seconds of the phase VALIDATE")


class RewardPart(_Strict):
    per_round: int = Field(ge=1, description="tokens of the owner, locked for all rounds at once")
    miners: BasisPoints = Field(7000, description="of it to the miners, by the weight of their updates")
    by: Literal["weight", "contribution"] = Field(
        "weight",
        description="or contribution: groups of miners share the miners' part by what they add to the score; docs/protocol.md",
    )
    verifiers: BasisPoints = Field(2500, description="of it to the verifiers, evenly over the seats")
    proposer: BasisPoints = Field(500, description="of it to the proposer of the block")


class StakesPart(_Strict):
    miner: int = Field(100, description="tokens that a miner locks")
    miner_slash: int = Field(20, description="tokens that one proven fault costs a miner")
    verifier: int = Field(200, description="tokens that a verifier locks")
    verifier_slash: int = Field(50, description="tokens that one proven fault costs a verifier")
    challenge: int = Field(50, description="tokens that a challenger deposits")


class TaskFile(_Strict):
    """What the owner wants, as written."""

    id: str = Field(description="the task's name on the ledger, such as mnist-1")
    preset: Literal["chainfl", "krum", "learningchain", "omnilytics", "useful-work", "veiled"] | None = Field(
        None,
        description="a published system's settings, or useful-work or veiled, for what is left out; see quorumlearn task presets",
    )
    title: str = Field("", description="for people")
    workload: WorkloadPart
    public_blocks: tuple[str, ...] = Field(
        ("all",), description="the blocks of the model that are trained together; all stands for every one"
    )
    mode: Literal["robust", "recompute", "robust-and-recompute"] = Field(
        "robust",
        description="how it is told whose update counts: by a rule, by replaying parts of the training on the task's own data, or by both",
    )
    rounds: int = Field(ge=1, description="how many, one after another")
    miners: MinersPart
    rule: RulePart = RulePart.model_validate({})
    recompute: RecomputePart = RecomputePart.model_validate({})
    weighting: WeightingPart = WeightingPart()
    committee: CommitteePart
    min_aggregate: int | None = Field(
        None,
        ge=2,
        description="the sum of fewer miners, or of fewer of one weight, is not opened; by default byzantine + 2, which is the least",
    )
    encryption: EncryptionPart = EncryptionPart.model_validate({})
    timeouts: TimeoutsPart = TimeoutsPart.model_validate({})
    reward: RewardPart
    stakes: StakesPart = StakesPart.model_validate({})
    tolerance: BasisPoints = Field(
        200,
        description="how far the score may fall beyond chance: on a scale of 1 or, where less is better, of the last score; written with %",
    )
    challenge_window: int = Field(
        3600, ge=0, description="seconds in which an accepted block can be challenged"
    )
    seed: int = Field(
        0, ge=0, lt=2**63, description="what the initial model is drawn from; everybody knows it"
    )
    repeatable: bool = Field(
        False,
        description="for experiments, never for real data: nodes started with --repeatable draw training and beacons from the seed",
    )


Row = tuple[str, str, str]
"""A setting: its keys joined by dots, its default as a file would have it ("needed": there is none), and what it is."""


def rows(part: type[BaseModel] = TaskFile, prefix: str = "") -> Iterator[Row]:
    """All settings of a task's file, in their order."""
    for name, one in part.model_fields.items():
        key = prefix + (one.alias or name)
        if isinstance(one.annotation, type) and issubclass(one.annotation, BaseModel):
            yield from rows(one.annotation, f"{key}.")
        else:
            yield key, _default(one), one.description or ""


def as_text(width: int = 110, part: type[BaseModel] = TaskFile, prefix: str = "") -> str:
    """The settings as lines of at most so many characters."""
    lines, shown = [], list(rows(part, prefix))
    wide = max(len(key) for key, _, _ in shown) + 2
    for key, default, what in shown:
        head = f"{key:<{wide}}{default:<11}"
        lines += textwrap.wrap(what, width, initial_indent=head, subsequent_indent=" " * len(head))
    return "\n".join(lines)


def as_markdown() -> str:
    """The page of the docs."""
    return f"{_PAGE}\n{table()}"


def table(part: type[BaseModel] = TaskFile, prefix: str = "") -> str:
    """The settings as a table of Markdown."""
    lines = "".join(f"| `{key}` | {default} | {what} |\n" for key, default, what in rows(part, prefix))
    return f"| key | default | |\n| --- | --- | --- |\n{lines}"


def _default(one: FieldInfo) -> str:
    if one.is_required():
        return "needed"
    if one.default is None:
        return ""
    if any(isinstance(item, BeforeValidator) and item.func is _basis_points for item in one.metadata):
        return f"{one.default / 100:g}%"
    value = list(one.default) if isinstance(one.default, tuple) else one.default
    text: str = yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")
    return text


_PAGE = """\
# A task's file
What `quorumlearn task publish` reads, in YAML; `quorumlearn task example` writes one. Keys joined by a dot stand inside each other:
`reward.per_round` is `reward: {per_round: 1000}`. What is not needed may be left out.
"""


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
