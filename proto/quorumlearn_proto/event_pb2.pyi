from quorumlearn_proto import block_pb2 as _block_pb2
from quorumlearn_proto import common_pb2 as _common_pb2
from quorumlearn_proto import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LedgerEvent(_message.Message):
    __slots__ = ("kind", "task_id", "round", "actor", "status", "phase", "moved", "detail", "key_step", "shown")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    KEY_STEP_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    kind: str
    task_id: str
    round: int
    actor: str
    status: _task_pb2.TaskStatus
    phase: _block_pb2.Phase
    moved: bool
    detail: str
    key_step: str
    shown: _containers.RepeatedCompositeFieldContainer[_common_pb2.ArtifactRef]
    def __init__(self, kind: _Optional[str] = ..., task_id: _Optional[str] = ..., round: _Optional[int] = ..., actor: _Optional[str] = ..., status: _Optional[_Union[_task_pb2.TaskStatus, str]] = ..., phase: _Optional[_Union[_block_pb2.Phase, str]] = ..., moved: bool = ..., detail: _Optional[str] = ..., key_step: _Optional[str] = ..., shown: _Optional[_Iterable[_Union[_common_pb2.ArtifactRef, _Mapping]]] = ...) -> None: ...
