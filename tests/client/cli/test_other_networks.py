"""Commands and nodes with identities that other tools laid out, by a connection's file; on a devnet that is taken for somebody else's."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from quorumlearn.cli import run
from quorumlearn_chaincode.contracts.configuration import CONFIG_DIGEST
from quorumlearn_network.agreement import config_digest
from quorumlearn_network.certificates import Credential, new_authority
from quorumlearn_network.spec import NetworkSpec
from quorumlearn_network.up import read_network
from quorumlearn_proto.version import VERSION

from tests.client.gateway.material import cryptogen_user, fabric_ca_user, put

DOMAIN = "miners1.example.com"
USER = f"User1@{DOMAIN}"


@dataclass(frozen=True)
class Foreign:
    """A folder with identities of the network's authorities in other tools' layouts, and files for them."""

    folder: Path
    spec: NetworkSpec

    @property
    def miners(self) -> Path:
        """The connection's file of the miners' organisation: cryptogen's user, and one of fabric-ca."""
        return self.folder / "miners1.yaml"

    @property
    def treasury(self) -> Path:
        return self.folder / "treasury.yaml"

    def authority(self, name: str, kind: str = "ca") -> Credential:
        folder = self.folder / "net" / "organisations" / name / "ca"
        return Credential.from_pem(
            (folder / f"{kind}.pem").read_bytes(), (folder / f"{kind}-key.pem").read_bytes()
        )


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    folder = tmp_path_factory.mktemp("foreign")
    net = folder / "net"
    try:
        assert run(["network", "up", "--folder", str(net), "--miners", "1"]) == 0
        made = Foreign(folder, read_network(net))
        _lay_out(made)
        yield made
    finally:
        assert run(["network", "down", "--wipe", "--folder", str(net)]) == 0


def _lay_out(made: Foreign) -> None:
    organisations = made.folder / "net" / "organisations"
    shutil.copy(organisations / "miners1" / "connection.json", made.folder / "connection-miners1.json")
    cryptogen_user(
        made.folder / "crypto-config",
        DOMAIN,
        "User1",
        made.authority("miners1"),
        made.authority("miners1", "tlsca"),
    )
    fabric_ca_user(
        made.folder / "ca" / "miner9", "miner9", made.authority("miners1"), {"quorumlearn.role": "miner"}
    )
    fabric_ca_user(made.folder / "ca" / "boss", "boss", made.authority("treasury"), {}, admin=True)
    foreign = new_authority("ca.elsewhere", "elsewhere")
    fabric_ca_user(made.folder / "ca" / "stranger", "stranger", foreign, {"quorumlearn.role": "miner"})
    user = f"crypto-config/peerOrganizations/{DOMAIN}/users/{USER}/msp"
    identities = {
        "cryptogen": {"msp": user},
        "enrolled": {"msp": "ca/miner9"},
        "stranger": {"msp": "ca/stranger"},
    }
    fields = {"profile": "connection-miners1.json", "identities": identities}
    put(made.miners, yaml.safe_dump(fields))
    peer = made.spec.treasury.peer
    tls = organisations / "treasury" / "ca" / "tlsca.pem"
    fields = {"peer": peer.address, "tls_ca": str(tls), "msp_id": "TreasuryMSP", "msp": "ca/boss"}
    put(made.treasury, yaml.safe_dump(fields))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command: (exit code, JSON or None, standard error's last line)."""

    def call(*arguments: str | Path) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = run([*(str(one) for one in arguments), "--json"])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, json.loads(out) if out else None, (err.splitlines() or [""])[-1]

    return call


def test_an_account_is_the_certificates_whatever_tool_laid_it_out(cli: Any, foreign: Foreign) -> None:
    at = ("--network", foreign.miners)
    accounts = [f"Miners1MSP/{USER}=30", "Miners1MSP/miner9=20"]
    code, shown, err = cli("token", "mint", *accounts, "--network", foreign.treasury)
    assert (code, shown) == (0, {"balances": {f"Miners1MSP/{USER}": 30, "Miners1MSP/miner9": 20}}), err
    assert cli("token", "transfer", "Miners1MSP/miner9", "5", "--as", "cryptogen", *at)[0] == 0
    assert cli("token", "transfer", f"Miners1MSP/{USER}", "1", "--as", "Miners1MSP/miner9", *at)[0] == 0
    assert cli("ledger", "account", f"Miners1MSP/{USER}", *at)[1]["balance"] == 26
    block = cli("ledger", "blocks", "--last", "1", *at)[1]["blocks"][0]
    assert block["transactions"][0]["creator"] == "Miners1MSP/miner9"


def test_the_environment_may_name_the_connection(
    cli: Any, foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORUMLEARN_NETWORK", str(foreign.miners))
    assert cli("token", "totals")[1]["conserved"] is True
    assert cli("ledger", "query", "rewards:Version")[1]["result"] == {"version": VERSION}


def test_a_connection_is_tried_before_its_file_is_written(
    cli: Any, foreign: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are as the shell has them, and stay right in the file, which lies elsewhere."""
    monkeypatch.chdir(foreign.folder)
    file = tmp_path / "mine.yaml"
    tls = Path("net/organisations/miners1/ca/tlsca.pem")
    peer = foreign.spec.organisation("miners1").peer.address
    given = ("--peer", peer, "--tls-ca", tls, "--msp-id", "Miners1MSP")
    code, _, err = cli("network", "connect", file, *given, "--msp", "ca/stranger")
    assert (code, file.exists()) == (1, False)
    assert "access denied" in err
    code, _, err = cli("network", "connect", file, *given)
    assert (code, file.exists()) == (2, False)
    assert "nothing says who signs" in err or "says not who signs" in err
    code, shown, err = cli("network", "connect", file, *given, "--msp", "ca/miner9")
    assert code == 0, err
    assert shown == {"file": str(file), "account": "Miners1MSP/miner9", "peer": peer, "roles": ["miner"]}
    monkeypatch.chdir(tmp_path)
    assert cli("token", "totals", "--network", "mine.yaml")[0] == 0
    code, _, err = cli("network", "connect", file, *given, "--msp", "ca/miner9")
    assert (code, "is there already" in err) == (2, True)


def test_a_file_that_is_not_there_is_not_taken_for_a_network_to_be_made(cli: Any, tmp_path: Path) -> None:
    code, _, err = cli("token", "totals", "--network", tmp_path / "none.yaml")
    assert code == 2
    assert "there is no file" in err
    assert "network connect" in err


def test_any_function_is_submitted_and_its_event_shown(cli: Any, foreign: Foreign) -> None:
    code, shown, err = cli(
        "ledger", "submit", "rewards:Mint", "OwnerMSP/owner", "7", "--network", foreign.treasury
    )
    assert (code, shown) == (0, {"result": {"actor": "TreasuryMSP/boss", "kind": "rewards:Mint"}}), err
    refused = cli("ledger", "submit", "rewards:Mint", "OwnerMSP/owner", "--network", foreign.treasury)
    assert (refused[0], refused[1]) == (4, None)
    assert "takes 2 arguments" in refused[2]


def test_of_several_identities_the_one_whose_certificate_names_the_role_signs(
    cli: Any, foreign: Foreign, tmp_path: Path
) -> None:
    """Two have the role, and one that names none counts where no other names it."""
    code, _, err = cli("task", "leave", "no-task", "--network", foreign.miners)
    assert code == 2
    assert "2 users here are miner (enrolled, stranger); say who signs" in err
    fields = yaml.safe_load(foreign.miners.read_text())
    del fields["identities"]["stranger"]
    file = put(foreign.folder / "one.yaml", yaml.safe_dump(fields))
    code, _, err = cli("task", "leave", "no-task", "--network", file)
    assert code == 4
    assert "NO_SUCH_TASK" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("ledger", "blocks", "--as", "nobody"), 2, "has no identity 'nobody'; it names cryptogen, enrolled"),
        (("token", "totals", "--as", "stranger"), 1, "access denied"),
        (("identity", "list"), 2, "is a file; this takes a network's folder"),
    ],
)
def test_what_does_not_go_is_one_sentence(
    cli: Any, foreign: Foreign, arguments: tuple[str, ...], code: int, words: str
) -> None:
    got, shown, err = cli(*arguments, "--folder", foreign.miners)
    assert (got, shown) == (code, None)
    assert err.startswith("error: ")
    assert words in err


def node_file(foreign: Foreign, **identity: Any) -> Path:
    fields = {
        "connection": "miners1.yaml",
        "store": "artifacts",
        "state": "state",
        "identities": [{"role": "miner", "shard": "iid:0/8", **identity}],
    }
    (foreign.folder / "artifacts").mkdir(exist_ok=True)
    return put(foreign.folder / "node.yaml", yaml.safe_dump(fields))


@pytest.mark.parametrize(
    ("identity", "account"),
    [
        ({"user": "cryptogen"}, f"Miners1MSP/{USER}"),
        ({"user": "mine", "msp": "ca/miner9"}, "Miners1MSP/miner9"),
    ],
)
def test_a_node_is_checked_against_the_ledger(
    cli: Any, foreign: Foreign, identity: dict[str, Any], account: str
) -> None:
    assert cli("token", "mint", f"{account}=40", "--network", foreign.treasury)[0] == 0
    balance = cli("ledger", "account", account, "--network", foreign.miners)[1]["balance"]
    code, shown, err = cli("node", "check", node_file(foreign, **identity))
    assert code == 0, err
    assert shown["identities"] == {account: "miner"}
    assert shown["confirmed_by_ledger"] is True
    peer = foreign.spec.organisation("miners1").peer.address
    assert shown["ledger"] == {"peer": peer, "chaincode": VERSION, "balances": {account: balance}}


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ({"user": "enrolled", "role": "verifier"}, "its certificate gives it the role miner"),
        ({"user": "cryptogen", "role": "owner"}, "the ledger gives Miners1MSP only the role miner"),
        ({"user": "nobody"}, "has no identity 'nobody'"),
        ({"user": "x", "msp": "ca/none"}, "signcerts cannot be read"),
        ({"user": "x", "certificate": "c.pem"}, "identities.0: certificate takes key or pkcs11 beside it"),
    ],
)
def test_a_node_that_may_not_do_what_its_file_says_is_told_so(
    cli: Any, foreign: Foreign, identity: dict[str, Any], words: str
) -> None:
    code, shown, err = cli("node", "check", node_file(foreign, **identity))
    assert (code, shown) == (2, None)
    assert words in err


def test_a_configuration_gives_the_policies_and_the_digest_of_the_network_it_describes(
    cli: Any, foreign: Foreign
) -> None:
    described = cli("ledger", "query", "rewards:Config", "--network", foreign.miners)[1]["result"]
    short = {"organisations": described["organisations"]}
    shown = []
    for fields in (described, short):
        path = put(foreign.folder / "market.yaml", yaml.safe_dump(fields))
        shown.append(cli("chaincode", "policy", path)[1])
    shown.append(cli("chaincode", "policy", foreign.folder / "net" / "network.yaml")[1])
    assert shown[0] == shown[1] == shown[2]
    assert shown[0]["service"][CONFIG_DIGEST] == config_digest(foreign.spec)
    peers = "'Verifier1MSP.peer', 'Verifier2MSP.peer', 'Verifier3MSP.peer'"
    assert shown[0]["endorsement_policy"] == f"OutOf(2, {peers})"
    assert f'--signature-policy "OutOf(2, {peers})"' in shown[0]["commands"]["approve"]
    again = cli("ledger", "initialise", foreign.folder / "market.yaml", "--network", foreign.treasury)
    assert (again[0], again[1]) == (4, None)
    assert "ALREADY_INITIALISED" in again[2]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("a: [", "is not YAML"),
        ({"treasury_msp": "A"}, "must hold `organisations`"),
        ({"organisations": [{"msp_id": "A", "roles": ["boss"]}]}, "the role 'boss'"),
        (
            {"organisations": [{"msp_id": "A", "roles": ["verifier"]}]},
            "is not an organisation with the role treasury",
        ),
        (
            {
                "verifier_quorum": 1,
                "organisations": [
                    {"msp_id": "A", "roles": ["treasury", "verifier"]},
                    {"msp_id": "B", "roles": ["verifier"]},
                ],
            },
            "must be more than half of the 2 verifier organisations",
        ),
        ({"organisations": [{"msp": "A"}]}, "has no field named"),
    ],
)
def test_a_configuration_that_the_contracts_would_refuse_is_refused(
    cli: Any, tmp_path: Path, fields: object, words: str
) -> None:
    text = fields if isinstance(fields, str) else yaml.safe_dump(fields)
    code, shown, err = cli("chaincode", "policy", put(tmp_path / "market.yaml", text))
    assert (code, shown) == (2, None)
    assert words in err


def test_a_package_is_the_same_each_time_and_has_the_id_that_policies_name(
    cli: Any, foreign: Foreign, tmp_path: Path
) -> None:
    first = cli("chaincode", "package", "-o", tmp_path / "a.tar.gz")[1]["package_id"]
    assert cli("chaincode", "package", "-o", tmp_path / "b.tar.gz")[1]["package_id"] == first
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    policy = cli("chaincode", "policy", foreign.folder / "net" / "network.yaml")[1]
    assert policy["service"]["CHAINCODE_ID"] == first
    tls = foreign.folder / "net" / "organisations" / "owner" / "ca" / "tlsca.pem"
    at = ("--address", "{{.peername}}_quorumlearn:9999", "--tls-ca", tls)
    assert cli("chaincode", "package", "-o", tmp_path / "c.tar.gz", *at)[1]["package_id"] != first
    with tarfile.open(tmp_path / "c.tar.gz") as outer:
        assert outer.getnames() == ["metadata.json", "code.tar.gz"]
        code = outer.extractfile("code.tar.gz")
        assert code is not None
        with tarfile.open(fileobj=code) as inner:
            found = inner.extractfile("connection.json")
            assert found is not None
            connection = json.load(found)
    assert connection["address"] == "{{.peername}}_quorumlearn:9999"
    assert (connection["tls_required"], connection["root_cert"]) == (True, tls.read_text())
    code_, _, err = cli("chaincode", "package", "-o", tmp_path / "d.tar.gz", "--tls-ca", foreign.miners)
    assert (code_, "is no certificate in PEM" in err) == (2, True)
    code_, _, err = cli("chaincode", "package", "-o", tmp_path / "d.tar.gz", "--name", "a b")
    assert (code_, "--name 'a b' is no name that Fabric takes" in err) == (2, True)
