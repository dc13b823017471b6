"""Everybody who may call a function of the contracts, by kind: what they are in the network, and in the task that is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from quorumlearn_chaincode.contracts.configuration import ROLES
from quorumlearn_chaincode.runtime import ClientIdentity
from quorumlearn_proto.block_pb2 import Ballot
from quorumlearn_proto.common_pb2 import Config, OrganisationRoles

from tests.chaincode.contracts.ledger_stub import Peer, identity
from tests.chaincode.contracts.market_actors import (
    OWNER,
    TREASURY,
    Play,
    config,
    js,
    miners,
    verifiers,
)
from tests.chaincode.contracts.recompute_actors import RecomputePlay

JOINING = miners(6)
"""The first four get the places, the fifth waits, the sixth leaves before the start."""


class Kind(StrEnum):
    """An identity, in the words of the page; the page's letters are in this order."""

    ADMIN = "the treasury's administrator"
    TREASURER = "another member of the treasury"
    TASK_OWNER = "the task's owner"
    COLLEAGUE = "another member of its organisation"
    OTHER_OWNER = "an owner of another organisation"
    PROPOSER = "a miner of the round, in PROPOSE the one whose turn it is"
    CHOSEN = "another miner of the round"
    WAITING = "a miner that has joined and has no place"
    LEFT = "a miner that has left"
    NEVER_JOINED = "a miner that has not joined, its name a seat's"
    SEAT = "a seat of the round"
    OTHER_SEAT = "another seat of the round"
    PUT_OUT = "a seat that was put out of the round"
    SEATLESS = "another member of a seat's organisation"
    RESERVE = "a verifier of a reserve organisation"
    OFF_COMMITTEE = "a verifier of an organisation off the committee"
    NO_ROLE = "a member of an organisation that the Config gives no role"
    UNKNOWN = "a member of an organisation that the Config does not know"
    PRETENDER = "the same, its certificate naming every role"
    NARROWED = "who may, by a certificate of another role"
    UNUSABLE = "a certificate whose name can be no account"


ACCOUNTS = {
    Kind.ADMIN: TREASURY,
    Kind.TREASURER: "TreasuryMSP/clerk",
    Kind.TASK_OWNER: OWNER,
    Kind.COLLEAGUE: "OwnerMSP/anyone",
    Kind.OTHER_OWNER: "Owner2MSP/oscar",
    Kind.PROPOSER: JOINING[0],
    Kind.CHOSEN: JOINING[1],
    Kind.WAITING: JOINING[4],
    Kind.LEFT: JOINING[5],
    Kind.NEVER_JOINED: "M1MSP/vera",
    Kind.SEAT: "V1MSP/vera",
    Kind.OTHER_SEAT: "V2MSP/vera",
    Kind.PUT_OUT: "V3MSP/vera",
    Kind.SEATLESS: "V1MSP/other",
    Kind.RESERVE: "V4MSP/vera",
    Kind.OFF_COMMITTEE: "V5MSP/vera",
    Kind.NO_ROLE: "GuestMSP/gus",
    Kind.UNKNOWN: "StrangeMSP/eve",
    Kind.PRETENDER: "StrangeMSP/eve",
}
ABROAD = (Kind.NO_ROLE, Kind.UNKNOWN, Kind.PRETENDER, Kind.NARROWED, Kind.UNUSABLE)
"""Kinds that no description of a network makes."""
EVERYBODY = frozenset(Kind) - {Kind.UNUSABLE}


def configuration() -> Config:
    """Five verifier organisations, two of owners, one without a role."""
    made = config(5)
    made.organisations.add(msp_id="Owner2MSP", roles=["owner"])
    made.organisations.append(OrganisationRoles(msp_id="GuestMSP"))
    return made


def account(play: Everybody, kind: Kind) -> str:
    """The account of a kind other than NARROWED and UNUSABLE, now."""
    if kind in (Kind.PROPOSER, Kind.CHOSEN):
        proposers = play.round().proposers if play.started else []
        return proposers[kind is Kind.CHOSEN] if proposers else ACCOUNTS[kind]
    return ACCOUNTS[kind]


def client(play: Everybody, kind: Kind, right: Kind) -> ClientIdentity:
    """The identity of a kind, where `right` is of one that may."""
    if kind is Kind.NARROWED:
        return identity(account(play, right), role="auditor", units=("admin",))
    if kind is Kind.UNUSABLE:
        return replace(identity(account(play, right)), name="V1MSP/vera")
    role = ",".join(ROLES) if kind is Kind.PRETENDER else None
    return identity(account(play, kind), role=role, units=("admin" if kind is Kind.ADMIN else "client",))


class Everybody(RecomputePlay):
    """The moves of `RecomputePlay` on a ledger that is initialised, with three seats and whoever of `kinds` beside them."""

    started = False

    def __init__(self, peer: Peer, kinds: Sequence[Kind]) -> None:
        self.peer, self.kinds = peer, kinds
        self.seats = dict(enumerate(verifiers(3), 1))
        self.miners = JOINING
        self.pending = self.carrying = False
        self.ballots: dict[int, Ballot] = {}
        self.prepare()

    @property
    def accounts(self) -> list[str]:
        """Whom the treasury can give tokens: not an organisation that the Config does not know."""
        unknown = (Kind.UNKNOWN, Kind.PRETENDER)
        named = [ACCOUNTS[kind] for kind in self.kinds if kind in ACCOUNTS and kind not in unknown]
        return [*dict.fromkeys([*named, *JOINING])]


def fresh() -> Everybody:
    """On a peer in memory, its ledger not initialised yet."""
    return Everybody(Peer(), list(Kind))


def initialise(play: Play) -> None:
    play.peer.submit(identity(TREASURY, units=("admin",)), *initialising())


def initialising() -> tuple[str, str]:
    return "rewards:Initialise", js(configuration())
