"""Identities on disk: what they certify, who can read them, when they are kept and when issued again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn_network.certificates import (
    CertificateError,
    Credential,
    NodeOU,
    attributes_of,
    common_name,
    hosts_of,
    is_current,
    is_issued_by,
    issue_identity,
    new_authority,
    read_certificate,
    unit_of,
)
from quorumlearn_network.identities import (
    IdentityError,
    ensure_orderer,
    ensure_peer,
    ensure_user,
    existing_organisation,
    open_organisation,
    read_user,
    renew_user,
    users,
)


def certificate_of(msp: Path) -> x509.Certificate:
    return read_certificate((msp / "signcerts" / "cert.pem").read_bytes())


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_user_has_a_complete_msp_folder(tmp_path: Path) -> None:
    organisation = open_organisation(tmp_path, "miner1", "Miner1MSP")
    msp = ensure_user(organisation, "m0", {"quorumlearn.role": "miner"})
    authority = read_certificate((organisation.folder / "ca" / "ca.pem").read_bytes())
    held = Credential.from_pem(
        (msp / "signcerts" / "cert.pem").read_bytes(), (msp / "keystore" / "key.pem").read_bytes()
    )
    assert is_issued_by(held.certificate, authority)
    assert common_name(held.certificate) == "m0"
    assert unit_of(held.certificate) == "client"
    assert attributes_of(held.certificate) == {"quorumlearn.role": "miner"}
    assert isinstance(held.key.curve, ec.SECP256R1)
    assert (msp / "cacerts" / "ca.pem").read_bytes() == (organisation.folder / "ca" / "ca.pem").read_bytes()
    assert (msp / "tlscacerts" / "tlsca.pem").read_bytes() == organisation.tls_authority.read_bytes()
    units = yaml.safe_load((msp / "config.yaml").read_text())["NodeOUs"]
    assert units["Enable"] is True
    assert units["AdminOUIdentifier"] == {
        "Certificate": "cacerts/ca.pem",
        "OrganizationalUnitIdentifier": "admin",
    }


def test_certificates_name_their_authority_by_key_id(tmp_path: Path) -> None:
    organisation = open_organisation(tmp_path, "o", "OMSP")
    certificate = certificate_of(ensure_user(organisation, "u"))
    authority = read_certificate((organisation.folder / "ca" / "ca.pem").read_bytes())
    subject = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert issuer.key_identifier == subject.digest
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_peers_and_orderers_have_their_units_and_tls_hosts(tmp_path: Path) -> None:
    organisation = open_organisation(tmp_path, "o", "OMSP")
    peer = ensure_peer(organisation, ["127.0.0.1", "localhost"])
    orderer = ensure_orderer(organisation, ["127.0.0.1"])
    assert unit_of(certificate_of(peer / "msp")) == "peer"
    assert unit_of(certificate_of(orderer / "msp")) == "orderer"
    tls = read_certificate((peer / "tls" / "server.crt").read_bytes())
    assert hosts_of(tls) == {"127.0.0.1", "localhost"}
    assert is_issued_by(tls, read_certificate((peer / "tls" / "ca.crt").read_bytes()))
    assert not is_issued_by(tls, read_certificate((organisation.folder / "ca" / "ca.pem").read_bytes()))


def test_private_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    organisation = open_organisation(tmp_path, "o", "OMSP")
    ensure_peer(organisation, ["localhost"])
    ensure_user(organisation, "u")
    keys = [path for path in tmp_path.rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()]
    assert len(keys) == 5
    for key in keys:
        assert key.stat().st_mode & 0o777 == 0o600
        assert key.parent.stat().st_mode & 0o777 == 0o700


def test_doing_it_twice_changes_nothing(tmp_path: Path) -> None:
    def make() -> dict[str, bytes]:
        organisation = open_organisation(tmp_path, "o", "OMSP")
        ensure_peer(organisation, ["localhost"])
        ensure_user(organisation, "u", {"quorumlearn.role": "owner"})
        ensure_user(organisation, "admin", admin=True)
        return snapshot(tmp_path)

    assert make() == make()


@pytest.mark.parametrize("damage", ["key", "certificate", "foreign", "expired", "role"])
def test_an_identity_that_no_longer_holds_is_issued_again_under_the_same_name(
    tmp_path: Path, damage: str
) -> None:
    organisation = open_organisation(tmp_path, "o", "OMSP")
    msp = ensure_user(organisation, "u", {"quorumlearn.role": "miner"})
    if damage == "key":
        (msp / "keystore" / "key.pem").unlink()
    elif damage == "certificate":
        (msp / "signcerts" / "cert.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n")
    elif damage in ("foreign", "expired"):
        if damage == "foreign":
            authority = new_authority("ca.o", "OMSP")
        else:
            folder = organisation.folder / "ca"
            authority = Credential.from_pem(
                (folder / "ca.pem").read_bytes(), (folder / "ca-key.pem").read_bytes()
            )
        validity = timedelta(days=1) if damage == "foreign" else timedelta(seconds=-1)
        other = issue_identity(authority, "u", "OMSP", NodeOU.CLIENT, {"quorumlearn.role": "miner"}, validity)
        (msp / "signcerts" / "cert.pem").write_bytes(other.certificate_pem)
        (msp / "keystore" / "key.pem").write_bytes(other.key_pem)
    role = "verifier" if damage == "role" else "miner"
    ensure_user(organisation, "u", {"quorumlearn.role": role})
    held = Credential.from_pem(
        (msp / "signcerts" / "cert.pem").read_bytes(), (msp / "keystore" / "key.pem").read_bytes()
    )
    authority_certificate = read_certificate((organisation.folder / "ca" / "ca.pem").read_bytes())
    assert is_current(held.certificate)
    assert is_issued_by(held.certificate, authority_certificate)
    assert read_user(organisation, "u").account == "OMSP/u"
    assert attributes_of(held.certificate) == {"quorumlearn.role": role}


def test_renewing_keeps_name_and_role_and_changes_the_key(tmp_path: Path) -> None:
    organisation = open_organisation(tmp_path, "o", "OMSP")
    msp = ensure_user(organisation, "u", {"quorumlearn.role": "miner"}, validity=timedelta(days=2))
    before, key = read_user(organisation, "u"), (msp / "keystore" / "key.pem").read_bytes()
    renew_user(organisation, "u")
    after = read_user(organisation, "u")
    assert (after.account, after.attributes, after.unit) == (before.account, before.attributes, before.unit)
    assert after.not_after > before.not_after
    assert (msp / "keystore" / "key.pem").read_bytes() != key


def test_a_damaged_authority_is_an_error_and_is_left_alone(tmp_path: Path) -> None:
    organisation = open_organisation(tmp_path, "o", "OMSP")
    path = organisation.folder / "ca" / "ca-key.pem"
    path.write_bytes(b"nonsense")
    with pytest.raises(IdentityError, match="restore the folder"):
        open_organisation(tmp_path, "o", "OMSP")
    assert path.read_bytes() == b"nonsense"


def test_an_expired_authority_issues_nothing(tmp_path: Path) -> None:
    authority = new_authority("ca", "OMSP", timedelta(seconds=-1))
    with pytest.raises(CertificateError, match="expired"):
        issue_identity(authority, "u", "OMSP", NodeOU.CLIENT, {}, timedelta(days=1))


def test_nothing_outlives_its_authority() -> None:
    authority = new_authority("ca", "OMSP", timedelta(days=3))
    issued = issue_identity(authority, "u", "OMSP", NodeOU.CLIENT, {}, timedelta(days=365))
    assert issued.certificate.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_missing_organisations_and_users_are_named(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="no organisation 'o'"):
        existing_organisation(tmp_path, "o", "OMSP")
    with pytest.raises(IdentityError, match="no identity o/u"):
        read_user(open_organisation(tmp_path, "o", "OMSP"), "u")


def test_users_are_listed_by_name(tmp_path: Path) -> None:
    organisation = open_organisation(tmp_path, "o", "OMSP")
    assert list(users(organisation)) == []
    for name in ("b", "a"):
        ensure_user(organisation, name)
    assert [info.name for info in users(organisation)] == ["a", "b"]


def test_a_credential_does_not_show_its_key() -> None:
    assert "key" not in repr(new_authority("ca", "OMSP")).replace("Certificate", "")


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=80), st.sampled_from(["../u", "a/b", ".", "..", "", "a\n", "u\x00", "-x"])))
def test_names_never_leave_the_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.getbasetemp() / "names"
    organisation = open_organisation(root, "o", "OMSP")
    try:
        path = organisation.user(name)
    except IdentityError:
        return
    assert path.resolve() == (organisation.folder / "users" / name / "msp").resolve()
    assert path.resolve().is_relative_to((organisation.folder / "users").resolve())
    assert path.parent.name == name
