"""Learning: workloads, data sets and their division, models as bytes. Knows nothing of encryption or ledgers.

A miner's round, with the block `top` public:

    workload = get_workload("mnist-cnn", {"epochs": "1"})
    data = load(DataSource(folder=folder)).train_pixels
    shard = data.take(ShardSpec.parse("iid:0/6").indices(data.labels))
    base = workload.initial_model(seed=1)
    trained = workload.train(base, shard, seed=2).model
    update = difference(split(trained, ["top"])[0], split(base, ["top"])[0])
"""

from quorumlearn.learning.datasets import Dataset, DataSource, Pixels, Split, default_cache, load
from quorumlearn.learning.errors import (
    DataCorrupt,
    DataMissing,
    LearningError,
    LibraryMissing,
    ModelError,
    ShardError,
    TrainingError,
    WorkloadError,
)
from quorumlearn.learning.model import (
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
    shapes_of,
    size_of,
    split,
    to_bytes,
    unflatten,
)
from quorumlearn.learning.registry import WORKLOADS, get_workload, warm_up
from quorumlearn.learning.shards import ShardSpec, dirichlet, iid, one_class
from quorumlearn.learning.workload import OnStep, Score, TrainingConfig, TrainResult, Workload

__all__ = [
    "WORKLOADS",
    "DataCorrupt",
    "DataMissing",
    "DataSource",
    "Dataset",
    "LearningError",
    "LibraryMissing",
    "Model",
    "ModelError",
    "OnStep",
    "Pixels",
    "Score",
    "Shapes",
    "ShardError",
    "ShardSpec",
    "Split",
    "TrainResult",
    "TrainingConfig",
    "TrainingError",
    "Update",
    "Workload",
    "WorkloadError",
    "apply_update",
    "default_cache",
    "difference",
    "dirichlet",
    "flatten",
    "from_bytes",
    "get_workload",
    "iid",
    "load",
    "merge",
    "most_bytes",
    "one_class",
    "public_shapes",
    "shapes_of",
    "size_of",
    "split",
    "to_bytes",
    "unflatten",
    "warm_up",
]
