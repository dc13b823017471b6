"""Keys and certificates as other tools leave them: which are taken, and in which sentence the others are refused."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from quorumlearn.gateway import CredentialError, Identity, Signer, load_msp, load_pair
from quorumlearn.gateway.credentials import PASSWORD_VARIABLE, password_from
from quorumlearn_network.certificates import Credential, NodeOU, issue_identity, new_authority

from tests.client.gateway.material import YEAR, cryptogen_user, fabric_ca_user, pem, put, with_key

DOMAIN = "org1.example.com"
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def authority() -> Credential:
    return new_authority(f"ca.{DOMAIN}", DOMAIN)


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, authority: Credential) -> Path:
    """cryptogen's folder of a user."""
    tls = new_authority(f"tlsca.{DOMAIN}", DOMAIN)
    return cryptogen_user(tmp_path_factory.mktemp("crypto-config"), DOMAIN, "User1", authority, tls)


def key_of(msp: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key((msp / "keystore" / "priv_sk").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def signs(loaded: tuple[Identity, Signer]) -> x509.Certificate:
    """The certificate, which a signature was checked against."""
    identity, signer = loaded
    certificate = x509.load_pem_x509_certificate(identity.certificate)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signer(b"message"), b"message", ec.ECDSA(hashes.SHA256()))
    return certificate


def test_cryptogens_folder_is_taken_as_it_is(user: Path) -> None:
    certificate = signs(load_msp(user / "msp", "Org1MSP"))
    assert f"CN=User1@{DOMAIN}" in certificate.subject.rfc4514_string()


def test_fabric_cas_folder_is_taken_as_it_is_after_a_second_enrolment(
    tmp_path: Path, authority: Credential
) -> None:
    msp = fabric_ca_user(tmp_path / "msp", "miner1", authority, {"quorumlearn.role": "miner"})
    assert len(list((msp / "keystore").iterdir())) == 2
    assert "CN=miner1" in signs(load_msp(msp, "Org1MSP")).subject.rfc4514_string()


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
@pytest.mark.parametrize("encrypted", [True, False])
def test_a_key_is_taken_in_either_form_with_a_password_or_without(
    tmp_path: Path, user: Path, monkeypatch: pytest.MonkeyPatch, form: str, encrypted: bool
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    key = pem(key_of(user / "msp"), form, PASSWORD.encode() if encrypted else None)
    signs(load_msp(with_key(user / "msp", tmp_path / "msp", key), "Org1MSP"))
    certificate = next((user / "msp" / "signcerts").iterdir())
    signs(load_pair(certificate, put(tmp_path / "client.key", key), "Org1MSP"))


def test_a_key_with_the_curves_parameters_before_it_is_taken(tmp_path: Path, user: Path) -> None:
    """As `openssl ecparam -genkey` writes it."""
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    key = parameters + pem(key_of(user / "msp"), "TraditionalOpenSSL")
    signs(load_msp(with_key(user / "msp", tmp_path / "msp", key), "Org1MSP"))


def test_a_wrong_password_names_the_key_and_shows_no_password(
    tmp_path: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong horse")
    msp = with_key(user / "msp", tmp_path / "msp", pem(key_of(user / "msp"), "PKCS8", PASSWORD.encode()))
    with pytest.raises(
        CredentialError, match=r"priv_sk: the password does not open the private key"
    ) as caught:
        load_msp(msp, "Org1MSP")
    assert "horse" not in str(caught.value)


def test_an_encrypted_key_without_a_password_names_the_variable_for_it(
    tmp_path: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    key = put(tmp_path / "client.key", pem(key_of(user / "msp"), "PKCS8", PASSWORD.encode()))
    certificate = next((user / "msp" / "signcerts").iterdir())
    with pytest.raises(
        CredentialError, match=f"client.key takes a password: put it into the variable {PASSWORD_VARIABLE}"
    ):
        load_pair(certificate, key, "Org1MSP")
    monkeypatch.setenv("MINE", PASSWORD)
    signs(load_pair(certificate, key, "Org1MSP", password_from("MINE")))


def test_nobody_is_asked_for_the_password_of_a_key_that_is_not_needed(
    tmp_path: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    msp = with_key(user / "msp", tmp_path / "msp", pem(key_of(user / "msp")))
    put(msp / "keystore" / "old_sk", pem(ec.generate_private_key(ec.SECP256R1()), "PKCS8", b"forgotten"))
    signs(load_msp(msp, "Org1MSP"))


def test_a_password_is_asked_for_at_the_terminal(tmp_path: Path, user: Path) -> None:
    """On a terminal of its own: `getpass` reads from it and shows nothing of it."""
    key = put(tmp_path / "client.key", pem(key_of(user / "msp"), "PKCS8", PASSWORD.encode()))
    certificate = next((user / "msp" / "signcerts").iterdir())
    program = (
        "import sys\nfrom pathlib import Path\nfrom quorumlearn.gateway import load_pair\n"
        "load_pair(Path(sys.argv[1]), Path(sys.argv[2]), 'Org1MSP')\nprint('opened')\n"
    )
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(certificate), str(key)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != PASSWORD_VARIABLE},
    )
    os.close(theirs)
    shown = ""
    while "The password of the key" not in shown:
        shown += os.read(ours, 1000).decode()
    os.write(ours, PASSWORD.encode() + b"\n")
    while "opened" not in shown:
        shown += os.read(ours, 1000).decode()
    assert process.wait(60) == 0
    assert PASSWORD not in shown
    os.close(ours)


def test_a_key_of_somebody_else_is_refused(tmp_path: Path, user: Path) -> None:
    key = put(tmp_path / "client.key", pem(ec.generate_private_key(ec.SECP256R1())))
    certificate = next((user / "msp" / "signcerts").iterdir())
    with pytest.raises(CredentialError, match=r"client\.key does not belong to the certificate"):
        load_pair(certificate, key, "Org1MSP")


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (-9, -2, "ran out on .*: renew it"),
        (2, 9, "is valid from .* on, and it is .* by this machine's clock"),
    ],
)
def test_a_certificate_out_of_its_time_is_refused(
    tmp_path: Path, user: Path, authority: Credential, start: int, end: int, words: str
) -> None:
    now, key = datetime.now(UTC), key_of(user / "msp")
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "late")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + timedelta(days=start))
        .not_valid_after(now + timedelta(days=end))
        .sign(authority.key, hashes.SHA256())
    )
    path = put(tmp_path / "late.pem", made.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(CredentialError, match=f"late.pem {words}"):
        load_pair(path, put(tmp_path / "late.key", pem(key)), "Org1MSP")


@pytest.mark.parametrize("missing", ["client.pem", "client.key"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, authority: Credential, missing: str) -> None:
    made = issue_identity(authority, "a", DOMAIN, NodeOU.CLIENT, {}, YEAR)
    put(tmp_path / "client.pem", made.certificate_pem)
    put(tmp_path / "client.key", made.key_pem)
    (tmp_path / missing).unlink()
    with pytest.raises(CredentialError, match=f"{missing} cannot be read: No such file"):
        load_pair(tmp_path / "client.pem", tmp_path / "client.key", "Org1MSP")
