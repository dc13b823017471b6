"""A network of real Fabric nodes: up, down and up again, its status, its policies, later members, upgrades."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import yaml
from cryptography import x509
from quorumlearn.cli import run
from quorumlearn.cli.access import market_contract, open_gateway
from quorumlearn.gateway import EndorseError, GatewayError, Options, Timeouts
from quorumlearn_network.certificates import Credential, new_authority
from quorumlearn_network.up import read_network

from tests.client.gateway.material import cryptogen_user, fabric_ca_user, put
from tests.network.fabric.fabric_net import DESCRIPTION, FabricNet

pytestmark = [pytest.mark.timeout(300)]

ORDERERS = [f"orderer{number}.orderer" for number in range(3)]
GOSSIP_SECONDS = 60
PATIENCE = Options(timeouts=Timeouts(commit_status_s=15.0))  # an orderer that is lost loses what it took
LATE = """\
name: late
msp_id: LateMSP
roles: [miner]
users: [{name: mia, role: miner}]
"""


def transfer(net: FabricNet, endorsers: list[str]) -> str:
    """A transfer that only `endorsers` endorse; Fabric's validation code. Waits until the treasury's peer knows of theirs: after
    a restart it endorses as soon as it knows of a quorum."""
    deadline = time.monotonic() + GOSSIP_SECONDS
    with open_gateway(net.network, "treasury/treasury", PATIENCE) as gateway:
        contract = market_contract(gateway, read_network(net.network))
        while True:
            proposal = contract.propose(
                "rewards:Mint", "OwnerMSP/owner", "1", endorsing_organisations=endorsers
            )
            try:
                return proposal.endorse().submit().status().code
            except EndorseError as error:
                if "failed to find any endorsing peers" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)


def persistent_transfer(net: FabricNet) -> None:
    """A transfer that is valid, tried again while there is no leader."""
    deadline = time.monotonic() + 90
    while True:
        try:
            assert transfer(net, ["Verifier1MSP", "Verifier2MSP"]) == "VALID"
            return
        except GatewayError:
            assert time.monotonic() < deadline, "no orderer takes transactions"


def balance(net: FabricNet, who: str = "owner/owner") -> int:
    organisation, _, user = who.partition("/")
    msp_id = read_network(net.network).organisation(organisation).msp_id
    return int(net.done("ledger", "account", f"{msp_id}/{user}")["balance"])


def test_up_twice_is_up_once(net: FabricNet) -> None:
    before = net.pids()
    again = net.up()
    assert net.pids() == before
    assert again["running"] and len(before) == 3 + 2 * 5
    assert sorted(before) == sorted(one["name"] for one in again["processes"])


def test_status_tells_heights_leader_versions_and_the_definition(net: FabricNet) -> None:
    deadline = time.monotonic() + 60
    while True:
        fabric = net.done("network", "status")["fabric"]
        nodes = {one["name"]: one for one in fabric["nodes"]}
        heights = {one["height"] for one in nodes.values()}
        if len(heights) == 1 or time.monotonic() > deadline:
            break
    assert len(heights) == 1 and None not in heights
    assert [one for one in ORDERERS if nodes[one]["leader"]] and sum(
        bool(nodes[o]["leader"]) for o in ORDERERS
    ) == 1
    assert {one["version"].removeprefix("v").split(".")[0] for one in nodes.values()} == {"3"}
    definition = fabric["definition"]
    assert (definition["version"], definition["sequence"] >= 1) == ("1.0", True)
    assert definition["policy"] == "OutOf(2, 'Verifier1MSP.peer', 'Verifier2MSP.peer', 'Verifier3MSP.peer')"
    assert set(definition["approvals"]) >= {"TreasuryMSP", "OwnerMSP", "Verifier1MSP"}


@pytest.mark.parametrize(
    ("endorsers", "code"),
    [
        (["Verifier1MSP", "Verifier2MSP"], "VALID"),
        (["Verifier2MSP", "Verifier3MSP"], "VALID"),
        (["TreasuryMSP", "OwnerMSP"], "ENDORSEMENT_POLICY_FAILURE"),
        (["TreasuryMSP", "OwnerMSP", "Verifier1MSP"], "ENDORSEMENT_POLICY_FAILURE"),
    ],
)
def test_rewards_change_only_with_a_quorum_of_verifiers(
    net: FabricNet, endorsers: list[str], code: str
) -> None:
    net.done("token", "mint", "OwnerMSP/owner=100", "--as", "treasury/treasury")
    before = balance(net)
    assert transfer(net, endorsers) == code
    assert balance(net) == before + (code == "VALID")


def test_identities_that_other_tools_laid_out_sign_by_a_connections_file(
    net: FabricNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = read_network(net.network)
    root = net.network / "organisations" / "owner"

    def authority(kind: str) -> Credential:
        return Credential.from_pem(
            (root / "ca" / f"{kind}.pem").read_bytes(), (root / "ca" / f"{kind}-key.pem").read_bytes()
        )

    user = cryptogen_user(tmp_path, "owner.example.com", "User1", authority("ca"), authority("tlsca"))
    stranger = fabric_ca_user(tmp_path / "stranger", "x", new_authority("ca", "elsewhere"), {})
    fields = {
        "channel": spec.channel,
        "peer": spec.organisation("owner").peer.address,
        "tls_ca": str(root / "ca" / "tlsca.pem"),
        "msp_id": "OwnerMSP",
        "client_certificate": str(user / "tls" / "client.crt"),
        "client_key": str(user / "tls" / "client.key"),
        "identities": {
            "cryptogen": {"msp": str(user / "msp")},
            "enrolled": {"msp": str(fabric_ca_user(tmp_path / "msp", "clerk", authority("ca"), {}))},
            "stranger": {"msp": str(stranger)},
        },
    }
    file = put(tmp_path / "owner.yaml", yaml.safe_dump(fields))
    account = "OwnerMSP/User1@owner.example.com"
    net.done("token", "mint", f"{account}=5", "--as", "treasury/treasury")
    for who, to in (("cryptogen", "OwnerMSP/clerk"), ("enrolled", account)):
        moved = ["ledger", "submit", "rewards:Transfer", to, "2", "--as", who, "--network", str(file)]
        assert run(moved) == 0, capsys.readouterr().err
    assert run(["ledger", "blocks", "--network", str(file), "--as", "stranger"]) == 1
    assert (
        "the peer knows no such MSP id, or not the authority of this certificate" in capsys.readouterr().err
    )


def test_a_chaincode_service_that_was_killed_is_found_again(net: FabricNet) -> None:
    net.kill("chaincode.verifier1")
    net.kill("chaincode.verifier2")
    with open_gateway(net.network, "treasury/treasury") as gateway, pytest.raises(EndorseError):
        market_contract(gateway, read_network(net.network)).propose("rewards:Config").endorse()
    net.up()
    assert transfer(net, ["Verifier1MSP", "Verifier2MSP"]) == "VALID"


def test_a_chaincode_that_dies_while_another_is_restarted_is_started_again(net: FabricNet) -> None:
    before = net.pids()
    with net.begin("network", "restart", "chaincode.owner") as restart:
        assert restart.stderr is not None
        said = []
        for line in restart.stderr:
            said.append(line.strip())
            if line.startswith("approving the chaincode for treasury"):
                net.kill("chaincode.verifier1")
                code, _, err = net.cli("network", "restart", "peer0.owner")
                assert (
                    code == 2 and "network restart chaincode.owner" in err and f"process {restart.pid}" in err
                )
    assert restart.returncode == 0, "\n".join(said)
    assert "chaincode.verifier1 has ended; starting it again" in said
    after = net.pids()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"chaincode.owner", "chaincode.verifier1"}
    assert transfer(net, ["Verifier1MSP", "Verifier2MSP"]) == "VALID"


def test_down_keeps_the_ledger_and_a_lost_leader_is_replaced(net: FabricNet) -> None:
    net.done("token", "mint", "OwnerMSP/owner=7", "--as", "treasury/treasury")
    before = balance(net)
    net.done("network", "down")
    assert net.pids() == {}
    code, _, err = net.cli("network", "status")
    assert code == 3 and "network up" in err
    net.done("network", "up")
    assert balance(net) == before
    (leader,) = net.leaders()
    net.kill(leader)
    persistent_transfer(net)
    assert balance(net) > before
    net.done("network", "restart", leader)


@pytest.mark.parametrize("which", ["leader", "follower"])
def test_a_frozen_orderer_is_done_without_and_catches_up(net: FabricNet, which: str) -> None:
    (leader,) = net.leaders()
    name = leader if which == "leader" else next(one for one in ORDERERS if one != leader)
    frozen = psutil.Process(net.pids()[name])
    frozen.suspend()
    try:
        persistent_transfer(net)
    finally:
        frozen.resume()
    height = max(one["height"] for one in net.orderers().values() if one["height"] is not None)
    deadline = time.monotonic() + 60
    while (net.orderers()[name]["height"] or 0) < height or len(net.leaders()) != 1:
        assert time.monotonic() < deadline, f"{name} does not catch up"
    assert net.done("network", "up")["running"]


def test_another_description_is_refused_while_it_runs(net: FabricNet, tmp_path: Path) -> None:
    for old, new, said in (
        ("quorum: 2", "quorum: 3", "down --wipe"),
        ("orderers: 3", "orderers: 5", "down --wipe"),
        ("{runtime: native, orderers: 3}", "{runtime: containers, orderers: 3}", ""),
        ("chaincode: {quorum: 2}", "chaincode: {quorum: 2, version: '2.0'}", "network upgrade"),
    ):
        file = tmp_path / "other.yaml"
        file.write_text(DESCRIPTION.replace(old, new), encoding="utf-8")
        before = net.pids()
        code, _, err = net.cli("network", "up", "--spec", str(file))
        assert code in {1, 2} and said in err.splitlines()[-1]
        assert net.pids() == before


def test_renewed_certificates_serve_with_the_keys_they_had(net: FabricNet) -> None:
    files = [*net.network.rglob("server.crt"), *net.network.rglob("peers/*/msp/signcerts/cert.pem")]
    keys = {path: path.read_bytes() for path in net.network.rglob("*.key")}
    before = {path: path.read_bytes() for path in files}
    assert len(before) == 3 + 2 * 5
    assert net.done("network", "renew", "--days", "30")["running"]
    assert all(path.read_bytes() != held for path, held in before.items())
    assert {path: path.read_bytes() for path in keys} == keys
    expiry = x509.load_pem_x509_certificate(files[0].read_bytes()).not_valid_after_utc
    assert expiry - datetime.now(UTC) < timedelta(days=31)
    assert transfer(net, ["Verifier1MSP", "Verifier2MSP"]) == "VALID"


def test_an_organisation_joins_later_and_has_an_account(net: FabricNet) -> None:
    file = net.folder / "late.yaml"
    file.write_text(LATE, encoding="utf-8")
    for _ in range(2):  # twice is once
        result = net.done("network", "add-org", str(file))
        assert result["running"]
    assert "LateMSP" in result["fabric"]["definition"]["approvals"]
    net.done("token", "mint", "LateMSP/mia=5", "--as", "treasury/treasury")
    assert balance(net, "late/mia") == 5
    nodes = {one["name"]: one["height"] for one in net.done("network", "status")["fabric"]["nodes"]}
    assert nodes["peer0.late"] is not None and nodes["peer0.late"] > 3
    net.description += "".join(
        f"{'- ' if not index else '  '}{line}\n" for index, line in enumerate(LATE.splitlines())
    )
    assert net.up()["running"]


def test_a_verifier_cannot_join_later(net: FabricNet, tmp_path: Path) -> None:
    file = tmp_path / "late-verifier.yaml"
    file.write_text(LATE.replace("miner", "verifier").replace("late", "vic"), encoding="utf-8")
    code, _, err = net.cli("network", "add-org", str(file))
    assert code == 2 and "quorum is fixed" in err


def test_an_upgrade_is_the_next_sequence_with_new_services(net: FabricNet) -> None:
    before, running = net.done("network", "status")["fabric"]["definition"]["sequence"], net.pids()
    result = net.done("network", "upgrade", "1.1")
    definition = result["fabric"]["definition"]
    assert (definition["version"], definition["sequence"]) == ("1.1", before + 1)
    after = net.pids()
    changed = {name for name in after if after[name] != running[name]}
    assert changed == {name for name in after if name.startswith("chaincode.")}
    assert transfer(net, ["Verifier1MSP", "Verifier2MSP"]) == "VALID"
