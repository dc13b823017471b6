from quorumlearn_proto import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Exactness(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXACTNESS_UNSPECIFIED: _ClassVar[Exactness]
    PROFILE: _ClassVar[Exactness]
    PORTABLE: _ClassVar[Exactness]

class VerificationMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERIFICATION_MODE_UNSPECIFIED: _ClassVar[VerificationMode]
    ROBUST: _ClassVar[VerificationMode]
    RECOMPUTE: _ClassVar[VerificationMode]
    ROBUST_AND_RECOMPUTE: _ClassVar[VerificationMode]

class TaskStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATUS_UNSPECIFIED: _ClassVar[TaskStatus]
    PUBLISHED: _ClassVar[TaskStatus]
    RUNNING: _ClassVar[TaskStatus]
    COMPLETED: _ClassVar[TaskStatus]
    CANCELLED: _ClassVar[TaskStatus]
    EXPIRED: _ClassVar[TaskStatus]
EXACTNESS_UNSPECIFIED: Exactness
PROFILE: Exactness
PORTABLE: Exactness
VERIFICATION_MODE_UNSPECIFIED: VerificationMode
ROBUST: VerificationMode
RECOMPUTE: VerificationMode
ROBUST_AND_RECOMPUTE: VerificationMode
TASK_STATUS_UNSPECIFIED: TaskStatus
PUBLISHED: TaskStatus
RUNNING: TaskStatus
COMPLETED: TaskStatus
CANCELLED: TaskStatus
EXPIRED: TaskStatus

class TaskSpec(_message.Message):
    __slots__ = ("task_id", "title", "workload", "initial_model", "rounds", "min_miners", "max_miners", "byzantine", "rule", "mode", "committee", "ckks", "timeouts", "reward", "stakes", "tolerance_bp", "challenge_window_seconds", "seed", "min_aggregate", "repeatable", "max_per_organisation", "sample_classes", "recompute")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    INITIAL_MODEL_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    MIN_MINERS_FIELD_NUMBER: _ClassVar[int]
    MAX_MINERS_FIELD_NUMBER: _ClassVar[int]
    BYZANTINE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    COMMITTEE_FIELD_NUMBER: _ClassVar[int]
    CKKS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    REWARD_FIELD_NUMBER: _ClassVar[int]
    STAKES_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_BP_FIELD_NUMBER: _ClassVar[int]
    CHALLENGE_WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MIN_AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    REPEATABLE_FIELD_NUMBER: _ClassVar[int]
    MAX_PER_ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_CLASSES_FIELD_NUMBER: _ClassVar[int]
    RECOMPUTE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    title: str
    workload: Workload
    initial_model: _common_pb2.ArtifactRef
    rounds: int
    min_miners: int
    max_miners: int
    byzantine: int
    rule: RobustRule
    mode: VerificationMode
    committee: Committee
    ckks: CkksParameters
    timeouts: Timeouts
    reward: RewardSplit
    stakes: Stakes
    tolerance_bp: int
    challenge_window_seconds: int
    seed: int
    min_aggregate: int
    repeatable: bool
    max_per_organisation: int
    sample_classes: _containers.RepeatedScalarFieldContainer[int]
    recompute: Recompute
    def __init__(self, task_id: _Optional[str] = ..., title: _Optional[str] = ..., workload: _Optional[_Union[Workload, _Mapping]] = ..., initial_model: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., rounds: _Optional[int] = ..., min_miners: _Optional[int] = ..., max_miners: _Optional[int] = ..., byzantine: _Optional[int] = ..., rule: _Optional[_Union[RobustRule, _Mapping]] = ..., mode: _Optional[_Union[VerificationMode, str]] = ..., committee: _Optional[_Union[Committee, _Mapping]] = ..., ckks: _Optional[_Union[CkksParameters, _Mapping]] = ..., timeouts: _Optional[_Union[Timeouts, _Mapping]] = ..., reward: _Optional[_Union[RewardSplit, _Mapping]] = ..., stakes: _Optional[_Union[Stakes, _Mapping]] = ..., tolerance_bp: _Optional[int] = ..., challenge_window_seconds: _Optional[int] = ..., seed: _Optional[int] = ..., min_aggregate: _Optional[int] = ..., repeatable: bool = ..., max_per_organisation: _Optional[int] = ..., sample_classes: _Optional[_Iterable[int]] = ..., recompute: _Optional[_Union[Recompute, _Mapping]] = ...) -> None: ...

class Recompute(_message.Message):
    __slots__ = ("data", "chunks", "chunk_samples", "chunks_per_miner", "chunk_steps", "segment_steps", "segments", "exactness", "grid_bits", "replicas", "sealed", "seats_read", "pay_by_steps")
    DATA_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_PER_MINER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_STEPS_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_STEPS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    EXACTNESS_FIELD_NUMBER: _ClassVar[int]
    GRID_BITS_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    SEATS_READ_FIELD_NUMBER: _ClassVar[int]
    PAY_BY_STEPS_FIELD_NUMBER: _ClassVar[int]
    data: _common_pb2.ArtifactRef
    chunks: int
    chunk_samples: int
    chunks_per_miner: int
    chunk_steps: int
    segment_steps: int
    segments: int
    exactness: Exactness
    grid_bits: int
    replicas: int
    sealed: bool
    seats_read: bool
    pay_by_steps: bool
    def __init__(self, data: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., chunks: _Optional[int] = ..., chunk_samples: _Optional[int] = ..., chunks_per_miner: _Optional[int] = ..., chunk_steps: _Optional[int] = ..., segment_steps: _Optional[int] = ..., segments: _Optional[int] = ..., exactness: _Optional[_Union[Exactness, str]] = ..., grid_bits: _Optional[int] = ..., replicas: _Optional[int] = ..., sealed: bool = ..., seats_read: bool = ..., pay_by_steps: bool = ...) -> None: ...

class Workload(_message.Message):
    __slots__ = ("name", "config", "public_blocks", "version", "digest", "metric", "lower_is_better")
    class ConfigEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    LOWER_IS_BETTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    config: _containers.ScalarMap[str, str]
    public_blocks: _containers.RepeatedScalarFieldContainer[str]
    version: str
    digest: str
    metric: str
    lower_is_better: bool
    def __init__(self, name: _Optional[str] = ..., config: _Optional[_Mapping[str, str]] = ..., public_blocks: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., metric: _Optional[str] = ..., lower_is_better: bool = ...) -> None: ...

class RobustRule(_message.Message):
    __slots__ = ("name", "parameters")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    parameters: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., parameters: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Committee(_message.Message):
    __slots__ = ("msp_ids", "threshold", "reserve_msp_ids")
    MSP_IDS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    RESERVE_MSP_IDS_FIELD_NUMBER: _ClassVar[int]
    msp_ids: _containers.RepeatedScalarFieldContainer[str]
    threshold: int
    reserve_msp_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, msp_ids: _Optional[_Iterable[str]] = ..., threshold: _Optional[int] = ..., reserve_msp_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class CkksParameters(_message.Message):
    __slots__ = ("poly_modulus_degree", "coeff_modulus_bits", "scale_bits", "sign_scale_bits", "step_bits", "bound_steps", "max_weight_sum", "flooding_bits", "sketch_size", "update_size")
    POLY_MODULUS_DEGREE_FIELD_NUMBER: _ClassVar[int]
    COEFF_MODULUS_BITS_FIELD_NUMBER: _ClassVar[int]
    SCALE_BITS_FIELD_NUMBER: _ClassVar[int]
    SIGN_SCALE_BITS_FIELD_NUMBER: _ClassVar[int]
    STEP_BITS_FIELD_NUMBER: _ClassVar[int]
    BOUND_STEPS_FIELD_NUMBER: _ClassVar[int]
    MAX_WEIGHT_SUM_FIELD_NUMBER: _ClassVar[int]
    FLOODING_BITS_FIELD_NUMBER: _ClassVar[int]
    SKETCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_SIZE_FIELD_NUMBER: _ClassVar[int]
    poly_modulus_degree: int
    coeff_modulus_bits: _containers.RepeatedScalarFieldContainer[int]
    scale_bits: int
    sign_scale_bits: int
    step_bits: int
    bound_steps: int
    max_weight_sum: int
    flooding_bits: int
    sketch_size: int
    update_size: int
    def __init__(self, poly_modulus_degree: _Optional[int] = ..., coeff_modulus_bits: _Optional[_Iterable[int]] = ..., scale_bits: _Optional[int] = ..., sign_scale_bits: _Optional[int] = ..., step_bits: _Optional[int] = ..., bound_steps: _Optional[int] = ..., max_weight_sum: _Optional[int] = ..., flooding_bits: _Optional[int] = ..., sketch_size: _Optional[int] = ..., update_size: _Optional[int] = ...) -> None: ...

class Timeouts(_message.Message):
    __slots__ = ("join", "key", "commit", "reveal", "beacon", "screen", "select", "open", "propose", "validate", "trace", "replay")
    JOIN_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    REVEAL_FIELD_NUMBER: _ClassVar[int]
    BEACON_FIELD_NUMBER: _ClassVar[int]
    SCREEN_FIELD_NUMBER: _ClassVar[int]
    SELECT_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    PROPOSE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    join: int
    key: int
    commit: int
    reveal: int
    beacon: int
    screen: int
    select: int
    open: int
    propose: int
    validate: int
    trace: int
    replay: int
    def __init__(self, join: _Optional[int] = ..., key: _Optional[int] = ..., commit: _Optional[int] = ..., reveal: _Optional[int] = ..., beacon: _Optional[int] = ..., screen: _Optional[int] = ..., select: _Optional[int] = ..., open: _Optional[int] = ..., propose: _Optional[int] = ..., validate: _Optional[int] = ..., trace: _Optional[int] = ..., replay: _Optional[int] = ...) -> None: ...

class RewardSplit(_message.Message):
    __slots__ = ("per_round", "miners_bp", "verifiers_bp", "proposer_bp", "by_contribution")
    PER_ROUND_FIELD_NUMBER: _ClassVar[int]
    MINERS_BP_FIELD_NUMBER: _ClassVar[int]
    VERIFIERS_BP_FIELD_NUMBER: _ClassVar[int]
    PROPOSER_BP_FIELD_NUMBER: _ClassVar[int]
    BY_CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    per_round: int
    miners_bp: int
    verifiers_bp: int
    proposer_bp: int
    by_contribution: bool
    def __init__(self, per_round: _Optional[int] = ..., miners_bp: _Optional[int] = ..., verifiers_bp: _Optional[int] = ..., proposer_bp: _Optional[int] = ..., by_contribution: bool = ...) -> None: ...

class Stakes(_message.Message):
    __slots__ = ("miner", "miner_slash", "verifier", "verifier_slash", "challenge")
    MINER_FIELD_NUMBER: _ClassVar[int]
    MINER_SLASH_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_SLASH_FIELD_NUMBER: _ClassVar[int]
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    miner: int
    miner_slash: int
    verifier: int
    verifier_slash: int
    challenge: int
    def __init__(self, miner: _Optional[int] = ..., miner_slash: _Optional[int] = ..., verifier: _Optional[int] = ..., verifier_slash: _Optional[int] = ..., challenge: _Optional[int] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("spec", "spec_digest", "owner", "owner_msp", "published_at_ms")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SPEC_DIGEST_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    OWNER_MSP_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    spec: TaskSpec
    spec_digest: str
    owner: str
    owner_msp: str
    published_at_ms: int
    def __init__(self, spec: _Optional[_Union[TaskSpec, _Mapping]] = ..., spec_digest: _Optional[str] = ..., owner: _Optional[str] = ..., owner_msp: _Optional[str] = ..., published_at_ms: _Optional[int] = ...) -> None: ...

class TaskState(_message.Message):
    __slots__ = ("task_id", "status", "round", "head", "join_deadline_ms", "cancel_requested", "reason", "spec_digest")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    JOIN_DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SPEC_DIGEST_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    status: TaskStatus
    round: int
    head: _common_pb2.Head
    join_deadline_ms: int
    cancel_requested: bool
    reason: str
    spec_digest: str
    def __init__(self, task_id: _Optional[str] = ..., status: _Optional[_Union[TaskStatus, str]] = ..., round: _Optional[int] = ..., head: _Optional[_Union[_common_pb2.Head, _Mapping]] = ..., join_deadline_ms: _Optional[int] = ..., cancel_requested: bool = ..., reason: _Optional[str] = ..., spec_digest: _Optional[str] = ...) -> None: ...

class Slot(_message.Message):
    __slots__ = ("owner_msp", "slot", "task_id")
    OWNER_MSP_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    owner_msp: str
    slot: int
    task_id: str
    def __init__(self, owner_msp: _Optional[str] = ..., slot: _Optional[int] = ..., task_id: _Optional[str] = ...) -> None: ...

class Queue(_message.Message):
    __slots__ = ("task_id", "joined")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    joined: int
    def __init__(self, task_id: _Optional[str] = ..., joined: _Optional[int] = ...) -> None: ...

class Participation(_message.Message):
    __slots__ = ("task_id", "miner", "number", "work", "left", "leaves_after", "waits_since", "sealing_key")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MINER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    LEAVES_AFTER_FIELD_NUMBER: _ClassVar[int]
    WAITS_SINCE_FIELD_NUMBER: _ClassVar[int]
    SEALING_KEY_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    miner: str
    number: int
    work: int
    left: bool
    leaves_after: int
    waits_since: int
    sealing_key: bytes
    def __init__(self, task_id: _Optional[str] = ..., miner: _Optional[str] = ..., number: _Optional[int] = ..., work: _Optional[int] = ..., left: bool = ..., leaves_after: _Optional[int] = ..., waits_since: _Optional[int] = ..., sealing_key: _Optional[bytes] = ...) -> None: ...

class Seat(_message.Message):
    __slots__ = ("task_id", "seat", "verifier", "joined_at_ms", "leaves_after")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    JOINED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    LEAVES_AFTER_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    seat: int
    verifier: str
    joined_at_ms: int
    leaves_after: int
    def __init__(self, task_id: _Optional[str] = ..., seat: _Optional[int] = ..., verifier: _Optional[str] = ..., joined_at_ms: _Optional[int] = ..., leaves_after: _Optional[int] = ...) -> None: ...
