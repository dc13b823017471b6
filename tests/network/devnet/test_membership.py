"""Which certificates an MSP accepts, in which roles."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from fabric_protos.msp import identities_pb2
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_network.devnet.errors import ConfigError, IdentityError
from quorumlearn_network.devnet.msp import Identity, Membership, Msp, Role, SigningIdentity
from quorumlearn_network.identities import ensure_peer, ensure_user, open_organisation

from tests.conformance.crafting import CURVE_ORDER
from tests.network.devnet.conftest import Members
from tests.network.devnet.ed25519_identity import ed25519_identity


def loaded(msp_id: str, folder: Path, serialized: bytes) -> Identity:
    return Membership({msp_id: Msp.load(msp_id, folder)}).identity(serialized)


def test_roles_come_from_the_unit(members: Members) -> None:
    organisation = members.organisations["V1MSP"]
    folder = organisation.peer / "msp"
    admin = SigningIdentity.load("V1MSP", ensure_user(organisation, "boss", admin=True))
    for signer, role in (
        (members.signer("V1MSP"), Role.CLIENT),
        (members.peer_signer("V1MSP"), Role.PEER),
        (admin, Role.ADMIN),
    ):
        identity = loaded("V1MSP", folder, signer.serialized)
        assert (identity.roles, identity.problem) == ({Role.MEMBER, role}, None)


def test_another_organisations_certificate_is_not_valid(members: Members) -> None:
    stranger = identities_pb2.SerializedIdentity.FromString(members.signer("V2MSP").serialized)
    claim = identities_pb2.SerializedIdentity(mspid="V1MSP", id_bytes=stranger.id_bytes)
    identity = loaded("V1MSP", members.organisations["V1MSP"].peer / "msp", claim.SerializeToString())
    assert identity.problem == "the certificate was not issued by a CA of V1MSP"
    assert identity.roles == frozenset()


def test_a_certificate_authority_is_not_an_identity(members: Members) -> None:
    organisation = members.organisations["V1MSP"]
    pem = (organisation.folder / "ca" / "ca.pem").read_bytes()
    claim = identities_pb2.SerializedIdentity(mspid="V1MSP", id_bytes=pem)
    identity = loaded("V1MSP", organisation.peer / "msp", claim.SerializeToString())
    assert identity.problem == "a CA certificate is not an identity"


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x0a\x05V1MSP\x12\x03abc"])
def test_what_is_not_an_identity(members: Members, data: bytes) -> None:
    with pytest.raises(IdentityError):
        loaded("V1MSP", members.organisations["V1MSP"].peer / "msp", data)


def revocation_list(organisation: Path, serial: int, signing: Path) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    issuer = x509.load_pem_x509_certificate((organisation / "ca" / "ca.pem").read_bytes()).subject
    key = serialization.load_pem_private_key((signing / "ca" / "ca-key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer).last_update(now)
    builder = builder.next_update(now + datetime.timedelta(days=1)).add_revoked_certificate(entry)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_revoked_certificate_is_not_valid_if_its_own_authority_says_so(tmp_path: Path) -> None:
    organisation = open_organisation(tmp_path, "one", "OneMSP")
    other = open_organisation(tmp_path, "two", "TwoMSP")
    peer = ensure_peer(organisation, ["localhost"]) / "msp"
    signer = SigningIdentity.load("OneMSP", ensure_user(organisation, "user"))
    serial = loaded("OneMSP", peer, signer.serialized).certificate.serial_number
    (peer / "crls").mkdir()
    (peer / "crls" / "forged.pem").write_bytes(revocation_list(organisation.folder, serial, other.folder))
    assert loaded("OneMSP", peer, signer.serialized).problem is None
    (peer / "crls" / "real.pem").write_bytes(
        revocation_list(organisation.folder, serial, organisation.folder)
    )
    assert loaded("OneMSP", peer, signer.serialized).problem == "the certificate has been revoked"


@given(st.binary(max_size=100))
def test_a_signature_verifies_with_low_s_and_for_its_data_only(members: Members, data: bytes) -> None:
    signer = members.signer("V1MSP")
    identity = loaded("V1MSP", members.organisations["V1MSP"].peer / "msp", signer.serialized)
    signature = signer.sign(data)
    assert identity.verify(data, signature)
    assert not identity.verify(data + b"x", signature)
    r, s = utils.decode_dss_signature(signature)
    assert s <= CURVE_ORDER // 2
    assert not identity.verify(data, utils.encode_dss_signature(r, CURVE_ORDER - s))
    assert not identity.verify(data, b"garbage")


@given(st.binary(max_size=100))
def test_an_ed25519_identity_signs_the_message_itself(members: Members, data: bytes) -> None:
    organisation = members.organisations["V1MSP"]
    folder = organisation.folder / "edward"
    signer = SigningIdentity.load(
        "V1MSP", folder if folder.exists() else ed25519_identity(organisation, "edward", folder)
    )
    identity = loaded("V1MSP", organisation.peer / "msp", signer.serialized)
    assert (identity.roles, identity.problem) == ({Role.MEMBER, Role.CLIENT}, None)
    assert identity.verify(data, signer.sign(data))
    assert not identity.verify(data + b"x", signer.sign(data))
    assert not identity.verify(data, members.signer("V1MSP").sign(data))


def test_secrets_stay_out_of_representations(members: Members) -> None:
    signer = members.signer("V1MSP")
    assert repr(signer) == "SigningIdentity(V1MSP)"


def test_folders_that_are_not_msps_are_named(tmp_path: Path, members: Members) -> None:
    with pytest.raises(ConfigError, match="no CA certificate"):
        Msp.load("OneMSP", tmp_path)
    with pytest.raises(ConfigError, match="signcerts"):
        SigningIdentity.load("OneMSP", tmp_path)
    (tmp_path / "cacerts").mkdir()
    (tmp_path / "cacerts" / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigError, match="readable PEM certificate"):
        Msp.load("OneMSP", tmp_path)
