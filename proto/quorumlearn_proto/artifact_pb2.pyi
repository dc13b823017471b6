from quorumlearn_proto import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReplayFinding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPLAY_FINDING_UNSPECIFIED: _ClassVar[ReplayFinding]
    RIGHT: _ClassVar[ReplayFinding]
    WRONG: _ClassVar[ReplayFinding]
    MISSING: _ClassVar[ReplayFinding]
REPLAY_FINDING_UNSPECIFIED: ReplayFinding
RIGHT: ReplayFinding
WRONG: ReplayFinding
MISSING: ReplayFinding

class PublicShare(_message.Message):
    __slots__ = ("task_id", "round", "attempt", "seat", "polynomial")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    POLYNOMIAL_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    attempt: int
    seat: int
    polynomial: bytes
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., attempt: _Optional[int] = ..., seat: _Optional[int] = ..., polynomial: _Optional[bytes] = ...) -> None: ...

class CollectiveKey(_message.Message):
    __slots__ = ("task_id", "round", "attempt", "seats", "key")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    attempt: int
    seats: _containers.RepeatedScalarFieldContainer[int]
    key: bytes
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., attempt: _Optional[int] = ..., seats: _Optional[_Iterable[int]] = ..., key: _Optional[bytes] = ...) -> None: ...

class SealedBox(_message.Message):
    __slots__ = ("recipient", "sealed")
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    recipient: int
    sealed: bytes
    def __init__(self, recipient: _Optional[int] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class SealedShares(_message.Message):
    __slots__ = ("task_id", "round", "attempt", "seat", "boxes")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    attempt: int
    seat: int
    boxes: _containers.RepeatedCompositeFieldContainer[SealedBox]
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., attempt: _Optional[int] = ..., seat: _Optional[int] = ..., boxes: _Optional[_Iterable[_Union[SealedBox, _Mapping]]] = ...) -> None: ...

class SealedSalts(_message.Message):
    __slots__ = ("task_id", "round", "miner", "boxes")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    MINER_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    miner: str
    boxes: _containers.RepeatedCompositeFieldContainer[SealedBox]
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., miner: _Optional[str] = ..., boxes: _Optional[_Iterable[_Union[SealedBox, _Mapping]]] = ...) -> None: ...

class PartialDecryption(_message.Message):
    __slots__ = ("task_id", "round", "seat", "purpose", "ciphertext", "residues", "rehearsal")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    RESIDUES_FIELD_NUMBER: _ClassVar[int]
    REHEARSAL_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    seat: int
    purpose: _common_pb2.Purpose
    ciphertext: str
    residues: bytes
    rehearsal: bytes
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., seat: _Optional[int] = ..., purpose: _Optional[_Union[_common_pb2.Purpose, str]] = ..., ciphertext: _Optional[str] = ..., residues: _Optional[bytes] = ..., rehearsal: _Optional[bytes] = ...) -> None: ...

class SketchShares(_message.Message):
    __slots__ = ("task_id", "round", "seat", "coverage", "boxes")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    seat: int
    coverage: _containers.RepeatedCompositeFieldContainer[Coverage]
    boxes: _containers.RepeatedCompositeFieldContainer[SealedBox]
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., seat: _Optional[int] = ..., coverage: _Optional[_Iterable[_Union[Coverage, _Mapping]]] = ..., boxes: _Optional[_Iterable[_Union[SealedBox, _Mapping]]] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("miner", "update", "reason")
    MINER_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    miner: str
    update: str
    reason: int
    def __init__(self, miner: _Optional[str] = ..., update: _Optional[str] = ..., reason: _Optional[int] = ...) -> None: ...

class SketchPayload(_message.Message):
    __slots__ = ("shares", "salts")
    SHARES_FIELD_NUMBER: _ClassVar[int]
    SALTS_FIELD_NUMBER: _ClassVar[int]
    shares: _containers.RepeatedScalarFieldContainer[bytes]
    salts: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, shares: _Optional[_Iterable[bytes]] = ..., salts: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Aggregate(_message.Message):
    __slots__ = ("values", "weight_sum")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_SUM_FIELD_NUMBER: _ClassVar[int]
    values: bytes
    weight_sum: int
    def __init__(self, values: _Optional[bytes] = ..., weight_sum: _Optional[int] = ...) -> None: ...

class DataManifest(_message.Message):
    __slots__ = ("workload", "chunk_samples", "chunks", "version")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    workload: str
    chunk_samples: int
    chunks: _containers.RepeatedCompositeFieldContainer[_common_pb2.ArtifactRef]
    version: int
    def __init__(self, workload: _Optional[str] = ..., chunk_samples: _Optional[int] = ..., chunks: _Optional[_Iterable[_Union[_common_pb2.ArtifactRef, _Mapping]]] = ..., version: _Optional[int] = ...) -> None: ...

class SealedKeys(_message.Message):
    __slots__ = ("task_id", "round", "data", "keys")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    data: _common_pb2.ArtifactRef
    keys: _containers.RepeatedCompositeFieldContainer[SealedKey]
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., data: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., keys: _Optional[_Iterable[_Union[SealedKey, _Mapping]]] = ...) -> None: ...

class SealedKey(_message.Message):
    __slots__ = ("chunk", "reader", "sealed")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    READER_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    chunk: int
    reader: str
    sealed: bytes
    def __init__(self, chunk: _Optional[int] = ..., reader: _Optional[str] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class TraceOpening(_message.Message):
    __slots__ = ("task_id", "round", "miner", "segments", "last", "salt")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    MINER_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    miner: str
    segments: _containers.RepeatedCompositeFieldContainer[OpenedSegment]
    last: OpenedCheckpoint
    salt: bytes
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., miner: _Optional[str] = ..., segments: _Optional[_Iterable[_Union[OpenedSegment, _Mapping]]] = ..., last: _Optional[_Union[OpenedCheckpoint, _Mapping]] = ..., salt: _Optional[bytes] = ...) -> None: ...

class OpenedSegment(_message.Message):
    __slots__ = ("number", "start", "end", "ties")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    TIES_FIELD_NUMBER: _ClassVar[int]
    number: int
    start: OpenedCheckpoint
    end: CheckpointLeaf
    ties: bytes
    def __init__(self, number: _Optional[int] = ..., start: _Optional[_Union[OpenedCheckpoint, _Mapping]] = ..., end: _Optional[_Union[CheckpointLeaf, _Mapping]] = ..., ties: _Optional[bytes] = ...) -> None: ...

class OpenedCheckpoint(_message.Message):
    __slots__ = ("weights", "optimiser", "leaf")
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    OPTIMISER_FIELD_NUMBER: _ClassVar[int]
    LEAF_FIELD_NUMBER: _ClassVar[int]
    weights: bytes
    optimiser: bytes
    leaf: CheckpointLeaf
    def __init__(self, weights: _Optional[bytes] = ..., optimiser: _Optional[bytes] = ..., leaf: _Optional[_Union[CheckpointLeaf, _Mapping]] = ...) -> None: ...

class CheckpointLeaf(_message.Message):
    __slots__ = ("weights", "optimiser", "ties", "path")
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    OPTIMISER_FIELD_NUMBER: _ClassVar[int]
    TIES_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    weights: bytes
    optimiser: bytes
    ties: bytes
    path: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, weights: _Optional[bytes] = ..., optimiser: _Optional[bytes] = ..., ties: _Optional[bytes] = ..., path: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SealedOpening(_message.Message):
    __slots__ = ("task_id", "round", "miner", "opening", "keys")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    MINER_FIELD_NUMBER: _ClassVar[int]
    OPENING_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    miner: str
    opening: bytes
    keys: _containers.RepeatedCompositeFieldContainer[SealedBox]
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., miner: _Optional[str] = ..., opening: _Optional[bytes] = ..., keys: _Optional[_Iterable[_Union[SealedBox, _Mapping]]] = ...) -> None: ...

class ReplayReport(_message.Message):
    __slots__ = ("task_id", "round", "seat", "replays", "nonce")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    REPLAYS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    seat: int
    replays: _containers.RepeatedCompositeFieldContainer[Replay]
    nonce: bytes
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., seat: _Optional[int] = ..., replays: _Optional[_Iterable[_Union[Replay, _Mapping]]] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class Replay(_message.Message):
    __slots__ = ("miner", "item", "found", "receipt", "digest")
    MINER_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    miner: str
    item: int
    found: ReplayFinding
    receipt: bytes
    digest: bytes
    def __init__(self, miner: _Optional[str] = ..., item: _Optional[int] = ..., found: _Optional[_Union[ReplayFinding, str]] = ..., receipt: _Optional[bytes] = ..., digest: _Optional[bytes] = ...) -> None: ...
