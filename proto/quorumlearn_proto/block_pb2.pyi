from quorumlearn_proto import common_pb2 as _common_pb2
from quorumlearn_proto import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    KEY: _ClassVar[Phase]
    COMMIT: _ClassVar[Phase]
    BEACON: _ClassVar[Phase]
    REVEAL: _ClassVar[Phase]
    TRACE: _ClassVar[Phase]
    REPLAY: _ClassVar[Phase]
    SCREEN: _ClassVar[Phase]
    SELECT: _ClassVar[Phase]
    OPEN: _ClassVar[Phase]
    PROPOSE: _ClassVar[Phase]
    VALIDATE: _ClassVar[Phase]
    ENDED: _ClassVar[Phase]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    ACCEPTED: _ClassVar[Outcome]
    REJECTED: _ClassVar[Outcome]
    ABORTED: _ClassVar[Outcome]

class CeremonyStep(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CEREMONY_STEP_UNSPECIFIED: _ClassVar[CeremonyStep]
    KEY_COMMIT: _ClassVar[CeremonyStep]
    KEY_REVEAL: _ClassVar[CeremonyStep]
    KEY_TEST: _ClassVar[CeremonyStep]
    KEY_CONFIRM: _ClassVar[CeremonyStep]
    KEY_OPEN: _ClassVar[CeremonyStep]
    KEY_BLAME: _ClassVar[CeremonyStep]
    KEY_READY: _ClassVar[CeremonyStep]
    KEY_FAILED: _ClassVar[CeremonyStep]

class Fault(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAULT_UNSPECIFIED: _ClassVar[Fault]
    MISSED_STEP: _ClassVar[Fault]
    FALSE_VOTE: _ClassVar[Fault]
    BAD_PUBLIC_SHARE: _ClassVar[Fault]
    BAD_DEALING: _ClassVar[Fault]
    BAD_TEST_PARTIAL: _ClassVar[Fault]
    BAD_SEALING_KEY: _ClassVar[Fault]
    FALSE_CONFIRMATION: _ClassVar[Fault]
    UNFOUNDED_COMPLAINT: _ClassVar[Fault]
    BAD_SKETCH_SHARES: _ClassVar[Fault]
    BAD_PARTIAL: _ClassVar[Fault]
    UNFOUNDED_VOTE: _ClassVar[Fault]
    FALSE_REPLAY: _ClassVar[Fault]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    CONTRIBUTES: _ClassVar[Reason]
    ABSENT: _ClassVar[Reason]
    WITHHELD: _ClassVar[Reason]
    MISSING_ARTIFACT: _ClassVar[Reason]
    MALFORMED: _ClassVar[Reason]
    OUT_OF_RANGE: _ClassVar[Reason]
    DUPLICATE: _ClassVar[Reason]
    OUTLIER: _ClassVar[Reason]
    NOT_SELECTED: _ClassVar[Reason]
    FALSE_CLAIM: _ClassVar[Reason]
    NOTHING_NEW: _ClassVar[Reason]
    NO_TRACE: _ClassVar[Reason]
    WRONG_WORK: _ClassVar[Reason]
    UNCONFIRMED: _ClassVar[Reason]
    REPLICA: _ClassVar[Reason]

class BallotReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BALLOT_REASON_UNSPECIFIED: _ClassVar[BallotReason]
    GOOD: _ClassVar[BallotReason]
    WRONG_MODEL: _ClassVar[BallotReason]
    SCORE_FELL: _ClassVar[BallotReason]
    UNAVAILABLE: _ClassVar[BallotReason]

class BlockStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BLOCK_STATUS_UNSPECIFIED: _ClassVar[BlockStatus]
    GOOD_BLOCK: _ClassVar[BlockStatus]
    REVERTED: _ClassVar[BlockStatus]

class ChallengeStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHALLENGE_STATUS_UNSPECIFIED: _ClassVar[ChallengeStatus]
    UNDECIDED: _ClassVar[ChallengeStatus]
    UPHELD: _ClassVar[ChallengeStatus]
    DISMISSED: _ClassVar[ChallengeStatus]
PHASE_UNSPECIFIED: Phase
KEY: Phase
COMMIT: Phase
BEACON: Phase
REVEAL: Phase
TRACE: Phase
REPLAY: Phase
SCREEN: Phase
SELECT: Phase
OPEN: Phase
PROPOSE: Phase
VALIDATE: Phase
ENDED: Phase
OUTCOME_UNSPECIFIED: Outcome
ACCEPTED: Outcome
REJECTED: Outcome
ABORTED: Outcome
CEREMONY_STEP_UNSPECIFIED: CeremonyStep
KEY_COMMIT: CeremonyStep
KEY_REVEAL: CeremonyStep
KEY_TEST: CeremonyStep
KEY_CONFIRM: CeremonyStep
KEY_OPEN: CeremonyStep
KEY_BLAME: CeremonyStep
KEY_READY: CeremonyStep
KEY_FAILED: CeremonyStep
FAULT_UNSPECIFIED: Fault
MISSED_STEP: Fault
FALSE_VOTE: Fault
BAD_PUBLIC_SHARE: Fault
BAD_DEALING: Fault
BAD_TEST_PARTIAL: Fault
BAD_SEALING_KEY: Fault
FALSE_CONFIRMATION: Fault
UNFOUNDED_COMPLAINT: Fault
BAD_SKETCH_SHARES: Fault
BAD_PARTIAL: Fault
UNFOUNDED_VOTE: Fault
FALSE_REPLAY: Fault
REASON_UNSPECIFIED: Reason
CONTRIBUTES: Reason
ABSENT: Reason
WITHHELD: Reason
MISSING_ARTIFACT: Reason
MALFORMED: Reason
OUT_OF_RANGE: Reason
DUPLICATE: Reason
OUTLIER: Reason
NOT_SELECTED: Reason
FALSE_CLAIM: Reason
NOTHING_NEW: Reason
NO_TRACE: Reason
WRONG_WORK: Reason
UNCONFIRMED: Reason
REPLICA: Reason
BALLOT_REASON_UNSPECIFIED: BallotReason
GOOD: BallotReason
WRONG_MODEL: BallotReason
SCORE_FELL: BallotReason
UNAVAILABLE: BallotReason
BLOCK_STATUS_UNSPECIFIED: BlockStatus
GOOD_BLOCK: BlockStatus
REVERTED: BlockStatus
CHALLENGE_STATUS_UNSPECIFIED: ChallengeStatus
UNDECIDED: ChallengeStatus
UPHELD: ChallengeStatus
DISMISSED: ChallengeStatus

class Round(_message.Message):
    __slots__ = ("task_id", "number", "phase", "deadline_ms", "miners", "base", "seats", "collective_key", "beacon", "selection", "aggregate_ciphertext", "proposers", "proposer_turn", "candidate", "outcome", "reason", "times", "ballots_shown", "absentees", "start_beacon", "teams", "groups")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    MINERS_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    COLLECTIVE_KEY_FIELD_NUMBER: _ClassVar[int]
    BEACON_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    PROPOSERS_FIELD_NUMBER: _ClassVar[int]
    PROPOSER_TURN_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    BALLOTS_SHOWN_FIELD_NUMBER: _ClassVar[int]
    ABSENTEES_FIELD_NUMBER: _ClassVar[int]
    START_BEACON_FIELD_NUMBER: _ClassVar[int]
    TEAMS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    number: int
    phase: Phase
    deadline_ms: int
    miners: _containers.RepeatedScalarFieldContainer[str]
    base: _common_pb2.Head
    seats: _containers.RepeatedScalarFieldContainer[int]
    collective_key: _common_pb2.ArtifactRef
    beacon: str
    selection: Selection
    aggregate_ciphertext: str
    proposers: _containers.RepeatedScalarFieldContainer[str]
    proposer_turn: int
    candidate: Candidate
    outcome: Outcome
    reason: str
    times: _containers.RepeatedCompositeFieldContainer[PhaseTime]
    ballots_shown: bool
    absentees: _containers.RepeatedScalarFieldContainer[str]
    start_beacon: str
    teams: _containers.RepeatedCompositeFieldContainer[Team]
    groups: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, task_id: _Optional[str] = ..., number: _Optional[int] = ..., phase: _Optional[_Union[Phase, str]] = ..., deadline_ms: _Optional[int] = ..., miners: _Optional[_Iterable[str]] = ..., base: _Optional[_Union[_common_pb2.Head, _Mapping]] = ..., seats: _Optional[_Iterable[int]] = ..., collective_key: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., beacon: _Optional[str] = ..., selection: _Optional[_Union[Selection, _Mapping]] = ..., aggregate_ciphertext: _Optional[str] = ..., proposers: _Optional[_Iterable[str]] = ..., proposer_turn: _Optional[int] = ..., candidate: _Optional[_Union[Candidate, _Mapping]] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ..., times: _Optional[_Iterable[_Union[PhaseTime, _Mapping]]] = ..., ballots_shown: bool = ..., absentees: _Optional[_Iterable[str]] = ..., start_beacon: _Optional[str] = ..., teams: _Optional[_Iterable[_Union[Team, _Mapping]]] = ..., groups: _Optional[_Iterable[int]] = ...) -> None: ...

class Team(_message.Message):
    __slots__ = ("miners", "chunks")
    MINERS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    miners: _containers.RepeatedScalarFieldContainer[str]
    chunks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, miners: _Optional[_Iterable[str]] = ..., chunks: _Optional[_Iterable[int]] = ...) -> None: ...

class PhaseTime(_message.Message):
    __slots__ = ("phase", "entered_ms")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    ENTERED_MS_FIELD_NUMBER: _ClassVar[int]
    phase: Phase
    entered_ms: int
    def __init__(self, phase: _Optional[_Union[Phase, str]] = ..., entered_ms: _Optional[int] = ...) -> None: ...

class Ceremony(_message.Message):
    __slots__ = ("task_id", "round", "attempt", "step", "deadline_ms", "seats", "collective_key", "start_beacon")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    COLLECTIVE_KEY_FIELD_NUMBER: _ClassVar[int]
    START_BEACON_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    attempt: int
    step: CeremonyStep
    deadline_ms: int
    seats: _containers.RepeatedScalarFieldContainer[int]
    collective_key: _common_pb2.ArtifactRef
    start_beacon: str
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., attempt: _Optional[int] = ..., step: _Optional[_Union[CeremonyStep, str]] = ..., deadline_ms: _Optional[int] = ..., seats: _Optional[_Iterable[int]] = ..., collective_key: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., start_beacon: _Optional[str] = ...) -> None: ...

class KeyContribution(_message.Message):
    __slots__ = ("task_id", "round", "attempt", "seat", "verifier", "public_share", "beacon_commitment", "sealed_shares", "test_partial", "confirmed_key", "beacon", "sealing_key", "complaint", "opened_sealing_key", "blame", "withheld", "profile", "start_commitment", "start")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_SHARE_FIELD_NUMBER: _ClassVar[int]
    BEACON_COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    SEALED_SHARES_FIELD_NUMBER: _ClassVar[int]
    TEST_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_KEY_FIELD_NUMBER: _ClassVar[int]
    BEACON_FIELD_NUMBER: _ClassVar[int]
    SEALING_KEY_FIELD_NUMBER: _ClassVar[int]
    COMPLAINT_FIELD_NUMBER: _ClassVar[int]
    OPENED_SEALING_KEY_FIELD_NUMBER: _ClassVar[int]
    BLAME_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    START_COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    attempt: int
    seat: int
    verifier: str
    public_share: _common_pb2.ArtifactRef
    beacon_commitment: str
    sealed_shares: _common_pb2.ArtifactRef
    test_partial: _common_pb2.ArtifactRef
    confirmed_key: _common_pb2.ArtifactRef
    beacon: str
    sealing_key: bytes
    complaint: str
    opened_sealing_key: bytes
    blame: BlameVote
    withheld: Complaint
    profile: str
    start_commitment: str
    start: str
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., attempt: _Optional[int] = ..., seat: _Optional[int] = ..., verifier: _Optional[str] = ..., public_share: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., beacon_commitment: _Optional[str] = ..., sealed_shares: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., test_partial: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., confirmed_key: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., beacon: _Optional[str] = ..., sealing_key: _Optional[bytes] = ..., complaint: _Optional[str] = ..., opened_sealing_key: _Optional[bytes] = ..., blame: _Optional[_Union[BlameVote, _Mapping]] = ..., withheld: _Optional[_Union[Complaint, _Mapping]] = ..., profile: _Optional[str] = ..., start_commitment: _Optional[str] = ..., start: _Optional[str] = ...) -> None: ...

class Complaint(_message.Message):
    __slots__ = ("seat", "fault", "artifact")
    SEAT_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    seat: int
    fault: Fault
    artifact: _common_pb2.ArtifactRef
    def __init__(self, seat: _Optional[int] = ..., fault: _Optional[_Union[Fault, str]] = ..., artifact: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ...) -> None: ...

class Blame(_message.Message):
    __slots__ = ("seat", "fault", "detail")
    SEAT_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    seat: int
    fault: Fault
    detail: str
    def __init__(self, seat: _Optional[int] = ..., fault: _Optional[_Union[Fault, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class BlameVote(_message.Message):
    __slots__ = ("blames",)
    BLAMES_FIELD_NUMBER: _ClassVar[int]
    blames: _containers.RepeatedCompositeFieldContainer[Blame]
    def __init__(self, blames: _Optional[_Iterable[_Union[Blame, _Mapping]]] = ...) -> None: ...

class Accusation(_message.Message):
    __slots__ = ("task_id", "round", "accuser", "seat", "fault", "detail", "verifier")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ACCUSER_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    accuser: int
    seat: int
    fault: Fault
    detail: str
    verifier: str
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., accuser: _Optional[int] = ..., seat: _Optional[int] = ..., fault: _Optional[_Union[Fault, str]] = ..., detail: _Optional[str] = ..., verifier: _Optional[str] = ...) -> None: ...

class Misconduct(_message.Message):
    __slots__ = ("task_id", "round", "attempt", "seat", "verifier", "fault", "step", "accusers", "evidence", "slashed", "at_ms", "detail")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ACCUSERS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    SLASHED_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    attempt: int
    seat: int
    verifier: str
    fault: Fault
    step: str
    accusers: _containers.RepeatedScalarFieldContainer[int]
    evidence: _containers.RepeatedCompositeFieldContainer[_common_pb2.ArtifactRef]
    slashed: int
    at_ms: int
    detail: str
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., attempt: _Optional[int] = ..., seat: _Optional[int] = ..., verifier: _Optional[str] = ..., fault: _Optional[_Union[Fault, str]] = ..., step: _Optional[str] = ..., accusers: _Optional[_Iterable[int]] = ..., evidence: _Optional[_Iterable[_Union[_common_pb2.ArtifactRef, _Mapping]]] = ..., slashed: _Optional[int] = ..., at_ms: _Optional[int] = ..., detail: _Optional[str] = ...) -> None: ...

class Authorisation(_message.Message):
    __slots__ = ("task_id", "round", "purpose", "updates", "weights", "beacon", "openings", "at_ms", "groups", "alike")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    BEACON_FIELD_NUMBER: _ClassVar[int]
    OPENINGS_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    ALIKE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    purpose: _common_pb2.Purpose
    updates: _containers.RepeatedCompositeFieldContainer[_common_pb2.ArtifactRef]
    weights: _containers.RepeatedScalarFieldContainer[int]
    beacon: str
    openings: int
    at_ms: int
    groups: _containers.RepeatedScalarFieldContainer[int]
    alike: _containers.RepeatedCompositeFieldContainer[MinerGroup]
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., purpose: _Optional[_Union[_common_pb2.Purpose, str]] = ..., updates: _Optional[_Iterable[_Union[_common_pb2.ArtifactRef, _Mapping]]] = ..., weights: _Optional[_Iterable[int]] = ..., beacon: _Optional[str] = ..., openings: _Optional[int] = ..., at_ms: _Optional[int] = ..., groups: _Optional[_Iterable[int]] = ..., alike: _Optional[_Iterable[_Union[MinerGroup, _Mapping]]] = ...) -> None: ...

class OpenedBase(_message.Message):
    __slots__ = ("task_id", "base", "groups")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    base: str
    groups: _containers.RepeatedCompositeFieldContainer[MinerGroup]
    def __init__(self, task_id: _Optional[str] = ..., base: _Optional[str] = ..., groups: _Optional[_Iterable[_Union[MinerGroup, _Mapping]]] = ...) -> None: ...

class MinerGroup(_message.Message):
    __slots__ = ("miners",)
    MINERS_FIELD_NUMBER: _ClassVar[int]
    miners: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, miners: _Optional[_Iterable[str]] = ...) -> None: ...

class Submission(_message.Message):
    __slots__ = ("task_id", "round", "miner", "manifest_digest", "commit_tx", "manifest", "claim", "opening")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    MINER_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    COMMIT_TX_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    OPENING_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    miner: str
    manifest_digest: str
    commit_tx: str
    manifest: Manifest
    claim: str
    opening: _common_pb2.ArtifactRef
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., miner: _Optional[str] = ..., manifest_digest: _Optional[str] = ..., commit_tx: _Optional[str] = ..., manifest: _Optional[_Union[Manifest, _Mapping]] = ..., claim: _Optional[str] = ..., opening: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("task_id", "round", "miner", "base_block", "update", "sample_count", "trace_root", "salts", "sample_class", "steps", "profile")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    MINER_FIELD_NUMBER: _ClassVar[int]
    BASE_BLOCK_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TRACE_ROOT_FIELD_NUMBER: _ClassVar[int]
    SALTS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_CLASS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    miner: str
    base_block: str
    update: _common_pb2.ArtifactRef
    sample_count: int
    trace_root: str
    salts: _common_pb2.ArtifactRef
    sample_class: int
    steps: int
    profile: str
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., miner: _Optional[str] = ..., base_block: _Optional[str] = ..., update: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., sample_count: _Optional[int] = ..., trace_root: _Optional[str] = ..., salts: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., sample_class: _Optional[int] = ..., steps: _Optional[int] = ..., profile: _Optional[str] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("miner", "weight", "reason", "detail", "share", "proof")
    MINER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    miner: str
    weight: int
    reason: Reason
    detail: str
    share: int
    proof: WorkProof
    def __init__(self, miner: _Optional[str] = ..., weight: _Optional[int] = ..., reason: _Optional[_Union[Reason, str]] = ..., detail: _Optional[str] = ..., share: _Optional[int] = ..., proof: _Optional[_Union[WorkProof, _Mapping]] = ...) -> None: ...

class WorkProof(_message.Message):
    __slots__ = ("item", "claimed", "replayed", "seats")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    item: int
    claimed: str
    replayed: str
    seats: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, item: _Optional[int] = ..., claimed: _Optional[str] = ..., replayed: _Optional[str] = ..., seats: _Optional[_Iterable[int]] = ...) -> None: ...

class Selection(_message.Message):
    __slots__ = ("verdicts",)
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    def __init__(self, verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ...) -> None: ...

class Screening(_message.Message):
    __slots__ = ("task_id", "round", "seat", "verifier", "sketch_shares", "selection", "aggregate_ciphertext", "partial", "replays", "basis")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    SKETCH_SHARES_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    REPLAYS_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    seat: int
    verifier: str
    sketch_shares: _common_pb2.ArtifactRef
    selection: Selection
    aggregate_ciphertext: str
    partial: _common_pb2.ArtifactRef
    replays: _common_pb2.ArtifactRef
    basis: str
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., seat: _Optional[int] = ..., verifier: _Optional[str] = ..., sketch_shares: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., selection: _Optional[_Union[Selection, _Mapping]] = ..., aggregate_ciphertext: _Optional[str] = ..., partial: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., replays: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., basis: _Optional[str] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("model", "aggregate", "proposer")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    PROPOSER_FIELD_NUMBER: _ClassVar[int]
    model: _common_pb2.ArtifactRef
    aggregate: _common_pb2.ArtifactRef
    proposer: str
    def __init__(self, model: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., aggregate: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., proposer: _Optional[str] = ...) -> None: ...

class Ballot(_message.Message):
    __slots__ = ("task_id", "round", "seat", "verifier", "model", "reason", "total", "score", "base_score", "chance", "nonce", "contributions", "fixed")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    BASE_SCORE_FIELD_NUMBER: _ClassVar[int]
    CHANCE_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    FIXED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    seat: int
    verifier: str
    model: str
    reason: BallotReason
    total: int
    score: int
    base_score: int
    chance: int
    nonce: str
    contributions: _containers.RepeatedScalarFieldContainer[int]
    fixed: _common_pb2.ArtifactRef
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., seat: _Optional[int] = ..., verifier: _Optional[str] = ..., model: _Optional[str] = ..., reason: _Optional[_Union[BallotReason, str]] = ..., total: _Optional[int] = ..., score: _Optional[int] = ..., base_score: _Optional[int] = ..., chance: _Optional[int] = ..., nonce: _Optional[str] = ..., contributions: _Optional[_Iterable[int]] = ..., fixed: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ...) -> None: ...

class Ballots(_message.Message):
    __slots__ = ("ballots",)
    BALLOTS_FIELD_NUMBER: _ClassVar[int]
    ballots: _containers.RepeatedCompositeFieldContainer[Ballot]
    def __init__(self, ballots: _Optional[_Iterable[_Union[Ballot, _Mapping]]] = ...) -> None: ...

class BlockCore(_message.Message):
    __slots__ = ("task_id", "height", "previous", "round", "model", "aggregate", "verdicts", "proposer")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    PROPOSER_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    height: int
    previous: str
    round: int
    model: _common_pb2.ArtifactRef
    aggregate: str
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    proposer: str
    def __init__(self, task_id: _Optional[str] = ..., height: _Optional[int] = ..., previous: _Optional[str] = ..., round: _Optional[int] = ..., model: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ..., aggregate: _Optional[str] = ..., verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ..., proposer: _Optional[str] = ...) -> None: ...

class Block(_message.Message):
    __slots__ = ("core", "digest", "status", "ballots", "manifests", "beacon", "aggregate_ciphertext", "accepted_at_ms")
    CORE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BALLOTS_FIELD_NUMBER: _ClassVar[int]
    MANIFESTS_FIELD_NUMBER: _ClassVar[int]
    BEACON_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    core: BlockCore
    digest: str
    status: BlockStatus
    ballots: _containers.RepeatedCompositeFieldContainer[Ballot]
    manifests: _containers.RepeatedScalarFieldContainer[str]
    beacon: str
    aggregate_ciphertext: str
    accepted_at_ms: int
    def __init__(self, core: _Optional[_Union[BlockCore, _Mapping]] = ..., digest: _Optional[str] = ..., status: _Optional[_Union[BlockStatus, str]] = ..., ballots: _Optional[_Iterable[_Union[Ballot, _Mapping]]] = ..., manifests: _Optional[_Iterable[str]] = ..., beacon: _Optional[str] = ..., aggregate_ciphertext: _Optional[str] = ..., accepted_at_ms: _Optional[int] = ...) -> None: ...

class Challenge(_message.Message):
    __slots__ = ("task_id", "height", "challenger", "deposit", "deadline_ms", "ballots", "status", "burnt")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CHALLENGER_FIELD_NUMBER: _ClassVar[int]
    DEPOSIT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    BALLOTS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BURNT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    height: int
    challenger: str
    deposit: int
    deadline_ms: int
    ballots: _containers.RepeatedCompositeFieldContainer[Ballot]
    status: ChallengeStatus
    burnt: int
    def __init__(self, task_id: _Optional[str] = ..., height: _Optional[int] = ..., challenger: _Optional[str] = ..., deposit: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., ballots: _Optional[_Iterable[_Union[Ballot, _Mapping]]] = ..., status: _Optional[_Union[ChallengeStatus, str]] = ..., burnt: _Optional[int] = ...) -> None: ...

class TaskView(_message.Message):
    __slots__ = ("task", "state", "round", "ceremonies", "contributions", "submissions", "screenings", "ballots", "seats", "miners", "challenges", "can_advance", "now_ms", "accusations", "authorisations", "misconducts", "free_seats", "opened", "grant")
    TASK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    CEREMONIES_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    SUBMISSIONS_FIELD_NUMBER: _ClassVar[int]
    SCREENINGS_FIELD_NUMBER: _ClassVar[int]
    BALLOTS_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    MINERS_FIELD_NUMBER: _ClassVar[int]
    CHALLENGES_FIELD_NUMBER: _ClassVar[int]
    CAN_ADVANCE_FIELD_NUMBER: _ClassVar[int]
    NOW_MS_FIELD_NUMBER: _ClassVar[int]
    ACCUSATIONS_FIELD_NUMBER: _ClassVar[int]
    AUTHORISATIONS_FIELD_NUMBER: _ClassVar[int]
    MISCONDUCTS_FIELD_NUMBER: _ClassVar[int]
    FREE_SEATS_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    state: _task_pb2.TaskState
    round: Round
    ceremonies: _containers.RepeatedCompositeFieldContainer[Ceremony]
    contributions: _containers.RepeatedCompositeFieldContainer[KeyContribution]
    submissions: _containers.RepeatedCompositeFieldContainer[Submission]
    screenings: _containers.RepeatedCompositeFieldContainer[Screening]
    ballots: _containers.RepeatedCompositeFieldContainer[Ballot]
    seats: _containers.RepeatedCompositeFieldContainer[_task_pb2.Seat]
    miners: _containers.RepeatedScalarFieldContainer[str]
    challenges: _containers.RepeatedCompositeFieldContainer[Challenge]
    can_advance: bool
    now_ms: int
    accusations: _containers.RepeatedCompositeFieldContainer[Accusation]
    authorisations: _containers.RepeatedCompositeFieldContainer[Authorisation]
    misconducts: _containers.RepeatedCompositeFieldContainer[Misconduct]
    free_seats: _containers.RepeatedScalarFieldContainer[int]
    opened: OpenedBase
    grant: Grant
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., state: _Optional[_Union[_task_pb2.TaskState, _Mapping]] = ..., round: _Optional[_Union[Round, _Mapping]] = ..., ceremonies: _Optional[_Iterable[_Union[Ceremony, _Mapping]]] = ..., contributions: _Optional[_Iterable[_Union[KeyContribution, _Mapping]]] = ..., submissions: _Optional[_Iterable[_Union[Submission, _Mapping]]] = ..., screenings: _Optional[_Iterable[_Union[Screening, _Mapping]]] = ..., ballots: _Optional[_Iterable[_Union[Ballot, _Mapping]]] = ..., seats: _Optional[_Iterable[_Union[_task_pb2.Seat, _Mapping]]] = ..., miners: _Optional[_Iterable[str]] = ..., challenges: _Optional[_Iterable[_Union[Challenge, _Mapping]]] = ..., can_advance: bool = ..., now_ms: _Optional[int] = ..., accusations: _Optional[_Iterable[_Union[Accusation, _Mapping]]] = ..., authorisations: _Optional[_Iterable[_Union[Authorisation, _Mapping]]] = ..., misconducts: _Optional[_Iterable[_Union[Misconduct, _Mapping]]] = ..., free_seats: _Optional[_Iterable[int]] = ..., opened: _Optional[_Union[OpenedBase, _Mapping]] = ..., grant: _Optional[_Union[Grant, _Mapping]] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("task_id", "round", "keys")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    round: int
    keys: _common_pb2.ArtifactRef
    def __init__(self, task_id: _Optional[str] = ..., round: _Optional[int] = ..., keys: _Optional[_Union[_common_pb2.ArtifactRef, _Mapping]] = ...) -> None: ...
