"""Learning: workloads, data sets and their division, models as bytes. Knows nothing of encryption or ledgers.

A miner's round, with the block `top` public:

    workload = get_workload("mnist-cnn", {"epochs": "1"})
    data = workload.load("data/mnist", Part("train"))
    shard = data.take(ShardSpec.parse("iid:0/6").indices(data.targets))
    base = workload.initial_model(seed=1)
    trained = workload.train(base, shard, seed=2).model
    update = difference(split(trained, ["top"])[0], split(base, ["top"])[0])
"""

from quorumlearn.learning.data import Data, Part, Samples
from quorumlearn.learning.digits import Digits, DigitsSource, default_cache, load_digits
from quorumlearn.learning.errors import (
    DataCorrupt,
    DataMissing,
    LearningError,
    ModelError,
    ShardError,
    TrainingError,
    WorkloadError,
)
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
    digest_of,
    get_workload,
    installed,
    register,
    shared_by_all,
    warm_up,
)
from quorumlearn.learning.shards import ShardSpec, dirichlet, iid, one_class
from quorumlearn.learning.workload import Definition, OnStep, Score, TrainingConfig, TrainResult, Workload

__all__ = [
    "MOST_HEADER",
    "WORKLOADS",
    "Data",
    "DataCorrupt",
    "DataMissing",
    "Definition",
    "Digits",
    "DigitsSource",
    "LearningError",
    "Model",
    "ModelError",
    "OnStep",
    "Part",
    "Samples",
    "Score",
    "Shapes",
    "ShardError",
    "ShardSpec",
    "TrainResult",
    "TrainingConfig",
    "TrainingError",
    "Update",
    "Workload",
    "WorkloadError",
    "apply_update",
    "default_cache",
    "difference",
    "digest_of",
    "dirichlet",
    "flatten",
    "from_bytes",
    "get_workload",
    "iid",
    "installed",
    "load_digits",
    "merge",
    "most_bytes",
    "one_class",
    "public_shapes",
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
