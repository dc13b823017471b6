"""Chaincode services that come late, go away, hang, or are not what they should be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from quorumlearn_network.devnet import Devnet

from tests.network.devnet.conftest import MEMBERS, PACKAGE, Members, Net, make_config
from tests.network.devnet.kv_chaincode import KeyValueService
from tests.network.devnet.raw_gateway import Client, details_of


def serve_at(service: KeyValueService, members: Members, folder: Path, **changes: object) -> Net:
    services = {name: {"kv": service.address} for name in MEMBERS}
    config = make_config(members, folder / "ledger.sqlite", services, **changes)
    devnet = Devnet(config)
    devnet.start()
    return Net(devnet, members, config, [service])


@pytest.fixture
def quick(members: Members, tmp_path: Path) -> Iterator[Net]:
    """A devnet that gives a chaincode half a second."""
    service = KeyValueService(PACKAGE).start()
    net = serve_at(service, members, tmp_path, execute_timeout_ms=500)
    yield net
    net.close()


def failure(client: Client, *args: str) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as failed:
        client.endorse(*args)
    return failed.value


def test_a_chaincode_that_hangs_times_out_alone(quick: Net) -> None:
    client = quick.client("V1MSP")
    error = failure(client, "hang")
    assert error.code() is grpc.StatusCode.ABORTED
    ((msp_id, message),) = details_of(error)
    assert msp_id == "V1MSP"
    assert message.startswith("error in simulation: failed to execute transaction ")
    assert message.endswith("error sending: timeout expired while executing transaction")
    assert client.submit("put", "after", "x").code == "VALID"


def test_a_stream_that_breaks_ends_its_transactions_and_is_dialled_again(quick: Net) -> None:
    client = quick.client("V1MSP")
    ((_, message),) = details_of(failure(client, "crash"))
    assert message.endswith("chaincode stream terminated")
    assert client.submit("put", "after", "x").code == "VALID"


def test_a_service_that_restarts_is_found_again(members: Members, tmp_path: Path) -> None:
    service = KeyValueService(PACKAGE).start()
    net = serve_at(service, members, tmp_path)
    client = net.client("V1MSP")
    assert client.submit("put", "before", "x").code == "VALID"
    service.stop()
    replacement = KeyValueService(PACKAGE, service.port).start()
    net.services = [replacement]
    deadline = time.monotonic() + 30
    while True:
        try:
            assert client.submit("put", "after", "x").code == "VALID"
            break
        except grpc.RpcError:
            if time.monotonic() > deadline:
                raise
    net.close()


def test_a_service_that_is_not_there_is_named(members: Members, tmp_path: Path) -> None:
    service = KeyValueService(PACKAGE)
    net = serve_at(service, members, tmp_path, chaincode_connect_ms=100)
    ((_, message),) = details_of(failure(net.client("V1MSP"), "get", "k"))
    assert f"could not launch chaincode {PACKAGE}: no chaincode service at {service.address}" in message
    service.start()
    client = net.client("V2MSP")
    deadline = time.monotonic() + 30
    while True:
        try:
            client.evaluate("get", "k")
            break
        except grpc.RpcError:
            if time.monotonic() > deadline:
                raise
    net.close()


def test_a_service_with_another_package_id_is_named(members: Members, tmp_path: Path) -> None:
    service = KeyValueService("kv_2.0:1111").start()
    net = serve_at(service, members, tmp_path, chaincode_connect_ms=2000)
    ((_, message),) = details_of(failure(net.client("V1MSP"), "get", "k"))
    assert "the service registered as 'kv_2.0:1111', not as 'kv_1.0:0000'" in message
    net.close()


def test_one_organisations_service_down_is_made_up_for_by_another(members: Members, tmp_path: Path) -> None:
    service = KeyValueService(PACKAGE).start()
    gone = KeyValueService(PACKAGE)
    services = {name: {"kv": gone.address if name == "V2MSP" else service.address} for name in MEMBERS}
    config = make_config(members, tmp_path / "ledger.sqlite", services, chaincode_connect_ms=100)
    net = Net(Devnet(config), members, config, [service, gone])
    net.devnet.start()
    client = net.client("V1MSP")
    assert client.evaluate("get", "k") == b""
    assert client.submit("put", "k", "x").code == "VALID"
    net.close()
