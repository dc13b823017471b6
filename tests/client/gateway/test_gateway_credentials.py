"""Identities, signatures and connection profiles: what is read, what is refused, what never shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils
from fabric_protos.msp import identities_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.gateway import (
    CredentialError,
    EvaluateError,
    Identity,
    Signer,
    connect,
    connect_profile,
    find_profile,
    load_msp,
)
from quorumlearn.gateway.blocks import header_hash
from quorumlearn.gateway.profile import read_profile
from quorumlearn_network.identities import Organisation, ensure_user
from quorumlearn_network.profiles import render_connection
from quorumlearn_network.spec import default_spec

from tests.client.gateway.conftest import QUICK
from tests.client.gateway.scripted_peer import CHANNEL, ScriptedPeer

HALF_ORDERS = {
    ec.SECP256R1: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 // 2,
    ec.SECP384R1: (2**384 - 1388124618062372383947042015309946732620727252194336364173) // 2,
}


def pem(key: Any) -> bytes:
    data: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return data


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1])
def test_signatures_verify_and_have_a_low_s(curve: type[ec.EllipticCurve]) -> None:
    key = ec.generate_private_key(curve())
    signer = Signer.from_pem(pem(key))

    @settings(max_examples=40, deadline=None)
    @given(st.binary(max_size=100))
    def holds(message: bytes) -> None:
        signature = signer(message)
        key.public_key().verify(signature, message, ec.ECDSA(hashes.SHA256()))
        assert utils.decode_dss_signature(signature)[1] <= HALF_ORDERS[curve]

    holds()


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=100))
def test_an_ed25519_key_signs_the_message_itself(message: bytes) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    key.public_key().verify(Signer.from_pem(pem(key))(message), message)


def test_an_encrypted_key_says_how_to_write_it_without_a_password() -> None:
    secret = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"sesame"),
    )
    with pytest.raises(CredentialError, match="encrypted"):
        Signer.from_pem(secret)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem(rsa.generate_private_key(65537, 2048)),
        pem(ec.generate_private_key(ec.SECP256K1())),
    ],
)
def test_a_key_that_fabric_does_not_know_is_refused_without_showing_it(key: bytes) -> None:
    with pytest.raises(CredentialError) as caught:
        Signer.from_pem(key)
    shown = str(caught.value) + repr(caught.value.__cause__)
    assert not key or key.splitlines()[1].decode() not in shown


def test_an_identity_serialises_as_fabric_wants(alice: tuple[Identity, Signer]) -> None:
    identity, signer = alice
    read = identities_pb2.SerializedIdentity.FromString(identity.creator)
    assert (read.mspid, read.id_bytes) == ("OrgMSP", identity.certificate)
    assert repr(signer) == "Signer(...)"


@pytest.mark.parametrize(
    "damage", ["no folder", "no key", "foreign key", "foreign keys", "no certificate", "two certificates"]
)
def test_a_damaged_msp_folder_is_refused(tmp_path: Path, organisation: Organisation, damage: str) -> None:
    source = organisation.user("alice")
    for name in ("signcerts/cert.pem", "keystore/key.pem"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes((source / name).read_bytes())
    key = tmp_path / "keystore" / "key.pem"
    if damage == "no folder":
        key.unlink()
        key.parent.rmdir()
    elif damage == "no key":
        key.unlink()
    elif damage == "two certificates":
        (tmp_path / "signcerts" / "other.pem").write_bytes((source / "signcerts/cert.pem").read_bytes())
    elif damage.startswith("foreign key"):
        key.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
        if damage == "foreign keys":
            (key.parent / "other.pem").write_bytes(pem(rsa.generate_private_key(65537, 2048)))
    else:
        (tmp_path / "signcerts" / "cert.pem").write_bytes(b"nothing")
    with pytest.raises(CredentialError, match=str(tmp_path)):
        load_msp(tmp_path, "OrgMSP")


def test_of_several_keys_the_one_of_the_certificate_is_taken(
    tmp_path: Path, organisation: Organisation
) -> None:
    """As `fabric-ca-client reenroll` and hand-made folders leave them."""
    source, message = organisation.user("alice"), b"message"
    for name in ("signcerts/cert.pem", "keystore/key.pem"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes((source / name).read_bytes())
    keystore = tmp_path / "keystore"
    (keystore / "key.pem").rename(keystore / "m_sk")
    (keystore / "a_sk").write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    (keystore / "b_sk").write_bytes(pem(rsa.generate_private_key(65537, 2048)))
    (keystore / "z_sk").write_bytes(pem(ed25519.Ed25519PrivateKey.generate()))
    (keystore / "README").write_text("the keys of alice")
    identity, signer = load_msp(tmp_path, "OrgMSP")
    key = x509.load_pem_x509_certificate(identity.certificate).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signer(message), message, ec.ECDSA(hashes.SHA256()))


def profile_of(organisation: Organisation, address: str = "127.0.0.1:7051") -> dict[str, Any]:
    spec = default_spec()
    host, port = address.split(":")
    one = spec.organisations[0]
    one = one.model_copy(
        update={
            "name": "org",
            "msp_id": "OrgMSP",
            "peer": one.peer.model_copy(update={"host": host, "port": int(port)}),
        }
    )
    fields: dict[str, Any] = json.loads(render_connection(spec, one, organisation))
    return fields


def test_the_profile_that_a_network_writes_leads_to_the_peer_over_tls(
    tmp_path: Path, organisation: Organisation, msp: Path
) -> None:
    tls = organisation.peer / "tls"
    server = grpc.ssl_server_credentials(
        [((tls / "server.key").read_bytes(), (tls / "server.crt").read_bytes())]
    )
    path = tmp_path / "connection.json"
    with ScriptedPeer(credentials=server) as peer:
        path.write_text(json.dumps(profile_of(organisation, peer.address)))
        with connect_profile(path, msp, QUICK) as gateway:
            assert gateway.endpoint == peer.address
            assert gateway.network(CHANNEL).contract("cc").evaluate("echo", "x") == b"x"


@pytest.mark.parametrize(
    ("authority", "host", "reason"),
    [
        ("of identities", "", "CERTIFICATE_VERIFY_FAILED"),
        ("of TLS", "elsewhere.example", "(Hostname|Peer name)"),
    ],
)
def test_a_peer_that_tls_does_not_vouch_for_is_told_from_one_that_is_not_there(
    organisation: Organisation, alice: tuple[Identity, Signer], authority: str, host: str, reason: str
) -> None:
    tls = organisation.peer / "tls"
    server = grpc.ssl_server_credentials(
        [((tls / "server.key").read_bytes(), (tls / "server.crt").read_bytes())]
    )
    path = organisation.tls_authority if authority == "of TLS" else organisation.folder / "ca" / "ca.pem"
    with (
        ScriptedPeer(credentials=server) as peer,
        connect(
            peer.address, *alice, tls_root=path.read_bytes(), override_authority=host, options=QUICK
        ) as gateway,
        pytest.raises(EvaluateError, match="no TLS connection to the peer at .*" + reason) as caught,
    ):
        gateway.network(CHANNEL).contract("cc").evaluate("echo", "x")
    assert "profile" in str(caught.value)
    assert not caught.value.unreachable
    assert peer.calls == []


def test_tls_to_a_peer_without_it_says_so(organisation: Organisation, alice: tuple[Identity, Signer]) -> None:
    root = organisation.tls_authority.read_bytes()
    with (
        ScriptedPeer() as peer,
        connect(peer.address, *alice, tls_root=root, options=QUICK) as gateway,
        pytest.raises(EvaluateError, match=r"no TLS connection to the peer at .*WRONG_VERSION_NUMBER"),
    ):
        gateway.network(CHANNEL).contract("cc").evaluate("echo", "x")


@pytest.mark.parametrize(
    "broken",
    [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
)
def test_a_tls_authority_that_is_no_certificate_is_refused_at_once(
    alice: tuple[Identity, Signer], broken: bytes
) -> None:
    with pytest.raises(CredentialError, match=r"TLS authority given for the peer at peer\.example:7051"):
        connect("peer.example:7051", *alice, tls_root=broken)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda f: (f.pop("client"), f["organizations"].update(other=f["organizations"]["org"])),
            "no field client.organization",
        ),
        (lambda f: f["client"].update(organization=5), "client.organization is not a text"),
        (lambda f: f["organizations"]["org"].pop("mspid"), "no field organizations.org.mspid"),
        (lambda f: f["organizations"]["org"].update(peers=[]), "names no peer"),
        (lambda f: f["peers"]["peer0.org"].pop("url"), "no field peers.peer0.org.url"),
        (lambda f: f["peers"]["peer0.org"].update(url="http://x:1"), "is not grpcs://host:port"),
        (lambda f: f["peers"]["peer0.org"].update(url="grpcs://x"), "is not grpcs://host:port"),
        (lambda f: f["peers"]["peer0.org"].update(url="grpcs://x:99999"), "is not grpcs://host:port"),
        (lambda f: f["peers"]["peer0.org"].pop("tlsCACerts"), "tlsCACerts.path"),
        (lambda f: f["peers"]["peer0.org"].update(tlsCACerts={"path": "none.pem"}), "'none.pem'"),
    ],
)
def test_a_profile_that_lacks_something_says_what(
    tmp_path: Path, organisation: Organisation, change: Any, words: str
) -> None:
    fields = profile_of(organisation)
    change(fields)
    path = tmp_path / "connection.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(CredentialError, match=words) as caught:
        read_profile(path)
    assert str(path) in str(caught.value)


def test_a_profile_may_name_a_file_for_its_tls_authority_and_a_host_name(
    tmp_path: Path, organisation: Organisation
) -> None:
    fields = profile_of(organisation)
    peer = fields["peers"]["peer0.org"]
    (tmp_path / "tls.pem").write_bytes(b"PEM")
    peer.update(tlsCACerts={"path": "tls.pem"}, grpcOptions={"ssl-target-name-override": "peer.example"})
    path = tmp_path / "connection.json"
    path.write_text(json.dumps(fields))
    read = read_profile(path)
    assert (read.tls_root, read.override_authority, read.msp_id) == (b"PEM", "peer.example", "OrgMSP")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", ["JSON", "JSON with tabs", "YAML"])
def test_a_profile_may_be_json_or_yaml_with_a_byte_order_mark_or_without(
    tmp_path: Path, organisation: Organisation, form: str, encoding: str
) -> None:
    fields = profile_of(organisation)
    as_json = json.dumps(fields, indent="\t" if "tabs" in form else 2)
    text = yaml.safe_dump(fields) if form == "YAML" else as_json
    path = tmp_path / ("connection.yaml" if form == "YAML" else "connection.json")
    path.write_text(text, encoding=encoding)
    assert find_profile(tmp_path) == path
    assert read_profile(path).tls_root == organisation.tls_authority.read_bytes()


@pytest.mark.parametrize("data", [b"{", b"a: b: c", b"\xff\xfe\xfa", b"!!python/object:x {}"])
def test_a_profile_that_is_neither_json_nor_yaml_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "connection.json"
    path.write_bytes(data)
    with pytest.raises(CredentialError, match=r"connection\.json is neither JSON nor YAML"):
        read_profile(path)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["client", "peers", "organization"]), inner)
        ),
    )
)
def test_any_json_is_a_profile_or_a_credential_error(
    tmp_path_factory: pytest.TempPathFactory, fields: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(CredentialError):
        read_profile(path)


def test_a_renewed_identity_is_read_as_the_same_name(organisation: Organisation) -> None:
    first = load_msp(ensure_user(organisation, "carol"), "OrgMSP")[0]
    assert load_msp(organisation.user("carol"), "OrgMSP")[0] == first


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 2**31, 2**63])
def test_a_header_hash_is_that_of_its_der_sequence(number: int) -> None:
    import hashlib

    from fabric_protos.common import common_pb2

    def der(tag: int, content: bytes) -> bytes:
        assert len(content) < 128
        return bytes((tag, len(content))) + content

    size = 1
    while number >= 1 << (8 * size - 1):  # the sign bit stays clear
        size += 1
    body = der(2, number.to_bytes(size, "big")) + der(4, b"p" * 32) + der(4, b"d" * 32)
    header = common_pb2.BlockHeader(number=number, previous_hash=b"p" * 32, data_hash=b"d" * 32)
    assert header_hash(header) == hashlib.sha256(der(0x30, body)).digest()
