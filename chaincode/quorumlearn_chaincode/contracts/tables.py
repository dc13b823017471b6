"""The kinds of records on the ledger and their composite keys. A quorum of verifier organisations endorses every change of any.

Numbers in keys are padded with zeros, so that Fabric's byte order is the numbers' order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from quorumlearn_proto.block_pb2 import (
    Accusation,
    Authorisation,
    Ballot,
    Block,
    Ceremony,
    Challenge,
    Grant,
    KeyContribution,
    Misconduct,
    OpenedBase,
    Round,
    Screening,
    Submission,
)
from quorumlearn_proto.common_pb2 import ArtifactRef, Config
from quorumlearn_proto.reward_pb2 import Account, Escrow, Receipt, Stake, Supply
from quorumlearn_proto.task_pb2 import Participation, Queue, Seat, Slot, Task, TaskState

M_co = TypeVar("M_co", bound=Message, covariant=True)


@dataclass(frozen=True)
class Table(Generic[M_co]):
    """One kind of record: the composite keys' object type and the message stored, as canonical JSON."""

    name: str
    kind: type[M_co]


CONFIG = Table("config", Config)  # ()
SUPPLY = Table("supply", Supply)  # ()
ACCOUNTS = Table("account", Account)  # (identity)
RECEIPTS = Table("receipt", Receipt)  # (identity, transaction); until collected
ESCROWS = Table("escrow", Escrow)  # (task)
STAKES = Table("stake", Stake)  # (task, identity)
TASKS = Table("task", Task)  # (task)
STATES = Table("state", TaskState)  # (task)
SLOTS = Table("slot", Slot)  # (owner's organisation, slot)
QUEUES = Table("queue", Queue)  # (task); once a miner has joined
MINERS = Table("miner", Participation)  # (task, identity)
SEATS = Table("seat", Seat)  # (task, seat); without a verifier once its holder has left
ROUNDS = Table("round", Round)  # (task, round)
CEREMONIES = Table("ceremony", Ceremony)  # (task, round)
CONTRIBUTIONS = Table("contribution", KeyContribution)  # (task, round, attempt, seat)
GRANTS = Table("grant", Grant)  # (task, round); of sealed data, once its owner has given one
SUBMISSIONS = Table("submission", Submission)  # (task, round, miner)
UPDATES = Table("update", ArtifactRef)  # (task, digest of an update once revealed)
SCREENINGS = Table("screening", Screening)  # (task, round, seat)
ACCUSATIONS = Table("accusation", Accusation)  # (task, round, accuser, accused, fault)
MISCONDUCTS = Table("misconduct", Misconduct)  # (task, round, attempt, seat, fault)
AUTHORISATIONS = Table("authorisation", Authorisation)  # (task, round, purpose)
OPENED = Table("opened", OpenedBase)  # (task, digest of the base block)
BALLOTS = Table("ballot", Ballot)  # (task, round, proposer's turn, seat)
BLOCKS = Table("block", Block)  # (task, height)
CHALLENGES = Table("challenge", Challenge)  # (task, height)


TABLES: tuple[Table[Any], ...] = (
    CONFIG,
    SUPPLY,
    ACCOUNTS,
    RECEIPTS,
    ESCROWS,
    STAKES,
    TASKS,
    STATES,
    SLOTS,
    QUEUES,
    MINERS,
    SEATS,
    ROUNDS,
    CEREMONIES,
    CONTRIBUTIONS,
    GRANTS,
    SUBMISSIONS,
    UPDATES,
    SCREENINGS,
    ACCUSATIONS,
    MISCONDUCTS,
    AUTHORISATIONS,
    OPENED,
    BALLOTS,
    BLOCKS,
    CHALLENGES,
)
"""All of them: the ledger holds nothing else."""


def key_parts(attributes: Iterable[str | int]) -> list[str]:
    """The attributes of a composite key as text."""
    return [f"{part:05d}" if isinstance(part, int) else part for part in attributes]
