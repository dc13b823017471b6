"""A connection's file: profile or peer, who signs, client TLS; and in which sentence a wrong one is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from fabric_protos.common import common_pb2
from quorumlearn.gateway import (
    ClientTls,
    CredentialError,
    EvaluateError,
    Gateway,
    Identity,
    Signer,
    connect_peer,
    load_connection,
    read_profile,
)
from quorumlearn.gateway.proposal import seek_envelope
from quorumlearn_network.certificates import new_authority
from quorumlearn_network.identities import Organisation

from tests.client.gateway.conftest import QUICK
from tests.client.gateway.material import cryptogen_user, put
from tests.client.gateway.scripted_peer import CHANNEL, ScriptedPeer

DOMAIN = "org1.example.com"


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ca, tls = new_authority("ca", DOMAIN), new_authority("tlsca", DOMAIN)
    return cryptogen_user(tmp_path_factory.mktemp("crypto-config"), DOMAIN, "User1", ca, tls)


@pytest.fixture
def wary_peer(organisation: Organisation, user: Path) -> Iterator[ScriptedPeer]:
    """A peer that wants a TLS certificate of its clients, of the user's authority."""
    tls = organisation.peer / "tls"
    server = grpc.ssl_server_credentials(
        [((tls / "server.key").read_bytes(), (tls / "server.crt").read_bytes())],
        root_certificates=(user / "tls" / "ca.crt").read_bytes(),
        require_client_auth=True,
    )
    with ScriptedPeer(credentials=server) as peer:
        yield peer


def profile(organisation: Organisation, address: str = "127.0.0.1:7051") -> dict[str, Any]:
    """As fabric-samples' test-network writes `connection-org1.json`."""
    return {
        "name": "test-network-org1",
        "version": "1.0.0",
        "client": {"organization": "Org1", "connection": {"timeout": {"peer": {"endorser": "300"}}}},
        "organizations": {
            "Org1": {
                "mspid": "OrgMSP",
                "peers": ["peer0.org1.example.com"],
                "certificateAuthorities": ["ca.org1.example.com"],
            }
        },
        "peers": {
            "peer0.org1.example.com": {
                "url": f"grpcs://{address}",
                "tlsCACerts": {"pem": organisation.tls_authority.read_text()},
                "grpcOptions": {"ssl-target-name-override": "localhost", "hostnameOverride": "localhost"},
            }
        },
        "certificateAuthorities": {
            "ca.org1.example.com": {"url": "https://localhost:7054", "httpOptions": {"verify": False}}
        },
    }


def own_tls(user: Path) -> dict[str, Any]:
    """The part of a profile, in the form of the SDKs before the Gateway's, that is for mutual TLS."""
    return {
        "client": {
            "cert": {"path": str(user / "tls" / "client.crt")},
            "key": {"pem": (user / "tls" / "client.key").read_text()},
        }
    }


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_a_files_profile_and_identity_lead_to_the_peer(
    tmp_path: Path, organisation: Organisation, msp: Path, ending: str
) -> None:
    tls = organisation.peer / "tls"
    server = grpc.ssl_server_credentials(
        [((tls / "server.key").read_bytes(), (tls / "server.crt").read_bytes())]
    )
    with ScriptedPeer(credentials=server) as peer:
        fields = profile(organisation, peer.address)
        text = json.dumps(fields) if ending == "json" else yaml.safe_dump(fields)
        put(tmp_path / f"connection-org1.{ending}", text)
        put(tmp_path / "fabric.yaml", f"profile: connection-org1.{ending}\nmsp: {msp}\nchannel: {CHANNEL}\n")
        connection = load_connection(tmp_path / "fabric.yaml")
        with connection.open(connection.credentials(), QUICK) as gateway:
            network = gateway.network(connection.channel)
            assert network.contract("cc").evaluate("echo", "x") == b"x"


@pytest.mark.parametrize("written", ["peer", "dns:///", "grpcs://"])
def test_a_peer_may_be_given_without_a_profile(
    tmp_path: Path, organisation: Organisation, msp: Path, written: str
) -> None:
    tls = organisation.peer / "tls"
    server = grpc.ssl_server_credentials(
        [((tls / "server.key").read_bytes(), (tls / "server.crt").read_bytes())]
    )
    put(tmp_path / "ca.pem", organisation.tls_authority.read_bytes())
    (tmp_path / "id").symlink_to(msp)
    with ScriptedPeer(credentials=server) as peer:
        address = peer.address if written == "peer" else written + peer.address
        fields = {
            "peer": address,
            "tls_ca": "ca.pem",
            "host_override": "localhost",
            "msp_id": "OrgMSP",
            "certificate": "id/signcerts/cert.pem",
            "key": "id/keystore/key.pem",
        }
        put(tmp_path / "fabric.yaml", yaml.safe_dump(fields))
        connection = load_connection(tmp_path / "fabric.yaml")
        with connection.open(connection.credentials(), QUICK) as gateway:
            assert gateway.network(CHANNEL).contract("cc").evaluate("echo", "x") == b"x"


@pytest.mark.parametrize("form", ["of the profile", "of the file", "none"])
def test_a_peer_that_wants_a_certificate_of_its_clients_gets_one(
    tmp_path: Path, organisation: Organisation, msp: Path, user: Path, wary_peer: ScriptedPeer, form: str
) -> None:
    fields = profile(organisation, wary_peer.address)
    connection_fields: dict[str, Any] = {"profile": "connection.json", "msp": str(msp)}
    if form == "of the profile":
        fields["client"]["tlsCerts"] = own_tls(user)
    elif form == "of the file":
        connection_fields["client_certificate"] = str(user / "tls" / "client.crt")
        connection_fields["client_key"] = str(user / "tls" / "client.key")
    put(tmp_path / "connection.json", json.dumps(fields))
    put(tmp_path / "fabric.yaml", yaml.safe_dump(connection_fields))
    connection = load_connection(tmp_path / "fabric.yaml")
    with connection.open(connection.credentials(), QUICK) as gateway:
        contract = gateway.network(CHANNEL).contract("cc")
        if form == "none":
            with pytest.raises(EvaluateError):
                contract.evaluate("echo", "x")
            assert wary_peer.calls == []
        else:
            assert contract.evaluate("echo", "x") == b"x"


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:7051: Unwrap failed (TSI_DATA_CORRUPTED)",
            "no TLS connection .* it may want a TLS certificate of its clients: client_certificate and client_key",
        ),
        (
            grpc.StatusCode.UNKNOWN,
            "error validating proposal: access denied: channel [ch] creator org unknown, creator is malformed",
            "the peer knows no such MSP id, or not the authority of this certificate as one of it",
        ),
        (
            grpc.StatusCode.NOT_FOUND,
            "failed to get config for channel [ch]: could not get last config for channel ch",
            "the peer has not joined a channel of that name",
        ),
        (
            grpc.StatusCode.UNAVAILABLE,
            "no peers available to evaluate chaincode cc in channel ch",
            "is the chaincode committed on the channel, and installed on the peer",
        ),
        (
            grpc.StatusCode.FAILED_PRECONDITION,
            "no combination of peers can be derived which satisfy the endorsement policy: no peer combination can satisfy it",
            "the peer knows of too few endorsers: .* does each organisation have an anchor peer",
        ),
    ],
)
def test_what_fabric_says_of_a_wrong_connection_comes_with_the_way_out(
    peer: ScriptedPeer, gateway: Gateway, status: grpc.StatusCode, text: str, words: str
) -> None:
    """Fabric 3.1's own words, heard by trying; the first are gRPC's."""
    peer.plan["Evaluate"].extend([(status, text, ())] * 10)
    with pytest.raises(EvaluateError, match=words) as caught:
        gateway.network(CHANNEL).contract("cc").evaluate("echo", "x")
    assert not caught.value.unreachable


def test_a_request_for_blocks_says_which_tls_certificate_it_is_sent_with(
    alice: tuple[Identity, Signer], user: Path
) -> None:
    """A peer's Deliver service refuses it else; found by trying on Fabric."""
    tls = ClientTls.of(
        (user / "tls" / "client.crt").read_bytes(), (user / "tls" / "client.key").read_bytes(), "here"
    )
    envelope = common_pb2.Envelope.FromString(seek_envelope(*alice, CHANNEL, 0, tls.digest))
    header = common_pb2.ChannelHeader.FromString(
        common_pb2.Payload.FromString(envelope.payload).header.channel_header
    )
    assert header.tls_cert_hash == tls.digest
    assert len(tls.digest) == 32
    assert "PRIVATE" not in repr(tls)


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("tls/ca.crt", "tls/client.key", "does not belong to its TLS certificate"),
        ("tls/client.key", "tls/client.key", "TLS certificate is no PEM"),
        ("tls/client.crt", "tls/client.crt", "TLS key is no PEM"),
    ],
)
def test_client_tls_that_does_not_fit_is_refused(user: Path, certificate: str, key: str, words: str) -> None:
    with pytest.raises(CredentialError, match=f"here: the client's .*{words}"):
        ClientTls.of((user / certificate).read_bytes(), (user / key).read_bytes(), "here")


PEER = {"peer": "peer0:7051", "tls_ca": "ca.pem", "msp_id": "Org1MSP", "msp": "msp"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"msp": "msp"}, "give profile or peer, and not both"),
        ({**PEER, "profile": "connection.json"}, "give profile or peer, and not both"),
        ({"profile": "c.json", "msp_id": "Org1MSP"}, "tls_ca, host_override and msp_id go with peer"),
        ({**PEER, "peer": "peer0"}, "peer 'peer0' is not host:port"),
        ({**PEER, "peer": "http://peer0:7051"}, "'http://peer0:7051' is not grpcs://host:port"),
        ({**PEER, "msp_id": ""}, "peer takes msp_id beside it"),
        ({**PEER, "tls_ca": None}, "peer takes tls_ca beside it; a peer without TLS is written grpc://"),
        ({**PEER, "client_key": "k.pem"}, "client_certificate and client_key go together"),
        ({**PEER, "key": "k.pem"}, "key takes certificate beside it"),
        ({**PEER, "certificate": "c.pem"}, "msp and certificate are two ways to say who signs"),
        ({**PEER, "msp": None, "certificate": "c.pem"}, "certificate takes key or pkcs11 beside it"),
        ({**PEER, "identities": {"a": {}}}, "identities.a says not who signs"),
        (
            {**PEER, "identities": {"a": {"mps": "x"}}},
            "identities.a.mps: there is no such key; there are msp,",
        ),
        ({**PEER, "chanel": "x"}, "chanel: there is no such key; there are .*channel"),
        ([1], "fabric.yaml: Input should be a valid dictionary"),
        ({"organizations": {}}, "is a connection profile, which does not say who signs"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_sentence(tmp_path: Path, fields: object, words: str) -> None:
    path = put(tmp_path / "fabric.yaml", yaml.safe_dump(fields))
    with pytest.raises(CredentialError, match=words) as caught:
        load_connection(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_or_no_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match=r"none\.yaml cannot be read"):
        load_connection(tmp_path / "none.yaml")
    with pytest.raises(CredentialError, match=r"fabric\.yaml is not YAML"):
        load_connection(put(tmp_path / "fabric.yaml", "a: b: c"))


def test_who_signs_is_the_identity_of_that_name_or_the_connections_own_or_its_first(tmp_path: Path) -> None:
    fields = {**PEER, "identities": {"a": {"msp": "a"}, "b": {"msp": "b"}}}
    connection = load_connection(put(tmp_path / "fabric.yaml", yaml.safe_dump(fields)))
    assert connection.credentials("b").msp == tmp_path / "b"
    assert connection.credentials().msp == tmp_path / "msp"
    with pytest.raises(CredentialError, match="has no identity 'c'; it names a, b"):
        connection.credentials("c")
    del fields["msp"]
    connection = load_connection(put(tmp_path / "fabric.yaml", yaml.safe_dump(fields)))
    assert connection.credentials().msp == tmp_path / "a"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda f: f["client"].update(tlsCerts={"client": {"cert": {"pem": "x"}}}),
            "tlsCerts.client.key.path",
        ),
        (
            lambda f: f["client"].update(tlsCerts={"client": {"cert": {"path": "no"}, "key": {"pem": "x"}}}),
            r"client.tlsCerts.client.cert.path 'no': No such file",
        ),
        (
            lambda f: f["organizations"].update(Org2={"mspid": "x"}) or f.pop("client"),
            "no field client.organ",
        ),
    ],
)
def test_a_profile_that_lacks_something_says_what(
    tmp_path: Path, organisation: Organisation, change: Callable[[Any], object], words: str
) -> None:
    fields = profile(organisation)
    change(fields)
    with pytest.raises(CredentialError, match=words):
        read_profile(put(tmp_path / "connection.json", json.dumps(fields)))


def test_a_profile_of_one_organisation_need_not_name_it_and_may_list_authorities(
    tmp_path: Path, organisation: Organisation, alice: tuple[Identity, Signer]
) -> None:
    """As the SDK for Java reads it."""
    fields = profile(organisation)
    del fields["client"]
    authority = organisation.tls_authority.read_text()
    fields["peers"]["peer0.org1.example.com"]["tlsCACerts"]["pem"] = [authority, authority]
    peer = read_profile(put(tmp_path / "connection.json", json.dumps(fields)))
    assert peer.msp_id == "OrgMSP"
    connect_peer(peer, *alice).close()
