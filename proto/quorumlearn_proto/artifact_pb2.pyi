from quorumlearn_proto import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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
