"""What a description is rendered into: addresses, settings, compose file, genesis block; nothing runs here."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from fabric_protos.orderer.etcdraft import configuration_pb2 as raft_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn_network.ccaas_builder import ENVIRONMENT
from quorumlearn_network.devnet.blocks import data_hash
from quorumlearn_network.devnet.policy import parse_policy
from quorumlearn_network.fabric.channel import genesis_block, member_group
from quorumlearn_network.fabric.config_update import addition, members
from quorumlearn_network.fabric.containers import render_compose
from quorumlearn_network.fabric.files import write_identities, write_settings
from quorumlearn_network.fabric.layout import Layout, is_loopback, plan, split
from quorumlearn_network.fabric.lifecycle import definition_policy
from quorumlearn_network.fabric.native import write_builder
from quorumlearn_network.fabric.report import describe_policy
from quorumlearn_network.fabric.settings import render_core, render_orderer
from quorumlearn_network.package import package_id
from quorumlearn_network.ports import choose_ports
from quorumlearn_network.spec import (
    NetworkSpec,
    OrganisationSpec,
    SpecError,
    default_spec,
    dump_spec,
    join_address,
    parse_spec,
    render_policy,
)

from tests.network.fabric.fabric_net import DESCRIPTION


def contained(text: str = DESCRIPTION) -> NetworkSpec:
    return choose_ports(parse_spec(text.replace("native", "containers"), "x"), None)


def channel_group(block: bytes) -> configtx_pb2.ConfigGroup:
    payload = common_pb2.Payload.FromString(
        common_pb2.Envelope.FromString(common_pb2.Block.FromString(block).data.data[0]).payload
    )
    return configtx_pb2.ConfigEnvelope.FromString(payload.data).config.channel_group


def test_every_address_is_taken_once(layout: Layout) -> None:
    listened = [one.listens for one in layout.peers] + [one.chaincode_listens for one in layout.peers]
    listened += [one.operations_listens for one in (*layout.peers,)]
    for node in layout.orderers:
        listened += [node.listens, node.admin_listens, node.operations_listens]
    assert len(set(listened)) == len(listened) == 3 * 5 + 3 * 3
    assert all(split(address)[1] for address in listened)


def test_containers_of_one_machine_know_one_another_by_name(tmp_path: Path) -> None:
    layout = plan(contained(), tmp_path)
    assert [one.reached for one in layout.orderers] == [f"orderer{n}.orderer:7050" for n in range(3)]
    assert layout.peers[0].reached == "peer0.treasury:7051"
    assert layout.peers[0].published == layout.spec.organisations[0].peer.address


def test_nodes_of_other_machines_are_reached_by_host_and_port(tmp_path: Path) -> None:
    text = DESCRIPTION.replace(
        "roles: [owner],", "roles: [owner], peer: {host: peer.owner.example, port: 7051},"
    )
    spec = parse_spec(text.replace("native", "containers"), "x")
    layout = plan(spec, tmp_path)
    owner = layout.peer_of("owner")
    assert owner.reached == owner.published == "peer.owner.example:7051"
    compose = yaml.safe_load(render_compose(plan(spec, tmp_path)))
    assert "7051:7051" in compose["services"]["peer0.owner"]["ports"]


@pytest.mark.parametrize(
    ("fabric", "said"),
    [
        ("{consensus: bft, orderers: 3}", "3 orderers; bft takes 4 to 16"),
        ("{orderers: 0}", "0 orderers; a channel has 1 to 16"),
        ("{orderers: []}", "0 orderers; raft takes 1 to 16"),
        ("{orderers: 17}", "17 orderers"),
        ("{orderers: true}", "fabric.orderers is 'True'"),
        ("{runtime: vm}", "fabric.runtime is 'vm'"),
        ("{consensus: paxos}", "fabric.consensus is 'paxos'"),
        ("{images: {peer: 'A b'}}", "fabric.images.peer is 'A b'"),
        ("{policies: {admins: SOME}}", "fabric.policies.admins is 'SOME'"),
        ("{orderers: [{port: 7}, {port: 7}]}", "address '127.0.0.1:7' appears twice"),
        ("{nodes: 3}", "fabric.nodes is '3'"),
    ],
)
def test_a_wrong_section_is_refused_in_one_sentence(fabric: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(DESCRIPTION.replace("{runtime: native, orderers: 3}", fabric), "net.yaml")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_user_called_admin_must_be_one() -> None:
    text = DESCRIPTION.replace("{name: owner, role: owner}", "{name: admin, role: owner}")
    with pytest.raises(SpecError, match="user 'admin' of 'owner' is no admin"):
        parse_spec(text, "net.yaml")


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.sampled_from(["raft", "bft"]), st.integers(4, 7))
def test_a_description_with_nodes_survives_yaml(
    miners: int, verifiers: int, consensus: str, orderers: int
) -> None:
    fields = yaml.safe_load(dump_spec(default_spec(miners, 2, verifiers)))
    fields["fabric"] = {"consensus": consensus, "orderers": orderers}
    spec = choose_ports(parse_spec(yaml.safe_dump(fields), "x"), None)
    assert parse_spec(dump_spec(spec), "x") == spec
    assert choose_ports(spec, None) == spec


def test_settings_name_only_files_of_their_node_and_hold_no_key(layout: Layout) -> None:
    for peer in layout.peers:
        core = yaml.safe_load(render_core(layout, peer))
        assert core["peer"]["address"] == peer.reached
        assert core["peer"]["localMspId"] == peer.organisation.msp_id
        assert core["peer"]["tls"]["enabled"] is True
        paths = [core["peer"]["mspConfigPath"], core["peer"]["tls"]["key"]["file"]]
        assert all(path.startswith(str(peer.identity)) for path in paths)
        assert core["peer"]["fileSystemPath"] == str(layout.ledger(peer.name))
        assert split(core["operations"]["listenAddress"])[0] == "127.0.0.1"
        assert "PRIVATE KEY" not in render_core(layout, peer)
    for node in layout.orderers:
        fields = yaml.safe_load(render_orderer(layout, node))
        assert (
            join_address(fields["General"]["ListenAddress"], fields["General"]["ListenPort"]) == node.listens
        )
        assert fields["Admin"]["TLS"]["ClientAuthRequired"] is True
        assert fields["General"]["LocalMSPDir"] == f"{node.identity}/msp"


def test_the_compose_file_mounts_keys_read_only_and_publishes_on_this_machine(tmp_path: Path) -> None:
    layout = plan(contained(), tmp_path)
    text = render_compose(layout)
    services = yaml.safe_load(text)["services"]
    assert set(services) == set(layout.nodes())
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for volume in service.get("volumes", []):
            source, inside, *mode = volume.split(":")
            assert source.startswith("./")
            assert mode == ([] if inside == "/var/hyperledger/production" else ["ro"])
        if not name.startswith("chaincode."):  # it dials nobody
            assert service["environment"]["NO_PROXY"] == service["environment"]["no_proxy"] == "*"
        if name.startswith("chaincode."):
            assert service["environment"]["CHAINCODE_ID"] == package_id(layout.spec.chaincode)
            assert "ports" not in service
    config = json.loads(services["peer0.owner"]["environment"][ENVIRONMENT])
    assert config == {"ccaddr": "chaincode.owner:9999"}
    assert plan(layout.spec, tmp_path / "other").project != layout.project


def test_the_genesis_block_holds_every_member_with_its_policies(layout: Layout) -> None:
    write_identities(layout)
    data = genesis_block(layout)
    block = common_pb2.Block.FromString(data)
    assert block.header.number == 0 and block.header.data_hash == data_hash(block.data.data)
    group = channel_group(data)
    application, ordering = group.groups["Application"], group.groups["Orderer"]
    assert set(application.groups) == {one.organisation.msp_id for one in layout.peers}
    for member in application.groups.values():
        assert set(member.policies) == {"Readers", "Writers", "Admins", "Endorsement"}
        assert set(member.values) == {"MSP", "AnchorPeers"}
        assert b"PRIVATE KEY" not in member.values["MSP"].value
    consensus = orderer_pb2.ConsensusType.FromString(ordering.values["ConsensusType"].value)
    consenters = raft_pb2.ConfigMetadata.FromString(consensus.metadata).consenters
    assert consensus.type == "etcdraft"
    assert [join_address(one.host, one.port) for one in consenters] == [n.reached for n in layout.orderers]
    timeout = orderer_pb2.BatchTimeout.FromString(ordering.values["BatchTimeout"].value)
    assert timeout.timeout == f"{layout.spec.batch.timeout_ms}ms"


@pytest.mark.parametrize(("count", "quorum"), [(4, 3), (5, 4), (6, 4), (7, 5), (10, 7)])
def test_a_bft_block_takes_a_quorum_of_orderers_by_certificate(
    tmp_path: Path, count: int, quorum: int
) -> None:
    text = DESCRIPTION.replace("orderers: 3", f"consensus: bft, orderers: {count}")
    layout = plan(choose_ports(parse_spec(text, "x"), None), tmp_path)
    write_identities(layout)
    ordering = channel_group(genesis_block(layout)).groups["Orderer"]
    mapping = configuration_pb2.Orderers.FromString(ordering.values["Orderers"].value).consenter_mapping
    assert [one.id for one in mapping] == list(range(1, count + 1))
    policy = policies_pb2.SignaturePolicyEnvelope.FromString(
        ordering.policies["BlockValidation"].policy.value
    )
    assert (policy.rule.n_out_of.n, len(policy.identities)) == (quorum, count)


def test_a_change_adds_one_member_and_names_the_others_by_version(layout: Layout) -> None:
    write_identities(layout)
    config = configtx_pb2.Config(channel_group=channel_group(genesis_block(layout)))
    config.channel_group.groups["Application"].version = 3
    config.channel_group.groups["Application"].groups["OwnerMSP"].version = 2
    group = member_group(layout, layout.peers[0])
    larger = {"Admins": parse_policy("OR('OwnerMSP.admin', 'LateMSP.admin')")}
    update = addition(config, "quorumlearn", "LateMSP", group, larger)
    read, written = (side.groups["Application"] for side in (update.read_set, update.write_set))
    assert (read.version, written.version) == (3, 4)
    assert set(written.groups) - set(read.groups) == {"LateMSP"}
    assert set(read.groups) == members(config)
    assert written.groups["OwnerMSP"].version == read.groups["OwnerMSP"].version == 2
    assert not written.groups["OwnerMSP"].values
    assert written.groups["LateMSP"] == group
    assert {name for name, one in written.policies.items() if one.HasField("policy")} == {"Admins"}
    assert written.policies["Admins"].version == read.policies["Admins"].version + 1
    assert (
        set(read.policies)
        == set(written.policies)
        == {
            "Readers",
            "Writers",
            "Admins",
            "Endorsement",
            "LifecycleEndorsement",
        }
    )


def test_keys_are_their_owners_alone(layout: Layout) -> None:
    write_identities(layout)
    write_settings(layout)
    keys = [*layout.folder.rglob("*.key"), *layout.folder.rglob("*key.pem")]
    assert len(keys) > 20
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    for path in layout.folder.rglob("*"):
        if path.is_file() and path not in keys:
            assert b"PRIVATE KEY" not in path.read_bytes(), path


def test_rendering_again_changes_nothing(layout: Layout) -> None:
    write_identities(layout)
    write_settings(layout)
    before = {path: path.read_bytes() for path in layout.folder.rglob("*") if path.is_file()}
    write_identities(layout)
    write_settings(layout)
    assert {path: path.read_bytes() for path in layout.folder.rglob("*") if path.is_file()} == before


def test_a_definitions_policy_is_told_in_fabrics_language(spec: NetworkSpec) -> None:
    assert describe_policy(definition_policy(spec)) == render_policy(spec)
    assert describe_policy(b"\xff\xff") == "(unreadable)"


def test_the_builder_fills_in_each_peers_address(tmp_path: Path) -> None:
    write_builder(tmp_path / "builder")
    source, metadata, built, released = (
        tmp_path / name for name in ("source", "metadata", "built", "released")
    )
    for folder in (source, metadata, built, released):
        folder.mkdir()
    (source / "connection.json").write_text('{"address": "{{.ccaddr}}", "dial_timeout": "10s"}')
    (metadata / "metadata.json").write_text('{"type": "ccaas", "label": "x"}')

    def program(name: str, *arguments: Path, ccaddr: str = "127.0.0.1:9") -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.defpath, ENVIRONMENT: json.dumps({"ccaddr": ccaddr} if ccaddr else {})}
        command = [str(tmp_path / "builder" / "bin" / name), *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert program("detect", source, metadata).returncode == 0
    assert program("build", source, metadata, built).returncode == 0
    assert program("release", built, released).returncode == 0
    server = json.loads((released / "chaincode" / "server" / "connection.json").read_text())
    assert server == {"address": "127.0.0.1:9", "dial_timeout": "10s"}
    assert program("build", source, metadata, built, ccaddr="").returncode == 1
    (metadata / "metadata.json").write_text('{"type": "golang", "label": "x"}')
    assert program("detect", source, metadata).returncode == 1
    (metadata / "metadata.json").write_text("no json")
    failed = program("detect", source, metadata)
    assert failed.returncode == 1 and failed.stderr.startswith("ccaas: ")


def test_a_builder_that_peers_may_be_starting_is_not_written_again(tmp_path: Path) -> None:
    write_builder(tmp_path)
    programs = sorted((tmp_path / "bin").iterdir())
    assert [one.name for one in programs] == ["build", "detect", "release"]
    before = {one: one.stat().st_ino for one in programs}
    write_builder(tmp_path)
    assert {one: one.stat().st_ino for one in programs} == before
    changed = programs[0]
    right = changed.read_text()
    changed.write_text("#!/bin/sh\nexit 3\n")
    with changed.open():  # as long as it is open its number is not given to another file
        write_builder(tmp_path)
        assert changed.stat().st_ino != before[changed]
    assert (changed.read_text(), stat.S_IMODE(changed.stat().st_mode)) == (right, stat.S_IRWXU)
    assert sorted((tmp_path / "bin").iterdir()) == programs


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("a.b", False),
    ],
)
def test_loopback_is_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    assert split(join_address(host, 7))[1] == 7


def test_organisations_have_services_of_their_own(spec: NetworkSpec) -> None:
    ports = {one.peer.chaincode_port for one in spec.organisations}
    assert len(ports) == len(spec.organisations)
    assert all(isinstance(one, OrganisationSpec) for one in spec.organisations)
