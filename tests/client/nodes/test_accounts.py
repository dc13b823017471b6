"""An account is what the contracts read in the certificate, whatever the folder is called in which it lies."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from quorumlearn.cli.access import account_named, open_gateway
from quorumlearn.gateway import CredentialError, Identity
from quorumlearn.nodes.accounts import account_of
from quorumlearn.nodes.config import IdentityConfig, NodeConfig, load
from quorumlearn.nodes.organisation import Organisation
from quorumlearn_chaincode.contracts.arguments import identity as checked
from quorumlearn_chaincode.runtime.identity import read_identity
from quorumlearn_network.identities import IdentityError, ensure_user, open_organisation
from quorumlearn_network.spec import default_spec, dump_spec

SAMPLES = "User1@org1.example.com"
MSP = "Miners1MSP"


def certified(*names: str) -> bytes:
    """The PEM of a certificate with these common names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("name", ["alice", SAMPLES, "a", "0.a_b-c@d", "a" * 64])
def test_the_account_is_the_one_that_the_contracts_read(name: str) -> None:
    identity = Identity(MSP, certified(name))
    client = read_identity(identity.creator)
    assert account_of(identity, "user u") == checked("submitter", f"{client.msp_id}/{client.name}")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "0 common names"),
        (("alice", "bob"), "2 common names"),
        (("Alice Smith",), "'Alice Smith'"),
        (("a/b",), "'a/b'"),
        (("@alice",), "'@alice'"),
    ],
)
def test_a_certificate_that_the_contracts_refuse_is_named(names: tuple[str, ...], words: str) -> None:
    with pytest.raises(CredentialError, match="user u: .*" + words):
        account_of(Identity(MSP, certified(*names)), "user u")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network's folder with two identities as Fabric's tools lay them out: other folders than names, other files than ours."""
    folder = tmp_path / "net"
    made = open_organisation(folder, "miners1", MSP)
    for name, called in (("alice", SAMPLES), ("bob", "bob")):
        ensure_user(made, name)
        (made.folder / "users" / name).rename(made.folder / "users" / called)
        msp = made.folder / "users" / called / "msp"
        (msp / "signcerts" / "cert.pem").rename(msp / "signcerts" / f"{called}-cert.pem")
    peer = {"url": "grpc://127.0.0.1:1"}
    profile = {
        "client": {"organization": "miners1"},
        "organizations": {"miners1": {"mspid": MSP, "peers": ["peer0"]}},
        "peers": {"peer0": peer},
    }
    (made.folder / "connection.json").write_text(json.dumps(profile))
    (folder / "network.yaml").write_text(dump_spec(default_spec(miner_organisations=1)))
    return folder


def organisation_of(network: Path, *users: str) -> Organisation:
    (network / "store").mkdir(exist_ok=True)
    config = NodeConfig(
        organisation=network / "organisations" / "miners1",
        store=(network / "store").as_uri(),
        state=network / "state",
        identities=tuple(IdentityConfig(user=user, role="miner") for user in users),
    )
    return Organisation(config)


def test_a_node_acts_as_who_is_certified_and_keeps_its_journal_by_the_folders_name(network: Path) -> None:
    organisation = organisation_of(network, SAMPLES, "bob")
    organisation.check_accounts()
    assert organisation.name(SAMPLES) == f"{MSP}/alice"
    organisation.journal.below(SAMPLES).below("task").put("joined", b"1")
    assert (network / "state" / SAMPLES / "task" / "joined").read_bytes() == b"1"
    organisation.close()


def test_two_folders_with_one_account_are_refused(network: Path) -> None:
    users = network / "organisations" / "miners1" / "users"
    (users / "twin").symlink_to(users / "bob")
    with pytest.raises(CredentialError, match=f"users bob and twin are one account, {MSP}/bob"):
        organisation_of(network, "bob", "twin").check_accounts()


@pytest.mark.parametrize("user", [SAMPLES, "alice"])
@pytest.mark.parametrize("organisation", ["miners1", MSP])
def test_who_signs_is_named_by_its_folder_or_by_its_account(
    network: Path, organisation: str, user: str
) -> None:
    with open_gateway(network, f"{organisation}/{user}") as gateway:
        assert account_of(gateway.identity, "user") == f"{MSP}/alice"
    assert account_named(network, f"{organisation}/{user}") == f"{MSP}/alice"


def test_who_signs_must_be_there(network: Path) -> None:
    for who in ("miners1/carol", "miners1/..", "miners1/User2@org1.example.com"):
        with pytest.raises(IdentityError, match="no identity miners1/"):
            open_gateway(network, who)


def test_a_nodes_file_names_folders_of_users(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(f"organisation: o\nstore: s\nstate: t\nidentities:\n- {{user: {SAMPLES}, role: miner}}\n")
    assert load(path).identities[0].user == SAMPLES
