"""Software that we did not write: Fabric's own gateway client and chaincode runtime for Node, on every network."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from fabric_protos.peer import transaction_pb2

from tests.conformance import node_packages
from tests.conformance.network import KINDS, OWNER, VERIFIERS, Network, running, why_not
from tests.network.devnet.raw_gateway import CHANNEL, details_of

pytestmark = pytest.mark.timeout(900)  # the first run waits for npm


@pytest.fixture(scope="session")
def modules() -> Path:
    reason = node_packages.why_not()
    if reason is not None:
        pytest.skip(reason)
    found = node_packages.installed()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def seen(network: Network, modules: Path) -> dict[str, Any]:
    """What the Node client reports."""
    msp = network.organisation(OWNER).user("user")
    key = msp / "keystore" / "key.pem"
    given = {
        "address": network.address(OWNER),
        "tlsCa": str(network.organisation(OWNER).tls_authority),
        "mspId": OWNER,
        "certificate": str(msp / "signcerts" / "cert.pem"),
        "key": str(key),
        "channel": CHANNEL,
        "chaincode": "kv",
        "quorum": list(VERIFIERS[:2]),
    }
    serialization.load_pem_private_key(key.read_bytes(), None)
    done = subprocess.run(
        ["node", str(node_packages.SOURCES / "client.js"), json.dumps(given)],
        env={**os.environ, node_packages.MODULES: str(modules)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_node_client_submits_and_evaluates(seen: dict[str, Any]) -> None:
    assert (seen["submitted"], seen["evaluated"], seen["named"]) == ("ok", "value", "ok")
    result, *rest = seen["asynchronous"]
    assert int(result) >= 1
    assert rest == [True, 0, True, True]
    assert json.loads(seen["transient"]) == {"secret": "hidden"}


def test_the_node_client_raises_its_own_errors_with_every_peers_words(seen: dict[str, Any]) -> None:
    refused = [[OWNER, "chaincode response 500, not today", True]]
    codes = grpc.StatusCode
    assert seen["refusals"]["evaluate"] == {
        "type": "GatewayError",
        "code": codes.UNKNOWN.value[0],
        "details": refused,
    }
    assert seen["refusals"]["endorse"] == {
        "type": "EndorseError",
        "code": codes.ABORTED.value[0],
        "details": refused,
    }
    disagree = seen["refusals"]["disagree"]
    assert (disagree["type"], disagree["code"]) == ("EndorseError", codes.ABORTED.value[0])
    assert {message for _, message, _ in disagree["details"]} == {"ProposalResponsePayloads do not match"}
    assert seen["refusals"]["unknown"]["code"] == codes.FAILED_PRECONDITION.value[0]
    assert seen["refusals"]["commit"] == {
        "type": "CommitError",
        "code": transaction_pb2.ENDORSEMENT_POLICY_FAILURE,
        "details": [],
    }


def test_the_node_client_sees_a_conflict(seen: dict[str, Any]) -> None:
    assert seen["conflict"] == [transaction_pb2.VALID, transaction_pb2.MVCC_READ_CONFLICT]


def test_the_node_client_signs_away_from_the_connection(seen: dict[str, Any]) -> None:
    assert seen["offline"] is True


def test_the_node_client_follows_events_and_resumes_at_a_checkpoint(seen: dict[str, Any]) -> None:
    assert seen["started"] == [["kv", "node-event", payload] for payload in "012"]
    assert seen["resumed"] == [["kv", "node-event", "2"]]


def test_the_node_client_follows_blocks_of_every_kind(seen: dict[str, Any]) -> None:
    assert seen["blocks"] == [1, 2, 3]
    assert seen["filtered"] == [[number, CHANNEL, True] for number in (1, 2, 3)]
    assert seen["private"] == [[2, 0]]
    assert seen["qscc"] is True


@pytest.fixture(scope="module", params=KINDS)
def hosting(
    request: pytest.FixtureRequest, modules: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Network]:
    """A network whose chaincode runs on the official Node runtime."""
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(node_packages.MODULES, str(modules))
        folder = tmp_path_factory.mktemp(f"node-{request.param}") / "network"
        with running(request.param, folder, "tests.conformance.node_chaincode") as found:
            yield found


def test_a_node_chaincode_reads_and_writes(hosting: Network) -> None:
    hosting.must_submit("put", "a", "1")
    hosting.must_submit("increment", "n")
    hosting.must_submit("increment", "n")
    hosting.must_submit("delete", "a")
    assert [hosting.owner.evaluate("get", key) for key in ("a", "n")] == [b"", b"2"]
    found = json.loads(hosting.owner.evaluate("history", "a"))
    assert [(value, deleted) for _, value, deleted in found] == [("", True), ("1", False)]
    assert json.loads(hosting.owner.evaluate("who")) == [OWNER, CHANNEL, True]


def test_a_node_chaincode_reads_ranges_pages_and_composite_keys(hosting: Network) -> None:
    hosting.must_submit("fill", "f", "120")
    found = json.loads(hosting.owner.evaluate("range", "f", "g"))
    assert found == [f"f{number:04}" for number in range(120)]
    assert json.loads(hosting.owner.evaluate("page", "f", "g", "2", "")) == [["f0000", "f0001"], "f0002", 2]
    assert json.loads(hosting.owner.evaluate("page", "f0118", "g", "2", "")) == [["f0118", "f0119"], "", 2]
    for last in "12":
        hosting.must_submit("composite", f"v{last}", "pair", "a", last)
    hosting.must_submit("composite", "v3", "pair", "b", "1")
    assert json.loads(hosting.owner.evaluate("composites", "pair", "a")) == [
        ["a", "1", "v1"],
        ["a", "2", "v2"],
    ]


def test_a_node_chaincode_may_write_empty_keys_and_values(hosting: Network) -> None:
    """Fabric's peers let it: an empty value deletes, an empty key is in no range."""
    hosting.must_submit("put", "", "under no name")
    assert hosting.owner.evaluate("get", "") == b"under no name"
    hosting.must_submit("put", "e1", "x")
    hosting.must_submit("put", "e2", "x")
    hosting.must_submit("put", "e1", "")
    assert json.loads(hosting.owner.evaluate("range", "e", "f")) == ["e2"]
    assert "" not in json.loads(hosting.owner.evaluate("range", "", ""))
    found = json.loads(hosting.owner.evaluate("history", "e1"))
    assert [(value, deleted) for _, value, deleted in found] == [("", True), ("x", False)]


def test_a_node_chaincode_guards_keys(hosting: Network) -> None:
    hosting.must_submit("guard", "g", "1", OWNER)
    assert json.loads(hosting.owner.evaluate("guards", "g")) == [OWNER]
    assert hosting.submit("put", "g", "2", orgs=VERIFIERS[:2]).code == "ENDORSEMENT_POLICY_FAILURE"
    assert hosting.submit("put", "g", "3", orgs=[OWNER]).code == "VALID"


def test_a_node_chaincode_emits_events_and_takes_transient_data(hosting: Network) -> None:
    committed = hosting.must_submit("event", "from-node", "payload")
    call = hosting.verifier.events(start=committed.block)
    event = next(call).events[0]
    call.cancel()  # type: ignore[attr-defined]
    assert (event.event_name, event.payload, event.tx_id) == ("from-node", b"payload", committed.txid)
    assert json.loads(hosting.owner.evaluate("transient", transient={"k": b"v"})) == {"k": "v"}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("refuse", "not today"), "not today"),
        (("rich",), "ExecuteQuery not supported for leveldb"),
        (("nonsense",), "no function nonsense"),
    ],
)
def test_a_node_chaincode_is_told_what_its_peer_refuses(
    hosting: Network, args: tuple[str, ...], said: str
) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        hosting.owner.evaluate(*args)
    assert failed.value.code() is grpc.StatusCode.UNKNOWN
    ((msp_id, message),) = details_of(failed.value)
    assert msp_id == OWNER
    assert message.startswith("chaincode response 500, ")
    assert said in message


def test_transactions_on_one_node_chaincode_conflict_as_any(hosting: Network) -> None:
    first, second = (hosting.owner.endorse("increment", "contended") for _ in range(2))
    assert hosting.order(*first)[0] == "VALID"
    assert hosting.order(*second)[0] == "MVCC_READ_CONFLICT"
