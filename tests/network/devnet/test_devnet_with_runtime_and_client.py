"""The project's own chaincode runtime and gateway client, meeting on a devnet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from quorumlearn.gateway import (
    CommitError,
    EndorseError,
    EvaluateError,
    Gateway,
    connect,
    load_msp,
    read_block,
)
from quorumlearn.gateway.contract import NEW_KEY_RACE
from quorumlearn_chaincode.runtime import (
    ChaincodeService,
    ChaincodeStub,
    Response,
    Role,
    ServiceSettings,
    signature_policy,
)
from quorumlearn_network.devnet import Devnet
from quorumlearn_network.identities import ensure_user

from tests.network.devnet.conftest import MEMBERS, POLICY, Members, make_config
from tests.network.devnet.ed25519_identity import ed25519_identity
from tests.network.devnet.raw_gateway import CHANNEL

PACKAGE = "kv_1.0:" + "0" * 64


class Ledgered:
    """A chaincode that uses most of the stub."""

    def init(self, stub: ChaincodeStub) -> Response:
        return Response(status=500, message="there is no init")

    def invoke(self, stub: ChaincodeStub) -> Response:
        name, args = stub.function_and_parameters()
        if name == "increment":
            value = int(stub.get_state(args[0]) or b"0") + 1
            stub.put_state(args[0], str(value).encode())
            return Response(payload=str(value).encode())
        if name == "pair":
            stub.put_state(stub.create_composite_key("pair", args[:2]), args[2].encode())
            stub.set_event("paired", "/".join(args).encode())
            return Response()
        if name == "pairs":
            found = stub.get_state_by_partial_composite_key("pair", args)
            pairs = [(stub.split_composite_key(key)[1], value.decode()) for key, value in found]
            return Response(payload=json.dumps(pairs).encode())
        if name == "simple":
            return Response(payload=json.dumps([key for key, _ in stub.get_state_by_range("", "")]).encode())
        if name == "history":
            entries = [
                (entry.transaction_id, entry.value.decode()) for entry in stub.get_history_for_key(args[0])
            ]
            return Response(payload=json.dumps(entries).encode())
        if name == "guard":
            stub.put_state(args[0], b"guarded")
            stub.set_state_validation_parameter(
                args[0], signature_policy(len(args) - 1, [(name, Role.PEER) for name in args[1:]])
            )
            return Response()
        if name == "who":
            return Response(payload=f"{stub.client.msp_id}/{stub.client.name}".encode())
        return Response(status=404, message=f"no function {name}")


@pytest.fixture(scope="module")
def gateways(members: Members, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Gateway]]:
    service = ChaincodeService(Ledgered(), ServiceSettings(package_id=PACKAGE, address="127.0.0.1:0"))
    address = service.start()
    chaincode = {"name": "kv", "package_id": PACKAGE, "version": "1.0", "sequence": 1, "policy": POLICY}
    config = make_config(
        members,
        tmp_path_factory.mktemp("own") / "ledger.sqlite",
        {name: {"kv": address} for name in MEMBERS},
        chaincodes=[chaincode],
    )
    with Devnet(config) as devnet:
        opened = {}
        for name in MEMBERS:
            organisation = members.organisations[name]
            identity, signer = load_msp(ensure_user(organisation, "user"), name)
            opened[name] = connect(
                devnet.addresses[name],
                identity,
                signer,
                tls_root=Path(organisation.tls_authority).read_bytes(),
            )
        yield opened
        for gateway in opened.values():
            gateway.close()
    service.stop()


def test_concurrent_increments_are_all_counted(gateways: dict[str, Gateway]) -> None:
    contracts = [gateway.network(CHANNEL).contract("kv") for gateway in gateways.values()]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda i: int(contracts[i % 4].submit("increment", "shared")), range(8)))
    assert sorted(results) == list(range(1, 9))
    history = json.loads(contracts[0].evaluate("history", "shared"))
    assert [int(value) for _, value in history] == list(range(8, 0, -1))


def test_composite_keys_events_and_identities(gateways: dict[str, Gateway]) -> None:
    network = gateways["OwnerMSP"].network(CHANNEL)
    contract = network.contract("kv")
    for second in ("b", "a"):
        contract.submit("pair", "one", second, f"value {second}")
    assert json.loads(contract.evaluate("pairs", "one")) == [
        [["one", "a"], "value a"],
        [["one", "b"], "value b"],
    ]
    assert "\x00" not in "".join(json.loads(contract.evaluate("simple")))
    with network.chaincode_events("kv", start=0) as events:
        found = [next(iter(events)) for _ in range(2)]
    assert [(event.name, event.payload) for event in found] == [
        ("paired", b"one/b/value b"),
        ("paired", b"one/a/value a"),
    ]
    assert contract.evaluate("who") == b"OwnerMSP/user"


def test_key_policies_of_the_runtime_decide_who_endorses(gateways: dict[str, Gateway]) -> None:
    contract = gateways["V1MSP"].network(CHANNEL).contract("kv")
    peers = ("OwnerMSP", "V2MSP")
    contract.submit("guard", "kept", *peers)
    contract.submit("guard", "kept", *peers)
    with pytest.raises(CommitError) as failed:
        contract.submit("guard", "kept", *peers, endorsing_organisations=["V1MSP", "V2MSP"])
    assert "ENDORSEMENT_POLICY_FAILURE" in str(failed.value)


def test_of_two_who_make_a_key_with_a_policy_at_the_same_time_nobody_fails(
    gateways: dict[str, Gateway],
) -> None:
    """Played until one has lost the race: in one block the second is held to the policy that the first has just set."""
    networks = [gateways[name].network(CHANNEL) for name in ("V1MSP", "V2MSP")]
    begin = networks[0].chain_info().height
    numbers = iter(range(50))
    codes: list[str] = []
    while NEW_KEY_RACE not in codes:
        args = ("guard", f"new {next(numbers)}", "OwnerMSP", "V2MSP")
        with ThreadPoolExecutor(2) as pool:
            made = [pool.submit(one.contract("kv").submit, *args) for one in networks]
        assert [one.result() for one in made] == [b"", b""]
        blocks = map(networks[0].block, range(begin, networks[0].chain_info().height))
        codes = [one.code for block in blocks for one in read_block(block).transactions]


def test_errors_carry_the_peers_words(gateways: dict[str, Gateway]) -> None:
    contract = gateways["V1MSP"].network(CHANNEL).contract("kv")
    with pytest.raises(EvaluateError, match="no function nothing"):
        contract.evaluate("nothing")
    with pytest.raises(EndorseError, match="no function nothing"):
        contract.submit("nothing")


def test_blocks_read_through_the_client(gateways: dict[str, Gateway]) -> None:
    network = gateways["V2MSP"].network(CHANNEL)
    height = network.chain_info().height
    with network.block_events(start=0) as blocks:
        numbers = [next(iter(blocks)).header.number for _ in range(height)]
    assert numbers == list(range(height))


def test_an_identity_with_an_ed25519_key_acts_as_any_other(
    gateways: dict[str, Gateway], members: Members, tmp_path: Path
) -> None:
    organisation = members.organisations["OwnerMSP"]
    identity = load_msp(ed25519_identity(organisation, "edward", tmp_path / "msp"), "OwnerMSP")
    endpoint, root = gateways["OwnerMSP"].endpoint, organisation.tls_authority.read_bytes()
    with connect(endpoint, *identity, tls_root=root) as gateway:
        contract = gateway.network(CHANNEL).contract("kv")
        assert contract.submit("increment", "by-edward") == b"1"
        assert contract.evaluate("who") == b"OwnerMSP/edward"
