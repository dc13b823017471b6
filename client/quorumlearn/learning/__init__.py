"""Learning: workloads, data sets and their division, models as bytes. Knows nothing of encryption or ledgers.

A miner's round, with the block `top` public:

    workload = get_workload("mnist-cnn", {"epochs": "1"})
    data = workload.load("data/mnist", Part("train"))
    shard = data.take(ShardSpec.parse("iid:0/6").indices(data.targets))
    base = workload.initial_model(seed=1)
    trained = workload.train(base, shard, seed=2).model
    update = difference(split(trained, ["top"])[0], split(base, ["top"])[0])
"""

from typing import TYPE_CHECKING, Any

from quorumlearn.learning.callable_workload import CallableWorkload
from quorumlearn.learning.data import Data, Part, Samples
from quorumlearn.learning.digits import Digits, DigitsSource, default_cache, load_digits
from quorumlearn.learning.errors import (
    DataCorrupt,
    DataMissing,
    LearningError,
    LibraryMissing,
    ModelError,
    ScoreError,
    ShardError,
    TrainingError,
    WorkloadError,
)
from quorumlearn.learning.folders import data_folder
from quorumlearn.learning.inspection import WIDE, Inspection, inspected
from quorumlearn.learning.model import (
    MOST_HEADER,
    Model,
    Shapes,
    Update,
    apply_update,
    difference,
    flatten,
    from_bytes,
    merge,
    most_bytes,
    public_shapes,
    read,
    shapes_of,
    size_of,
    split,
    to_bytes,
    unflatten,
)
from quorumlearn.learning.registry import (
    WORKLOADS,
    Origin,
    definition,
    digest_of,
    get_workload,
    installed,
    origins,
    register,
    shared_by_all,
    warm_up,
)
from quorumlearn.learning.scores import (
    ACCURACY,
    Metric,
    Millionths,
    Score,
    accuracy,
    auc,
    mean_loss,
    millionths,
    perplexity,
    r2,
)
from quorumlearn.learning.shards import ShardSpec, dirichlet, iid, one_class
from quorumlearn.learning.sklearn_linear import SklearnLinear
from quorumlearn.learning.workload import Building, Definition, OnStep, TrainingConfig, TrainResult, Workload

if TYPE_CHECKING:
    from quorumlearn.learning.torch_workload import TorchWorkload

__all__ = [
    "ACCURACY",
    "MOST_HEADER",
    "WIDE",
    "WORKLOADS",
    "Building",
    "CallableWorkload",
    "Data",
    "DataCorrupt",
    "DataMissing",
    "Definition",
    "Digits",
    "DigitsSource",
    "Inspection",
    "LearningError",
    "LibraryMissing",
    "Metric",
    "Millionths",
    "Model",
    "ModelError",
    "OnStep",
    "Origin",
    "Part",
    "Samples",
    "Score",
    "ScoreError",
    "Shapes",
    "ShardError",
    "ShardSpec",
    "SklearnLinear",
    "TorchWorkload",
    "TrainResult",
    "TrainingConfig",
    "TrainingError",
    "Update",
    "Workload",
    "WorkloadError",
    "accuracy",
    "apply_update",
    "auc",
    "data_folder",
    "default_cache",
    "definition",
    "difference",
    "digest_of",
    "dirichlet",
    "flatten",
    "from_bytes",
    "get_workload",
    "iid",
    "inspected",
    "installed",
    "load_digits",
    "mean_loss",
    "merge",
    "millionths",
    "most_bytes",
    "one_class",
    "origins",
    "perplexity",
    "public_shapes",
    "r2",
    "read",
    "register",
    "shapes_of",
    "shared_by_all",
    "size_of",
    "split",
    "to_bytes",
    "unflatten",
    "warm_up",
]


def __getattr__(name: str) -> Any:
    """TorchWorkload, of which the import brings torch: only who uses it pays for it."""
    if name == "TorchWorkload":
        from quorumlearn.learning.torch_workload import TorchWorkload

        return TorchWorkload
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
