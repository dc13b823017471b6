"""What is read from a submitter's certificate, and what is refused."""

from __future__ import annotations

import datetime

import pytest
from fabric_protos.msp import identities_pb2
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_chaincode.runtime import IdentityError
from quorumlearn_chaincode.runtime.identity import read_identity

from tests.chaincode.runtime.conftest import Certificates


def test_a_certificate_gives_its_names_units_times_and_attributes(creator: Certificates) -> None:
    identity = read_identity(
        creator(
            names=("alice/é",), units=("client", "department"), attributes=b'{"attrs":{"a.b":"1","role":"x"}}'
        )
    )
    assert (identity.msp_id, identity.name) == ("Org1MSP", "alice/é")
    assert identity.organisational_units == ("client", "department")
    assert dict(identity.attributes) == {"a.b": "1", "role": "x"}
    assert identity.not_before == datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    assert identity.not_after == datetime.datetime(2044, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize("attributes", [None, b"{}", b'{"attrs":{}}', b'{"attrs":null}', b'{"other":1}'])
def test_a_certificate_may_have_no_attributes(creator: Certificates, attributes: bytes | None) -> None:
    assert dict(read_identity(creator(attributes=attributes)).attributes) == {}


def test_attributes_cannot_be_changed(creator: Certificates) -> None:
    identity = read_identity(creator(attributes=b'{"attrs":{"role":"miner"}}'))
    with pytest.raises(TypeError):
        identity.attributes["role"] = "owner"  # type: ignore[index]


@pytest.mark.parametrize(
    "attributes",
    [
        b"",
        b"\xff",
        b"[]",
        b'"x"',
        b'{"attrs":[]}',
        b'{"attrs":{"role":1}}',
        b'{"attrs":{"role":["miner"]}}',
        b"[" * 99999,
    ],
)
def test_attributes_that_are_not_texts_are_refused(creator: Certificates, attributes: bytes) -> None:
    with pytest.raises(IdentityError, match="attributes"):
        read_identity(creator(attributes=attributes))


@pytest.mark.parametrize("names", [(), ("alice", "bob"), ("alice", "alice")])
def test_anything_but_one_common_name_is_refused(creator: Certificates, names: tuple[str, ...]) -> None:
    with pytest.raises(IdentityError, match=f"{len(names)} common names"):
        read_identity(creator(names=names))


def test_an_identity_without_msp_or_certificate_is_refused(creator: Certificates) -> None:
    with pytest.raises(IdentityError, match="no MSP"):
        read_identity(creator(msp_id=""))
    idemix = identities_pb2.SerializedIdentity(mspid="IdemixMSP", id_bytes=b"\x0a\x04nymx")
    with pytest.raises(IdentityError, match="IdemixMSP"):
        read_identity(idemix.SerializeToString())
    with pytest.raises(IdentityError):
        read_identity(b"")


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_do_anything_but_be_refused(noise: bytes, wrapped: bool) -> None:
    if wrapped:
        pem = b"-----BEGIN CERTIFICATE-----\n" + noise + b"\n-----END CERTIFICATE-----\n"
        noise = identities_pb2.SerializedIdentity(mspid="M", id_bytes=pem).SerializeToString()
    with pytest.raises(IdentityError):
        read_identity(noise)


@given(st.integers(0, 3000), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(creator: Certificates, position: int, value: int) -> None:
    whole = bytearray(creator(attributes=b'{"attrs":{"role":"miner"}}'))
    whole[position % len(whole)] = value
    try:
        identity = read_identity(bytes(whole))
    except IdentityError:
        return
    assert identity.msp_id
    assert identity.name
