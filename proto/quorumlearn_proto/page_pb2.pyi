from quorumlearn_proto import block_pb2 as _block_pb2
from quorumlearn_proto import reward_pb2 as _reward_pb2
from quorumlearn_proto import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskPage(_message.Message):
    __slots__ = ("tasks", "bookmark")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskSummary]
    bookmark: str
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskSummary, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class TaskSummary(_message.Message):
    __slots__ = ("task", "state")
    TASK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    state: _task_pb2.TaskState
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., state: _Optional[_Union[_task_pb2.TaskState, _Mapping]] = ...) -> None: ...

class BlockPage(_message.Message):
    __slots__ = ("blocks", "bookmark")
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    blocks: _containers.RepeatedCompositeFieldContainer[_block_pb2.Block]
    bookmark: str
    def __init__(self, blocks: _Optional[_Iterable[_Union[_block_pb2.Block, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class RoundPage(_message.Message):
    __slots__ = ("rounds", "bookmark")
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    rounds: _containers.RepeatedCompositeFieldContainer[_block_pb2.Round]
    bookmark: str
    def __init__(self, rounds: _Optional[_Iterable[_Union[_block_pb2.Round, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class SubmissionPage(_message.Message):
    __slots__ = ("submissions", "bookmark")
    SUBMISSIONS_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    submissions: _containers.RepeatedCompositeFieldContainer[_block_pb2.Submission]
    bookmark: str
    def __init__(self, submissions: _Optional[_Iterable[_Union[_block_pb2.Submission, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class MisconductPage(_message.Message):
    __slots__ = ("misconducts", "bookmark")
    MISCONDUCTS_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    misconducts: _containers.RepeatedCompositeFieldContainer[_block_pb2.Misconduct]
    bookmark: str
    def __init__(self, misconducts: _Optional[_Iterable[_Union[_block_pb2.Misconduct, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class BallotPage(_message.Message):
    __slots__ = ("ballots", "bookmark")
    BALLOTS_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    ballots: _containers.RepeatedCompositeFieldContainer[_block_pb2.Ballot]
    bookmark: str
    def __init__(self, ballots: _Optional[_Iterable[_Union[_block_pb2.Ballot, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class ChallengePage(_message.Message):
    __slots__ = ("challenges", "bookmark")
    CHALLENGES_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    challenges: _containers.RepeatedCompositeFieldContainer[_block_pb2.Challenge]
    bookmark: str
    def __init__(self, challenges: _Optional[_Iterable[_Union[_block_pb2.Challenge, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class AuthorisationPage(_message.Message):
    __slots__ = ("authorisations", "bookmark")
    AUTHORISATIONS_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    authorisations: _containers.RepeatedCompositeFieldContainer[_block_pb2.Authorisation]
    bookmark: str
    def __init__(self, authorisations: _Optional[_Iterable[_Union[_block_pb2.Authorisation, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class ContributionPage(_message.Message):
    __slots__ = ("contributions", "bookmark")
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    contributions: _containers.RepeatedCompositeFieldContainer[_block_pb2.KeyContribution]
    bookmark: str
    def __init__(self, contributions: _Optional[_Iterable[_Union[_block_pb2.KeyContribution, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class ParticipationPage(_message.Message):
    __slots__ = ("participations", "bookmark")
    PARTICIPATIONS_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    participations: _containers.RepeatedCompositeFieldContainer[_task_pb2.Participation]
    bookmark: str
    def __init__(self, participations: _Optional[_Iterable[_Union[_task_pb2.Participation, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class AccountPage(_message.Message):
    __slots__ = ("accounts", "bookmark")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[_reward_pb2.Account]
    bookmark: str
    def __init__(self, accounts: _Optional[_Iterable[_Union[_reward_pb2.Account, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class StakePage(_message.Message):
    __slots__ = ("stakes", "bookmark")
    STAKES_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    stakes: _containers.RepeatedCompositeFieldContainer[_reward_pb2.Stake]
    bookmark: str
    def __init__(self, stakes: _Optional[_Iterable[_Union[_reward_pb2.Stake, _Mapping]]] = ..., bookmark: _Optional[str] = ...) -> None: ...

class AccountStatement(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AccountEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[AccountEntry, _Mapping]]] = ...) -> None: ...

class AccountEntry(_message.Message):
    __slots__ = ("tx_id", "at_ms", "account")
    TX_ID_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    tx_id: str
    at_ms: int
    account: _reward_pb2.Account
    def __init__(self, tx_id: _Optional[str] = ..., at_ms: _Optional[int] = ..., account: _Optional[_Union[_reward_pb2.Account, _Mapping]] = ...) -> None: ...
