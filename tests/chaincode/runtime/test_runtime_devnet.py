"""The runtime under the devnet: two organisations' peers, each with a service of its own, and a gateway client."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from quorumlearn.gateway import CommitError, Contract, EndorseError, EvaluateError, Network, connect, load_msp
from quorumlearn_chaincode.runtime import (
    ChaincodeError,
    ChaincodeService,
    ChaincodeStub,
    OutOf,
    Response,
    ServiceSettings,
    SignedBy,
    policy_bytes,
)
from quorumlearn_network.devnet import Devnet, DevnetConfig
from quorumlearn_network.identities import ensure_orderer, ensure_peer, ensure_user, open_organisation

from tests.chaincode.runtime.conftest import PACKAGE_ID, Functions

LOCAL = ("127.0.0.1",)
DEADLINE = 30.0


def put(stub: ChaincodeStub) -> Response:
    _, pairs = stub.function_and_parameters()
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        stub.put_state(key, value.encode())
    stub.set_event("put", pairs[0].encode())
    return Response(payload=stub.client.name.encode())


def count(stub: ChaincodeStub) -> Response:
    pairs = list(stub.get_state_by_range("", ""))
    return Response(payload=json.dumps([len(pairs), pairs[0][0], pairs[-1][0]]).encode())


def history(stub: ChaincodeStub) -> Response:
    _, (key,) = stub.function_and_parameters()
    return Response(payload=json.dumps([h.value.decode() for h in stub.get_history_for_key(key)]).encode())


def guard(stub: ChaincodeStub) -> Response:
    """Puts a key under a policy that both organisations must satisfy."""
    _, (key,) = stub.function_and_parameters()
    policy = policy_bytes(OutOf(2, (SignedBy("Org1MSP"), SignedBy("Org2MSP"))))
    stub.put_state(key, b"guarded")
    stub.set_state_validation_parameter(key, policy)
    return Response()


def policy_of(stub: ChaincodeStub) -> Response:
    _, (key,) = stub.function_and_parameters()
    return Response(payload=stub.get_state_validation_parameter(key))


def increment(stub: ChaincodeStub) -> Response:
    value = int(stub.get_state("counter") or b"0") + 1
    stub.put_state("counter", str(value).encode())
    return Response(payload=str(value).encode())


def page(stub: ChaincodeStub) -> Response:
    _, (bookmark,) = stub.function_and_parameters()
    pairs, following = stub.get_state_by_range_with_pagination("k", "l", 100, bookmark)
    return Response(payload=json.dumps([len(pairs), following]).encode())


def several(stub: ChaincodeStub) -> Response:
    _, keys = stub.function_and_parameters()
    return Response(payload=b"|".join(stub.get_multiple_states(keys)))


def secret(stub: ChaincodeStub) -> Response:
    return Response(payload=stub.transient["secret"])


def refuse(stub: ChaincodeStub) -> Response:
    raise ChaincodeError("[NOT_DUE] nothing is due", 425)


FUNCTIONS = Functions(
    {
        "put": put,
        "count": count,
        "history": history,
        "guard": guard,
        "policy": policy_of,
        "increment": increment,
        "page": page,
        "several": several,
        "secret": secret,
        "refuse": refuse,
    }
)


@dataclass
class Running:
    network: Network
    contract: Contract
    services: list[ChaincodeService]
    addresses: list[str]


def service_at(address: str) -> tuple[ChaincodeService, str]:
    service = ChaincodeService(FUNCTIONS, ServiceSettings(PACKAGE_ID, address, drain_timeout=0.2))
    return service, service.start()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("devnet")
    orderer = open_organisation(root, "orderer", "OrdererMSP")
    ensure_orderer(orderer, LOCAL)
    services, addresses, entries = [], [], []
    organisations = [open_organisation(root, f"org{i}", f"Org{i}MSP") for i in (1, 2)]
    for organisation in organisations:
        service, address = service_at("127.0.0.1:0")
        services.append(service)
        addresses.append(address)
        ensure_peer(organisation, LOCAL)
        entries.append(
            {
                "msp_id": organisation.msp_id,
                "name": organisation.name,
                "msp": organisation.peer / "msp",
                "tls": organisation.peer / "tls",
                "address": "127.0.0.1:0",
                "chaincode": {"functions": address},
            }
        )
    config = DevnetConfig.model_validate(
        {
            "channel": "channel",
            "ledger": root / "ledger.sqlite",
            "orderer": {"msp_id": orderer.msp_id, "msp": orderer.orderer / "msp"},
            "organisations": entries,
            "chaincode_connect_ms": 1000,
            "chaincodes": [
                {
                    "name": "functions",
                    "package_id": PACKAGE_ID,
                    "version": "1",
                    "policy": "OR('Org1MSP.peer','Org2MSP.peer')",
                }
            ],
        }
    )
    first = organisations[0]
    identity, signer = load_msp(ensure_user(first, "alice"), first.msp_id)
    with Devnet(config) as devnet:
        endpoint = devnet.addresses[first.msp_id]
        tls_root = first.tls_authority.read_bytes()
        with connect(endpoint, identity, signer, tls_root=tls_root) as gateway:
            network = gateway.network("channel")
            contract = network.contract("functions")
            yield Running(network, contract, services, addresses)
    for service in services:
        service.stop()


def test_what_is_put_is_committed_and_known_by_its_submitter(running: Running) -> None:
    assert running.contract.submit("put", "a", "1", "b", "2") == b"alice"
    assert running.contract.evaluate("several", "a", "none", "b") == b"1||2"


def test_an_event_reaches_the_client(running: Running) -> None:
    with running.network.chaincode_events("functions", start=0) as events:
        running.contract.submit("put", "event-key", "1")
        assert any(event.payload == b"event-key" and event.name == "put" for event in events)


def test_ranges_pages_and_histories_agree_with_what_was_written(running: Running) -> None:
    pairs = [text for i in range(250) for text in (f"k{i:03}", "v")]
    running.contract.submit("put", *pairs)
    total, _, _ = json.loads(running.contract.evaluate("count"))
    assert total >= 250
    sizes: list[int] = []
    bookmark = ""
    while not sizes or bookmark:
        size, bookmark = json.loads(running.contract.evaluate("page", bookmark))
        sizes.append(size)
    assert sum(sizes) == 250
    for value in ("1", "2", "3"):
        running.contract.submit("put", "versions", value)
    assert json.loads(running.contract.evaluate("history", "versions")) == ["3", "2", "1"]


def test_transient_data_reaches_the_contract(running: Running) -> None:
    assert running.contract.evaluate("secret", transient={"secret": b"\x00s"}) == b"\x00s"


def test_a_refusal_reaches_the_caller_word_for_word(running: Running) -> None:
    with pytest.raises(EvaluateError, match=r"\[NOT_DUE\] nothing is due"):
        running.contract.evaluate("refuse")
    with pytest.raises(EndorseError, match=r"\[NOT_DUE\] nothing is due"):
        running.contract.submit("refuse")


def test_a_keys_policy_is_enforced_as_it_was_set(running: Running) -> None:
    running.contract.submit("guard", "guarded")
    assert running.contract.evaluate("policy", "guarded") == policy_bytes(
        OutOf(2, (SignedBy("Org1MSP"), SignedBy("Org2MSP")))
    )
    with pytest.raises(CommitError) as invalid:
        running.contract.submit("put", "guarded", "mine", endorsing_organisations=["Org1MSP"])
    assert invalid.value.code == "ENDORSEMENT_POLICY_FAILURE"
    running.contract.submit("put", "guarded", "ours", endorsing_organisations=["Org1MSP", "Org2MSP"])
    assert running.contract.evaluate("several", "guarded") == b"ours"


def test_many_at_once_all_commit(running: Running) -> None:
    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(lambda i: running.contract.submit("put", f"m{i}", "1"), range(64)))
    assert done == [b"alice"] * 64
    assert running.contract.evaluate("several", *(f"m{i}" for i in range(64))) == b"|".join([b"1"] * 64)


def test_counting_at_once_loses_no_count(running: Running) -> None:
    with ThreadPoolExecutor(4) as pool:
        counted = list(pool.map(lambda _: int(running.contract.submit("increment")), range(12)))
    assert sorted(counted) == list(range(1, 13))


def test_a_service_that_comes_back_is_found_again(running: Running) -> None:
    running.services[0].stop()
    with pytest.raises(EvaluateError):
        running.contract.evaluate("several", "a", endorsing_organisations=["Org1MSP"])
    running.services[0], address = service_at(running.addresses[0])
    assert address == running.addresses[0]
    end = time.monotonic() + DEADLINE
    while True:
        try:
            running.contract.evaluate("several", "a", endorsing_organisations=["Org1MSP"])
            break
        except EvaluateError:
            assert time.monotonic() < end, "the service was not found again"
