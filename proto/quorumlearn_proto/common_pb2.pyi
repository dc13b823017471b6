from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    KEY_TEST_DECRYPTION: _ClassVar[Purpose]
    AGGREGATE_DECRYPTION: _ClassVar[Purpose]
    SKETCH_DECRYPTION: _ClassVar[Purpose]
PURPOSE_UNSPECIFIED: Purpose
KEY_TEST_DECRYPTION: Purpose
AGGREGATE_DECRYPTION: Purpose
SKETCH_DECRYPTION: Purpose

class ArtifactRef(_message.Message):
    __slots__ = ("digest", "size")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    digest: str
    size: int
    def __init__(self, digest: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("height", "digest", "model")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    height: int
    digest: str
    model: ArtifactRef
    def __init__(self, height: _Optional[int] = ..., digest: _Optional[str] = ..., model: _Optional[_Union[ArtifactRef, _Mapping]] = ...) -> None: ...

class Config(_message.Message):
    __slots__ = ("treasury_msp", "verifier_msps", "verifier_quorum", "organisations", "clock_slack_ms")
    TREASURY_MSP_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_MSPS_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_QUORUM_FIELD_NUMBER: _ClassVar[int]
    ORGANISATIONS_FIELD_NUMBER: _ClassVar[int]
    CLOCK_SLACK_MS_FIELD_NUMBER: _ClassVar[int]
    treasury_msp: str
    verifier_msps: _containers.RepeatedScalarFieldContainer[str]
    verifier_quorum: int
    organisations: _containers.RepeatedCompositeFieldContainer[OrganisationRoles]
    clock_slack_ms: int
    def __init__(self, treasury_msp: _Optional[str] = ..., verifier_msps: _Optional[_Iterable[str]] = ..., verifier_quorum: _Optional[int] = ..., organisations: _Optional[_Iterable[_Union[OrganisationRoles, _Mapping]]] = ..., clock_slack_ms: _Optional[int] = ...) -> None: ...

class OrganisationRoles(_message.Message):
    __slots__ = ("msp_id", "roles")
    MSP_ID_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    msp_id: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, msp_id: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ...) -> None: ...

class ChaincodeVersion(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    def __init__(self, version: _Optional[str] = ...) -> None: ...
