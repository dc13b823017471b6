"""The network description: what is accepted, what is refused and in which words."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn_network.spec import (
    NetworkSpec,
    SpecError,
    default_spec,
    dump_spec,
    load_spec,
    parse_spec,
    render_policy,
)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0, 7000, 65000]))
def test_a_description_survives_yaml(organisations: int, miners: int, verifiers: int, base: int) -> None:
    spec = default_spec(organisations, miners, verifiers, base)
    assert parse_spec(dump_spec(spec), "x") == spec
    assert len(spec.verifiers) == verifiers
    assert verifiers / 2 < spec.chaincode.quorum <= verifiers


def test_the_policy_is_a_quorum_of_the_verifiers_peers() -> None:
    expected = "OutOf(2, 'Verifier1MSP.peer', 'Verifier2MSP.peer', 'Verifier3MSP.peer')"
    assert render_policy(default_spec()) == expected


def test_default_ports_are_free_or_follow_the_base() -> None:
    assert {one.peer.port for one in default_spec().organisations} == {0}
    spec = default_spec(base_port=9000)
    assert [one.peer.port for one in spec.organisations] == [*range(9000, 9007)]
    assert {one.peer.chaincode_port for one in spec.organisations} == {9007}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("quorum: 2", "quorum: 4", "chaincode.quorum 4 must be more than half of the 3"),
        ("quorum: 2", "quorum: 1", "chaincode.quorum 1 must be more than half of the 3"),
        ("quorum: 2", "quorum: many", r"chaincode.quorum is 'many'"),
        (
            "quorum: 2",
            "quorum: 2\n  collections: [{name: secrets}]",
            "private data collections are not supported",
        ),
        ("timeout_ms: 5", "timeout_ms: 0", "batch.timeout_ms is '0'"),
        ("timeout_ms: 5", "timeout: 20", "batch.timeout is '20': extra inputs"),
        ("quorum: 2", "quorums: 2", "chaincode.quorums is '2': extra inputs"),
        ("name: quorumlearn\nchannel", "channel", "name: field required"),
        ("port: 9001", "port: 9000", "peer address '127.0.0.1:9000' appears twice"),
        ("chaincode_port: 9007", "chaincode_port: 9000", "is the port of a peer"),
        ("port: 9000", "port: 65536", r"organisations\[0\].peer.port is '65536'"),
        ("port: 9000", "port: '9000'", r"organisations\[0\].peer.port is '9000'"),
        ("name: owner\n  msp", "name: treasury\n  msp", "organisation 'treasury' appears twice"),
        ("msp_id: OwnerMSP", "msp_id: OrdererMSP", "msp_id 'OrdererMSP' appears twice"),
        ("name: owner\n  msp", "name: ../etc\n  msp", r"organisations\[1\].name is '../etc'"),
        ("role: owner", "role: miner", "user 'owner' is a miner, which its organisation is not"),
        ("- owner\n  peer", "- banker\n  peer", r"organisations\[1\].roles\[0\] is 'banker'"),
        ("- owner\n  peer", "- treasury\n  peer", "user 'owner' is a owner|2 organisations are the treasury"),
        ("admin: true", "admin: false", "has no admin user"),
    ],
)
def test_a_wrong_field_is_named_with_file_and_value(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    text = dump_spec(default_spec(base_port=9000))
    assert old in text
    path = tmp_path / "network.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SpecError, match=expected) as caught:
        load_spec(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "a: [", "!!python/object:os.system {}", "\x00", "- &a [*a]"])
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_spec(text, "network.yaml")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_description_or_a_spec_error(text: str) -> None:
    with contextlib.suppress(SpecError):
        assert isinstance(parse_spec(text, "x"), NetworkSpec)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"there is no .*no\.yaml; `quorumlearn network example > market\.yaml`"
    ):
        load_spec(tmp_path / "no.yaml")


def test_an_unknown_organisation_lists_those_there_are() -> None:
    with pytest.raises(SpecError, match="it has treasury, owner"):
        default_spec().organisation("nobody")
