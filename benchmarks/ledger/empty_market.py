"""A market without computation: every transaction that a round makes, with digests of nothing behind them.

Three organisations, each with a verifier and miners, one of them also treasury and owner: as many peers as a quorum of
two needs, so that two cores measure the ledger and not each other. The ledger checks digests' form only, so artifacts
need not exist.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from quorumlearn.cli.access import market_contract, open_gateway
from quorumlearn.cli.confirm import confirm_ledger
from quorumlearn.gateway import Contract, Gateway, GatewayError, Network
from quorumlearn.nodes.market import Market, Refused
from quorumlearn.nodes.taskfile import spec_of
from quorumlearn.nodes.tasksettings import TaskFile
from quorumlearn_network.spec import (
    BatchSpec,
    ChaincodeSpec,
    FabricSpec,
    NetworkSpec,
    OrganisationSpec,
    Role,
    Runtime,
    UserSpec,
)
from quorumlearn_network.up import bring_down, bring_up
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.derived import beacon_commitment

SEATS = 3
FUNDS = 10_000_000
WAIT_S = 3600
SETUP_THREADS = 16
PATIENCE_S, POLL_S = 60.0, 0.005

Submission = Callable[[], str]
"""Sends one transaction and waits for its commit; the validation code."""


@dataclass
class Ledger:
    """A network that is up, and the contracts as each identity sees them."""

    spec: NetworkSpec
    folder: Path
    miners: tuple[str, ...]
    _gateways: dict[str, Gateway] = field(default_factory=dict)
    _tasks: Iterator[int] = field(default_factory=itertools.count)

    def contract(self, who: str) -> Contract:
        """The chaincode for `org/user`, its connection kept."""
        if who not in self._gateways:
            self._gateways[who] = open_gateway(self.folder, who)
        return market_contract(self._gateways[who], self.spec)

    def market(self, who: str) -> Market:
        return Market(self.contract(who))

    def network(self) -> Network:
        """The channel as the owner sees it: heights and blocks."""
        self.contract("org1/owner")
        return self._gateways["org1/owner"].network(self.spec.channel)

    def close(self) -> None:
        for gateway in self._gateways.values():
            gateway.close()

    def open_task(self, miners: int) -> Play:
        """A published task whose first `miners` miners have joined, in phase COMMIT of its first round."""
        name = f"bench-{next(self._tasks)}"
        owner = self.market("org1/owner")
        fields = {
            "id": name,
            "workload": {"name": "mnist-cnn"},
            "rounds": 1,
            "miners": {"minimum": 2, "maximum": 10, "byzantine": 0},
            "committee": {"organisations": [f"Org{seat}MSP" for seat in range(1, SEATS + 1)], "threshold": 2},
            "rule": {"name": "mean"},
            "timeouts": dict.fromkeys(
                (
                    "join",
                    "key",
                    "commit",
                    "reveal",
                    "beacon",
                    "screen",
                    "select",
                    "open",
                    "propose",
                    "validate",
                ),
                WAIT_S,
            ),
            "reward": {"per_round": 1000},
            "stakes": {"miner": 10, "miner_slash": 1, "verifier": 10, "verifier_slash": 1, "challenge": 1},
        }
        spec = spec_of(TaskFile.model_validate(fields), ref("model", 1000))
        spec.max_miners = miners  # more than the encryption of one round would carry
        spec.max_per_organisation = miners  # the first ones may all be of one
        owner.publish(spec)
        play = Play(self, name, self.miners[:miners])
        play.each_seat(lambda market, _: market.join_committee(name))
        with ThreadPoolExecutor(SETUP_THREADS) as pool:
            list(pool.map(lambda who: patient(lambda: self.market(who).join(name)), play.miners))
        if owner.view(name).round.number == 0:
            patient(lambda: owner.advance(name))
        play.ceremony()
        play.reached(b.COMMIT)
        return play


@dataclass
class Play:
    """A task, and the moves of those who take part in it."""

    ledger: Ledger
    task: str
    miners: tuple[str, ...]

    def each_seat(self, act: Callable[[Market, int], None]) -> None:
        """All verifiers at once, each again while endorsers are not at the same block."""
        with ThreadPoolExecutor(SEATS) as pool:
            list(
                pool.map(
                    lambda seat: patient(partial(act, self.ledger.market(f"org{seat}/verifier"), seat)),
                    range(1, SEATS + 1),
                )
            )

    def each_miner(self, act: Callable[[Market, str], None]) -> None:
        """All miners at once."""
        with ThreadPoolExecutor(len(self.miners)) as pool:
            list(
                pool.map(
                    lambda who: patient(partial(act, self.ledger.market(who), self.ledger_name(who))),
                    self.miners,
                )
            )

    def ledger_name(self, who: str) -> str:
        organisation, _, user = who.partition("/")
        return f"{self.ledger.spec.organisation(organisation).msp_id}/{user}"

    def view(self) -> b.TaskView:
        return self.ledger.market("org1/owner").view(self.task)

    def ceremony(self) -> None:
        """The first round's key, without mathematics."""
        steps: Sequence[tuple[str, Callable[[int], b.KeyContribution]]] = (
            (
                "CommitKey",
                lambda seat: b.KeyContribution(
                    public_share=ref(f"share {seat}"),
                    beacon_commitment=beacon_commitment(secret(seat)),
                    sealing_key=bytes(1216),
                ),
            ),
            ("RevealKey", lambda seat: b.KeyContribution(sealed_shares=ref(f"sealed {seat}"))),
            ("TestKey", lambda seat: b.KeyContribution(test_partial=ref(f"partial {seat}"))),
            ("ConfirmKey", lambda seat: b.KeyContribution(confirmed_key=ref("key"))),
        )
        for function, made in steps:
            self.each_seat(partial(self._key_step, function, made))

    def reached(self, phase: int) -> None:
        """Wait until every peer has seen the round enter a phase: they apply a block at times of their own."""

        def seen(market: Market, _: int) -> None:
            deadline = time.monotonic() + PATIENCE_S
            while market.round(self.task, 1).phase != phase:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.task} does not reach {b.Phase.Name(phase)}")
                time.sleep(POLL_S)

        self.each_seat(seen)

    def _key_step(
        self, function: str, made: Callable[[int], b.KeyContribution], market: Market, seat: int
    ) -> None:
        market.key_step(function, (self.task, 1, 1), made(seat))

    def manifest(self, miner: str, base: str) -> b.Manifest:
        return b.Manifest(
            task_id=self.task,
            round=1,
            miner=miner,
            base_block=base,
            update=ref(f"update {miner} {self.task}"),
            salts=ref(f"salts {miner} {self.task}"),
        )

    def commitment(self, who: str, base: str) -> Submission:
        """One miner's submission, `blocks:Commit`, to be sent."""
        contract = self.ledger.contract(who)
        digest = canonical.digest(self.manifest(self.ledger_name(who), base))

        def send() -> str:
            return contract.propose("blocks:Commit", self.task, "1", digest).endorse().submit().status().code

        return send


def patient(act: Callable[[], None]) -> None:
    """Do it, and again while a peer that is asked has not seen what went before."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return act()
        except (Refused, GatewayError):
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_S)


def ref(text: str, size: int = 10) -> ArtifactRef:
    """A reference to what does not exist."""
    return ArtifactRef(digest=hashlib.sha256(text.encode()).hexdigest(), size=size)


def secret(seat: int) -> bytes:
    return hashlib.sha256(f"secret {seat}".encode()).digest()


@contextlib.contextmanager
def raised(
    runtime: Runtime | None, timeout_ms: int, miners: int, progress: Callable[[str], None]
) -> Iterator[Ledger]:
    """A funded network in a folder of its own, gone after the block; `runtime` None is the devnet."""
    each = -(-miners // SEATS)
    organisations = []
    for seat in range(1, SEATS + 1):
        users = [UserSpec(name="verifier", role=Role.VERIFIER)]
        users += [UserSpec(name=f"miner{number}", role=Role.MINER) for number in range(each)]
        roles: tuple[Role, ...] = (Role.VERIFIER, Role.MINER)
        if seat == 1:
            roles += (Role.TREASURY, Role.OWNER)
            users += [UserSpec(name="admin", admin=True), UserSpec(name="owner", role=Role.OWNER)]
            users += [UserSpec(name="treasury", role=Role.TREASURY)]
        organisations.append(
            OrganisationSpec(name=f"org{seat}", msp_id=f"Org{seat}MSP", roles=roles, users=tuple(users))
        )
    spec = NetworkSpec(
        name="benchmark",
        chaincode=ChaincodeSpec(quorum=2),
        batch=BatchSpec(timeout_ms=timeout_ms),
        fabric=None if runtime is None else FabricSpec(runtime=runtime),
        organisations=tuple(organisations),
    )
    names = tuple(f"org{seat}/miner{number}" for number in range(each) for seat in range(1, SEATS + 1))
    folder = Path(tempfile.mkdtemp(prefix="quorumlearn-ledger-"))
    try:
        up = bring_up(spec, folder / "network", confirm_ledger, progress, 300.0)
        ledger = Ledger(up.spec, up.folder, names[:miners])
        try:
            treasury = ledger.market("org1/treasury")
            funded = ["org1/owner", *(f"org{seat}/verifier" for seat in range(1, SEATS + 1)), *ledger.miners]
            progress(f"funding {len(funded)} accounts")
            play = Play(ledger, "", ())
            for who in funded:
                treasury.mint(play.ledger_name(who), FUNDS)
            yield ledger
        finally:
            ledger.close()
    finally:
        if (folder / "network" / "network.yaml").exists():
            bring_down(folder / "network", wipe=True)
        shutil.rmtree(folder, ignore_errors=True)
