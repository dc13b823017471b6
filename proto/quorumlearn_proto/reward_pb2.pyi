from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MovementKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MOVEMENT_KIND_UNSPECIFIED: _ClassVar[MovementKind]
    MINT: _ClassVar[MovementKind]
    TRANSFER: _ClassVar[MovementKind]
    ESCROW: _ClassVar[MovementKind]
    STAKE: _ClassVar[MovementKind]
    PAYOUT: _ClassVar[MovementKind]
    REFUND: _ClassVar[MovementKind]
    STAKE_RETURN: _ClassVar[MovementKind]
MOVEMENT_KIND_UNSPECIFIED: MovementKind
MINT: MovementKind
TRANSFER: MovementKind
ESCROW: MovementKind
STAKE: MovementKind
PAYOUT: MovementKind
REFUND: MovementKind
STAKE_RETURN: MovementKind

class Account(_message.Message):
    __slots__ = ("account_id", "balance", "last", "earlier")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    balance: int
    last: Movement
    earlier: _containers.RepeatedCompositeFieldContainer[Movement]
    def __init__(self, account_id: _Optional[str] = ..., balance: _Optional[int] = ..., last: _Optional[_Union[Movement, _Mapping]] = ..., earlier: _Optional[_Iterable[_Union[Movement, _Mapping]]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("account_id", "tx_id", "at_ms", "movements")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    TX_ID_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    MOVEMENTS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    tx_id: str
    at_ms: int
    movements: _containers.RepeatedCompositeFieldContainer[Movement]
    def __init__(self, account_id: _Optional[str] = ..., tx_id: _Optional[str] = ..., at_ms: _Optional[int] = ..., movements: _Optional[_Iterable[_Union[Movement, _Mapping]]] = ...) -> None: ...

class Movement(_message.Message):
    __slots__ = ("kind", "amount", "task_id", "round", "counterparty")
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_FIELD_NUMBER: _ClassVar[int]
    kind: MovementKind
    amount: int
    task_id: str
    round: int
    counterparty: str
    def __init__(self, kind: _Optional[_Union[MovementKind, str]] = ..., amount: _Optional[int] = ..., task_id: _Optional[str] = ..., round: _Optional[int] = ..., counterparty: _Optional[str] = ...) -> None: ...

class Supply(_message.Message):
    __slots__ = ("minted",)
    MINTED_FIELD_NUMBER: _ClassVar[int]
    minted: int
    def __init__(self, minted: _Optional[int] = ...) -> None: ...

class Escrow(_message.Message):
    __slots__ = ("task_id", "owner", "amount", "paid", "refunded", "carried", "burnt")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_FIELD_NUMBER: _ClassVar[int]
    CARRIED_FIELD_NUMBER: _ClassVar[int]
    BURNT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    owner: str
    amount: int
    paid: int
    refunded: int
    carried: int
    burnt: int
    def __init__(self, task_id: _Optional[str] = ..., owner: _Optional[str] = ..., amount: _Optional[int] = ..., paid: _Optional[int] = ..., refunded: _Optional[int] = ..., carried: _Optional[int] = ..., burnt: _Optional[int] = ...) -> None: ...

class Stake(_message.Message):
    __slots__ = ("task_id", "account_id", "amount", "slashed", "paid")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    SLASHED_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    account_id: str
    amount: int
    slashed: int
    paid: int
    def __init__(self, task_id: _Optional[str] = ..., account_id: _Optional[str] = ..., amount: _Optional[int] = ..., slashed: _Optional[int] = ..., paid: _Optional[int] = ...) -> None: ...

class Totals(_message.Message):
    __slots__ = ("minted", "balances", "escrows", "stakes", "burnt")
    MINTED_FIELD_NUMBER: _ClassVar[int]
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    ESCROWS_FIELD_NUMBER: _ClassVar[int]
    STAKES_FIELD_NUMBER: _ClassVar[int]
    BURNT_FIELD_NUMBER: _ClassVar[int]
    minted: int
    balances: int
    escrows: int
    stakes: int
    burnt: int
    def __init__(self, minted: _Optional[int] = ..., balances: _Optional[int] = ..., escrows: _Optional[int] = ..., stakes: _Optional[int] = ..., burnt: _Optional[int] = ...) -> None: ...
