"""A network under test: the devnet, or a real Fabric network where its executables are.

Both come from the same description by the same `bring_up`, so that nothing differs but what is under test:
an owner who is also the treasury, three verifiers of whom two must endorse, one chaincode `kv`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from fabric_protos.common import common_pb2
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.folder import Waiting
from quorumlearn_network.identities import Organisation, ensure_user
from quorumlearn_network.spec import NetworkSpec
from quorumlearn_network.up import bring_down, bring_up

from tests.network.devnet.raw_gateway import Client, Committed, result_of

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("devnet", "fabric")
OWNER, VERIFIERS = "OwnerMSP", ("V1MSP", "V2MSP", "V3MSP")
BATCH_MS = 60
UP_S = 150.0


@dataclass
class Network:
    """A running network, one client an organisation."""

    kind: str
    spec: NetworkSpec
    folder: Path
    clients: dict[str, Client] = field(default_factory=dict)
    others: list[Client] = field(default_factory=list)

    @property
    def owner(self) -> Client:
        return self.clients[OWNER]

    @property
    def verifier(self) -> Client:
        return self.clients[VERIFIERS[0]]

    def organisation(self, msp_id: str) -> Organisation:
        one = next(one for one in self.spec.organisations if one.msp_id == msp_id)
        return Organisation(self.folder / "organisations" / one.name, one.name, msp_id)

    def address(self, msp_id: str) -> str:
        return next(one.peer.address for one in self.spec.organisations if one.msp_id == msp_id)

    def signer(self, msp_id: str, user: str = "user") -> SigningIdentity:
        return SigningIdentity.load(msp_id, ensure_user(self.organisation(msp_id), user))

    def peer_signer(self, msp_id: str) -> SigningIdentity:
        """A peer's own identity, for endorsers who would sign anything."""
        return SigningIdentity.load(msp_id, self.organisation(msp_id).peer / "msp")

    def client(self, signer: SigningIdentity, at: str = OWNER) -> Client:
        """Another client at an organisation's peer; it lives as long as the network."""
        made = Client(self.address(at), self.organisation(at).tls_authority, signer)
        self.others.append(made)
        return made

    def await_commit(self, txid: str) -> tuple[str, int]:
        """Code and block of a transaction, once every organisation's peer has it."""
        first, *_ = [client.status(txid) for client in self.clients.values()]
        return first

    def order(self, txid: str, envelope: common_pb2.Envelope) -> tuple[str, int]:
        """Have an envelope ordered; its code and block."""
        self.owner.order(txid, envelope)
        return self.await_commit(txid)

    def submit(
        self, *args: str | bytes, by: Client | None = None, orgs: Sequence[str] = (), **options: object
    ) -> Committed:
        """Endorse, order, and wait for all peers."""
        txid, envelope = (by or self.owner).endorse(*args, orgs=orgs, **options)
        code, block = self.order(txid, envelope)
        return Committed(txid, code, block, result_of(envelope))

    def must_submit(self, *args: str | bytes, by: Client | None = None) -> Committed:
        """`submit` for what a scenario builds on."""
        committed = self.submit(*args, by=by)
        assert committed.code == "VALID", f"{args[0]!r} ended as {committed.code}"
        return committed

    def close(self) -> None:
        for client in (*self.clients.values(), *self.others):
            client.close()


def why_not(kind: str) -> str | None:
    """Why there can be no network of this kind here, or None."""
    if kind == "devnet":
        return None
    from quorumlearn_network.fabric.native import BINARIES, find_executable

    missing = [name for name in ("peer", "orderer") if find_executable(name) is None]
    if not missing:
        return None
    return f"no executable {' and no '.join(missing)} of Hyperledger Fabric on the PATH or in {BINARIES}"


def description(kind: str, module: str, orderers: int = 1) -> NetworkSpec:
    """The network's description; `module` serves its chaincode, `orderers` order on Fabric."""
    organisations: list[dict[str, object]] = [
        {
            "name": "owner",
            "msp_id": OWNER,
            "roles": ["treasury", "owner"],
            "users": [{"name": "admin", "admin": True}, {"name": "user"}],
        }
    ]
    organisations += [
        {"name": msp_id[:2].lower(), "msp_id": msp_id, "roles": ["verifier"], "users": [{"name": "user"}]}
        for msp_id in VERIFIERS
    ]
    fields: dict[str, object] = {
        "name": "conformance",
        "channel": "quorumlearn",
        "chaincode": {"name": "kv", "module": module, "quorum": 2},
        "batch": {"timeout_ms": BATCH_MS},
        "organisations": organisations,
    }
    if kind == "fabric":
        fields["fabric"] = {"runtime": "native", "orderers": orderers}
    return NetworkSpec.model_validate(fields)


@contextmanager
def running(
    kind: str, folder: Path, module: str = "tests.conformance.chaincode", orderers: int = 1
) -> Iterator[Network]:
    """A network in `folder`, up until the block ends."""
    found: list[Network] = []

    def confirm(spec: NetworkSpec, where: Path, waiting: Waiting) -> None:
        network = Network(kind, spec, where)
        for one in spec.organisations:
            network.clients[one.msp_id] = network.client(network.signer(one.msp_id), at=one.msp_id)
        found.append(network)
        for client in network.clients.values():
            _await_endorsement(client, waiting)

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([before] if before else [])])
    try:
        bring_up(description(kind, module, orderers), folder, confirm, timeout_s=UP_S)
        yield found[0]
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
        for network in found:
            network.close()
        if (folder / "network.yaml").exists():
            bring_down(folder)


def _await_endorsement(client: Client, waiting: Waiting) -> None:
    """Until a quorum endorses what this client proposes, and with every verifier by name."""
    for orgs in ((), VERIFIERS):
        while True:
            try:
                client.endorse("put", "probe", "x", orgs=orgs)
                break
            except grpc.RpcError as error:
                if waiting.late:
                    raise
                waiting.pause(f"no endorsement: {error.details()}")
