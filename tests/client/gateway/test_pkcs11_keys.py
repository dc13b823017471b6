"""Keys on a PKCS#11 token, tried on SoftHSM; skipped where it or `quorumlearn[pkcs11]` is not installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from quorumlearn.gateway import CredentialError, load_connection
from quorumlearn.gateway.pkcs11 import PIN_VARIABLE, key_id
from quorumlearn_network.certificates import Credential, NodeOU, issue_identity, new_authority

from tests.client.gateway.material import YEAR, pem, put

pytest.importorskip("pkcs11", reason="needs quorumlearn[pkcs11]")

LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
PIN = "98765432"
HALF_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 // 2


@pytest.fixture(scope="module")
def library() -> str:
    found = next((one for one in LIBRARIES if Path(one).exists()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        pytest.skip("needs SoftHSM (Debian: softhsm2)")
    return found


@pytest.fixture(scope="module")
def made() -> Credential:
    return issue_identity(new_authority("ca", "org"), "miner1", "org", NodeOU.CLIENT, {}, YEAR)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory, library: str, made: Credential) -> Path:
    """A folder with a token `market` that holds the key as Fabric's tools name it, another by the label `other`, and a token
    `closed` that nobody has opened."""
    folder = tmp_path_factory.mktemp("softhsm")
    put(folder / "softhsm2.conf", f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    (folder / "tokens").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        tool = ["softhsm2-util", "--module", library]
        for label in ("market", "closed"):
            _run(*tool, "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", PIN)
        other = ec.generate_private_key(ec.SECP256R1())
        for key, label in ((made.key, "mine"), (other, "other")):
            file = put(folder / f"{label}.pem", pem(key))
            identified = ("--label", label, "--id", key_id(key.public_key()).hex())
            _run(*tool, "--import", str(file), "--token", "market", "--pin", PIN, *identified)
            file.unlink()
    put(folder / "cert.pem", made.certificate_pem)
    return folder


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(autouse=True)
def environment(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", str(token / "softhsm2.conf"))
    monkeypatch.setenv(PIN_VARIABLE, PIN)


def connection(folder: Path, library: str, changed: dict[str, str]) -> Path:
    fields = {
        "peer": "grpc://127.0.0.1:7051",
        "msp_id": "OrgMSP",
        "certificate": "cert.pem",
        "pkcs11": {"library": library, "token": "market", **changed},
    }
    return put(folder / "fabric.yaml", yaml.safe_dump(fields))


@pytest.mark.parametrize("by", ["id", "label"])
def test_a_token_signs_with_a_low_s(token: Path, library: str, made: Credential, by: str) -> None:
    path = connection(token, library, {"key": "mine"} if by == "label" else {})
    identity, signer = load_connection(path).load("OrgMSP")
    key = x509.load_pem_x509_certificate(identity.certificate).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    for number in range(20):
        message = f"message {number}".encode()
        signature = signer(message)
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        assert utils.decode_dss_signature(signature)[1] <= HALF_ORDER


@pytest.mark.parametrize(
    ("changed", "pin", "words"),
    [
        ({"token": "closed"}, "00000000", f"the PIN is wrong; it is taken from the variable {PIN_VARIABLE}"),
        ({"token": "elsewhere"}, PIN, "token 'elsewhere' of .*there is no such token"),
        ({"key": "nobody's"}, PIN, "there is no such key; give its label as `key`"),
        ({"key": "other"}, PIN, "the key 'other' does not belong to the certificate"),
        ({"library": "/nowhere/lib.so"}, PIN, "/nowhere/lib.so"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_without_the_pin(
    token: Path, library: str, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], pin: str, words: str
) -> None:
    monkeypatch.setenv(PIN_VARIABLE, pin)
    with pytest.raises(CredentialError, match=words) as caught:
        load_connection(connection(token, library, changed)).load("OrgMSP")
    assert pin not in str(caught.value)
