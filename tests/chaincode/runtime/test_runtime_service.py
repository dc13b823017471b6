"""Starting and stopping: settings, TLS, signals, the program."""

from __future__ import annotations

import datetime
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from quorumlearn_chaincode.runtime import (
    ChaincodeError,
    ChaincodeService,
    ChaincodeStub,
    Response,
    ServiceError,
    ServiceSettings,
    TlsCredentials,
    tls_from_environment,
)

from tests.chaincode.runtime.conftest import PACKAGE_ID, Functions
from tests.chaincode.runtime.fake_peer import DEADLINE, FakePeer

Start = Callable[..., str]
Dial = Callable[..., FakePeer]


def echo(stub: ChaincodeStub) -> Response:
    return Response(payload=b"|".join(stub.args()[1:]))


@pytest.mark.parametrize(
    "package_id",
    [
        "",
        "market",
        "market:",
        ":" + "5f" * 32,
        "market:xyz",
        "market:" + "5F" * 32,
        "a b:" + "5f" * 32,
        PACKAGE_ID + "\n",
    ],
)
def test_a_package_id_that_no_peer_could_have_is_refused(package_id: str) -> None:
    with pytest.raises(ServiceError, match="CHAINCODE_ID"):
        ServiceSettings(package_id=package_id, address="127.0.0.1:0")


@pytest.mark.parametrize(
    "address", ["", "localhost", "localhost:", "localhost:http", "localhost:65536", "a:b:1"]
)
def test_an_address_without_a_port_is_refused(address: str) -> None:
    with pytest.raises(ServiceError, match="CHAINCODE_SERVER_ADDRESS"):
        ServiceSettings(package_id=PACKAGE_ID, address=address)


@pytest.mark.parametrize(
    ("name", "value"),
    [("workers", 0), ("max_peers", 0), ("reply_timeout", 0.0), ("registration_timeout", float("nan"))],
)
def test_a_setting_that_cannot_work_is_refused(name: str, value: float) -> None:
    with pytest.raises(ServiceError, match=name):
        ServiceSettings(package_id=PACKAGE_ID, address="127.0.0.1:0", **{name: value})  # type: ignore[arg-type]


def test_an_address_in_use_is_refused_with_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        service = ChaincodeService(Functions({}), ServiceSettings(package_id=PACKAGE_ID, address=address))
        with pytest.raises(ServiceError, match=f"cannot listen on {address}"):
            service.start()


def test_a_status_that_is_no_error_is_refused() -> None:
    with pytest.raises(ValueError, match="status 200 is not an error"):
        ChaincodeError("x", 200)


def test_more_peers_than_allowed_are_turned_away(start: Start, dial: Dial) -> None:
    address = start({"echo": echo}, max_peers=1)
    first = dial(address).wait_ready()
    assert dial(address).ended.result(DEADLINE) == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert first.transact("echo", "x").payload == b"x"


def test_a_stopping_service_lets_transactions_finish_and_takes_no_new_ones(dial: Dial) -> None:
    entered, release = threading.Event(), threading.Event()

    def block(stub: ChaincodeStub) -> Response:
        entered.set()
        assert release.wait(DEADLINE)
        return Response(payload=b"done")

    settings = ServiceSettings(package_id=PACKAGE_ID, address="127.0.0.1:0", drain_timeout=DEADLINE)
    service = ChaincodeService(Functions({"block": block, "echo": echo}), settings)
    peer = dial(service.start()).wait_ready()
    _, blocked = peer.begin("block")
    assert entered.wait(DEADLINE)
    stopper = threading.Thread(target=service.stop)
    stopper.start()
    end = time.monotonic() + DEADLINE
    while "service is stopping" not in (outcome := peer.transact("echo", "x")).message:
        assert outcome.status == 200
        assert time.monotonic() < end
    release.set()
    assert blocked.result(DEADLINE).payload == b"done"
    stopper.join(DEADLINE)
    assert peer.ended.result(DEADLINE) == grpc.StatusCode.OK


@dataclass
class Issued:
    """A certificate with its key, as PEM."""

    key: bytes
    certificate: bytes


def issue(name: str, by: Issued | None = None) -> Issued:
    """A CA, or a certificate of one for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, issuer = key, subject
    if by is not None:
        loaded = serialization.load_pem_private_key(by.key, None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer, issuer = loaded, x509.load_pem_x509_certificate(by.certificate).subject
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    return Issued(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
    )


@pytest.fixture(scope="module")
def authority() -> Issued:
    return issue("ca")


def test_with_tls_only_peers_of_the_named_authority_get_in(
    start: Start, dial: Dial, authority: Issued
) -> None:
    own, peer, stranger = (
        issue("service", authority),
        issue("peer", authority),
        issue("stranger", issue("other ca")),
    )
    tls = TlsCredentials(own.key, own.certificate, authority.certificate)
    address = start({"echo": echo}, tls=tls)

    def credentials(identity: Issued | None) -> grpc.ChannelCredentials:
        if identity is None:
            return grpc.ssl_channel_credentials(authority.certificate)
        return grpc.ssl_channel_credentials(authority.certificate, identity.key, identity.certificate)

    assert dial(address, credentials=credentials(peer)).wait_ready().transact("echo", "x").payload == b"x"
    for refused in (credentials(None), credentials(stranger), None):
        assert dial(address, credentials=refused).ended.result(DEADLINE) == grpc.StatusCode.UNAVAILABLE


def test_without_a_client_authority_tls_takes_any_peer(start: Start, dial: Dial, authority: Issued) -> None:
    own = issue("service", authority)
    address = start({"echo": echo}, tls=TlsCredentials(own.key, own.certificate))
    credentials = grpc.ssl_channel_credentials(authority.certificate)
    assert dial(address, credentials=credentials).wait_ready().transact("echo", "x").payload == b"x"


def test_tls_files_are_read_and_checked_at_the_start(tmp_path: Path, authority: Issued) -> None:
    own, other = issue("service", authority), issue("other", authority)
    names = {"KEY": own.key, "CERT": own.certificate, "OTHER": other.certificate, "NOISE": b"noise"}
    for name, content in names.items():
        (tmp_path / name).write_bytes(content)
    files = {
        "CHAINCODE_TLS_DISABLED": "false",
        "CHAINCODE_TLS_KEY": str(tmp_path / "KEY"),
        "CHAINCODE_TLS_CERT": str(tmp_path / "CERT"),
    }
    tls = tls_from_environment(files | {"CHAINCODE_CLIENT_CA_CERT": str(tmp_path / "OTHER")})
    assert tls == TlsCredentials(own.key, own.certificate, other.certificate)
    assert "PRIVATE" not in repr(tls)
    assert tls_from_environment({}) is None
    assert tls_from_environment(files | {"CHAINCODE_TLS_DISABLED": "true"}) is None
    for change, said in [
        ({"CHAINCODE_TLS_DISABLED": "maybe"}, "CHAINCODE_TLS_DISABLED"),
        ({"CHAINCODE_TLS_KEY": ""}, "CHAINCODE_TLS_KEY is not set"),
        ({"CHAINCODE_TLS_CERT": str(tmp_path / "gone")}, "CHAINCODE_TLS_CERT: .* cannot be read"),
        ({"CHAINCODE_TLS_KEY": str(tmp_path / "NOISE")}, "TLS key is not"),
        ({"CHAINCODE_TLS_CERT": str(tmp_path / "NOISE")}, "TLS certificate is not PEM"),
        ({"CHAINCODE_TLS_CERT": str(tmp_path / "OTHER")}, "not of the TLS key"),
        ({"CHAINCODE_CLIENT_CA_CERT": str(tmp_path / "NOISE")}, "client CA"),
    ]:
        with pytest.raises(ServiceError, match=said):
            tls_from_environment(files | change)


PROGRAM = f"""
import sys, threading
from quorumlearn_chaincode.runtime import Response, ServiceSettings, serve

class Stuck:
    def init(self, stub):
        return Response()

    def invoke(self, stub):
        threading.Event().wait()

settings = ServiceSettings(package_id={PACKAGE_ID!r}, address="127.0.0.1:0")
serve(Stuck(), settings, lambda at: print(at, flush=True))
print("stopped")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_service_even_with_a_contract_that_never_returns(
    dial: Dial, number: signal.Signals
) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            peer = dial(process.stdout.readline().strip()).wait_ready()
            peer.begin("stuck")
            process.send_signal(number)
            assert process.wait(DEADLINE) == 0
            assert process.stdout.read() == "stopped\n"
        finally:
            process.kill()
    assert peer.ended.result(DEADLINE) is not None


def run_program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHAINCODE_")}
    return subprocess.run(
        [sys.executable, "-m", "quorumlearn_chaincode", *arguments],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_the_program_says_what_its_environment_lacks() -> None:
    missing = run_program("--address", "127.0.0.1:0")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.startswith("quorumlearn_chaincode: no package id: set CHAINCODE_ID")
    wrong = run_program(CHAINCODE_ID=PACKAGE_ID, CHAINCODE_SERVER_ADDRESS="nowhere")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "'nowhere' is not host:port" in wrong.stderr


def test_the_programs_help_shows_an_example() -> None:
    shown = run_program("--help")
    assert shown.returncode == 0
    assert "CHAINCODE_ID=quorumlearn_1.0:" in shown.stdout
