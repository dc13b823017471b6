"""The same story on a devnet, where every kind that a network's description can make is somebody with a certificate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quorumlearn.cli.confirm import confirm_ledger
from quorumlearn.gateway import GatewayError
from quorumlearn.nodes.market import refusal
from quorumlearn_network.spec import NetworkSpec
from quorumlearn_network.up import bring_down, bring_up

from tests.keys.played import UP_S, NetworkPeer
from tests.roles.cast import ABROAD, ACCOUNTS, JOINING, Everybody, Kind
from tests.roles.matrix import YES

KINDS = [kind for kind in Kind if kind not in ABROAD]
ROLES = {
    "TreasuryMSP": "treasury",
    "OwnerMSP": "owner",
    "Owner2MSP": "owner",
    "M1MSP": "miner",
    "M2MSP": "miner",
}


def description() -> NetworkSpec:
    users: dict[str, list[dict[str, object]]] = {}
    for account in dict.fromkeys([*(ACCOUNTS[kind] for kind in KINDS), *JOINING]):
        msp_id, _, name = account.partition("/")
        users.setdefault(msp_id, []).append({"name": name, "admin": account == ACCOUNTS[Kind.ADMIN]})
    fields: dict[str, object] = {
        "name": "roles",
        "chaincode": {"quorum": 3},
        "batch": {"timeout_ms": 20},
        "organisations": [
            {
                "name": msp_id.removesuffix("MSP").lower(),
                "msp_id": msp_id,
                "roles": [ROLES.get(msp_id, "verifier")],
                "users": named,
            }
            for msp_id, named in users.items()
        ],
    }
    return NetworkSpec.model_validate(fields)


class Devnet(NetworkPeer):
    """Its peers, asked by whoever may and whoever may not."""

    def answer(self, account: str, words: tuple[str, ...], may: bool) -> str:
        """What a call is answered. Who may only has it simulated, so that the play stays where it is; everybody else submits it."""
        contract = self.contract(*account.split("/"))
        try:
            if may:
                contract.evaluate(*words)
            else:
                contract.submit(*words)
        except GatewayError as error:
            found = refusal(error)
            if found is None:
                raise
            return found[0]
        return YES


@contextmanager
def devnet(folder: Path) -> Iterator[Everybody]:
    """Up and initialised until the block ends."""
    up = bring_up(description(), folder, confirm_ledger, timeout_s=UP_S)
    peer = Devnet(up.spec, up.folder)
    try:
        yield Everybody(peer, KINDS)
    finally:
        peer.close()
        bring_down(folder, wipe=True)
