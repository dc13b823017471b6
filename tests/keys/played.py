"""A market on a network of seven organisations, its ledger holding at least one record of every kind, all made by the contracts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from quorumlearn.cli.access import market_contract, open_gateway
from quorumlearn.cli.confirm import confirm_ledger
from quorumlearn.gateway import Contract, EvaluateError, Gateway, GatewayError
from quorumlearn_chaincode.runtime import ClientIdentity, Response
from quorumlearn_network.spec import NetworkSpec
from quorumlearn_network.up import bring_down, bring_up
from quorumlearn_proto.block_pb2 import BallotReason, Fault, Phase

from tests.chaincode.contracts.ledger_stub import Peer
from tests.chaincode.contracts.market_actors import (
    FUNDS,
    OWNER,
    TASK,
    TREASURY,
    miners,
    verifiers,
)
from tests.chaincode.contracts.recompute_actors import RecomputePlay, recompute, recompute_spec

VERIFIERS = ("V1MSP", "V2MSP", "V3MSP")
OTHERS = ("TreasuryMSP", "OwnerMSP", "M1MSP", "M2MSP")
UP_S, PATIENCE_S, PAUSE_S = 150.0, 20.0, 0.05

T = TypeVar("T")


def description(kind: str) -> NetworkSpec:
    """Of the kind `devnet` or `fabric`: the organisations of `market_actors`, two of three verifiers a quorum."""
    roles = {"TreasuryMSP": "treasury", "OwnerMSP": "owner", "M1MSP": "miner", "M2MSP": "miner"}
    users: dict[str, list[dict[str, object]]] = {
        "TreasuryMSP": [{"name": "admin", "admin": True}],
        "OwnerMSP": [{"name": "olivia"}, {"name": "anyone"}],
    }
    for account in (*miners(4), *verifiers(3)):
        msp_id, _, name = account.partition("/")
        users.setdefault(msp_id, []).append({"name": name})
    fields: dict[str, object] = {
        "name": "keys",
        "chaincode": {"quorum": 2},
        "batch": {"timeout_ms": 20},
        "organisations": [
            {
                "name": msp_id.removesuffix("MSP").lower(),
                "msp_id": msp_id,
                "roles": [roles.get(msp_id, "verifier")],
                "users": users[msp_id],
            }
            for msp_id in (*OTHERS, *VERIFIERS)
        ],
    }
    if kind == "fabric":
        fields["fabric"] = {"runtime": "native", "orderers": 1}
    return NetworkSpec.model_validate(fields)


class NetworkPeer(Peer):
    """The peers of a network, asked through their gateways in the place of the peer in memory."""

    def __init__(self, network: NetworkSpec, folder: Path) -> None:
        super().__init__()
        self.network, self.folder = network, folder
        self.gateways: dict[str, Gateway] = {}

    def contract(self, msp_id: str, name: str) -> Contract:
        organisation = next(one.name for one in self.network.organisations if one.msp_id == msp_id)
        who = f"{organisation}/{name}"
        if who not in self.gateways:
            self.gateways[who] = open_gateway(self.folder, who)
        return market_contract(self.gateways[who], self.network)

    def submit(self, client: ClientIdentity, *words: str, timestamp_ms: int | None = None) -> Response:
        contract = self.contract(client.msp_id, client.name)
        return Response(payload=patient(lambda: contract.submit(*words)))

    def evaluate(self, client: ClientIdentity, *words: str) -> bytes:
        contract = self.contract(client.msp_id, client.name)
        return patient(lambda: contract.evaluate(*words))

    def close(self) -> None:
        for one in self.gateways.values():
            one.close()


class OnNetwork(RecomputePlay):
    """The moves of `RecomputePlay`, played on a network that is up and initialised."""

    def __init__(self, peer: NetworkPeer) -> None:
        self.peer = peer
        self.seats = dict(enumerate(verifiers(3), 1))
        self.miners = miners(4)
        self.pending = self.carrying = False
        self.ballots = {}
        self.prepare()
        for account in (OWNER, *self.miners, *self.seats.values()):
            self.send(TREASURY, "rewards:Mint", account, str(FUNDS))


def patient(act: Callable[[], T]) -> T:
    """Do it, and again while a peer that is asked has not seen what went before."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return act()
        except GatewayError as error:
            if isinstance(error, EvaluateError) and time.monotonic() > deadline:
                raise
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_S)


@contextmanager
def played(kind: str, folder: Path) -> Iterator[NetworkSpec]:
    """The network in `folder`, up until the block ends. On it a task of two rounds, on sealed data, in its second; its first
    block is challenged, after a false vote and an accusation."""
    up = bring_up(description(kind), folder, confirm_ledger, timeout_s=UP_S)
    peer = NetworkPeer(up.spec, up.folder)
    try:
        play = OnNetwork(peer)
        play.start(recompute_spec(recompute(sealed=True, seats_read=True), min_aggregate=2))
        play.to(Phase.COMMIT)
        play.grant()
        play.to(Phase.SELECT)
        play.accuse(1, 2, Fault.BAD_SKETCH_SHARES)
        play.to(Phase.VALIDATE)
        play.vote({1: BallotReason.GOOD, 2: BallotReason.WRONG_MODEL, 3: BallotReason.GOOD})
        play.send(OWNER, "blocks:Challenge", TASK, "1", "it forgets the sevens")
        yield up.spec
    finally:
        peer.close()
        bring_down(folder, wipe=True)
