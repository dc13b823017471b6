"""Files to begin with: a network's, one node's, and a task's. They work as they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import yaml
from quorumlearn_network.spec import NetworkSpec, OrganisationSpec, Role

from quorumlearn.cli.terminal import Exit, Failure

WORKING = (Role.OWNER, Role.MINER, Role.VERIFIER)
TEST_PARTS = 5  # an owner scores each block on one of so many parts of the test set
FEWEST = 2  # miners of any round
LEAVING = 1  # miners that may be missing in a round of the task

FUNDS = {Role.OWNER: 10_000, Role.MINER: 200, Role.VERIFIER: 400}
"""Tokens to begin with: the reward of the task below, and twice what its stakes take."""
OPTIONAL = """\
# What else may stand here; these are the defaults:
# channel: quorumlearn
# chaincode: quorumlearn
# workloads: {}      # your own: {risk: "risk:RISK"}, a module beside this file
# compute_slots: 1   # trainings at the same time
# live_tasks: 16     # tasks that it plays at the same time
# data_budget: 200   # rounds that one data set may take part in, over all tasks
# chunk_cache: 4096  # MiB of tasks' own data that it keeps on its disk
# accept: {}         # what it asks of a task before it stakes: `quorumlearn node check --help` has the terms
# In place of `store` above, with credentials from the environment of the node (docs/store.md):
# store: {url: "s3://BUCKET", options: {endpoint_url: "https://s3.example", key: "${STORE_KEY}", secret: "${STORE_SECRET}"}}
"""

Member = tuple[str, str]
"""An organisation and one of its users, by name."""


def members(spec: NetworkSpec, role: Role) -> list[Member]:
    """Whom the description gives a role, in its order."""
    return [
        (one.name, user.name)
        for one in spec.organisations
        if role in one.roles
        for user in one.users
        if user.role is role or (user.role is None and not user.admin)
    ]


def part_of(spec: NetworkSpec, member: Member, seed: int) -> dict[str, object] | None:
    """The entry of a node's file for a member: it shares the data evenly with all of its role; None for who runs no node."""
    for role in WORKING:
        everybody = members(spec, role)
        if member in everybody:
            parts = TEST_PARTS if role is Role.OWNER else len(everybody)
            shard = f"iid:{everybody.index(member) % parts}/{parts}@{seed}"
            return {"user": member[1], "role": role.value, "shard": shard}
    return None


def node_example(
    spec: NetworkSpec, one: OrganisationSpec, folder: Path, store: str, data: Path | None
) -> str:
    """A node's file for an organisation of the network in `folder`; Failure if none of its users has a part in tasks."""
    parts = [part for user in one.users if (part := part_of(spec, (one.name, user.name), seed=0))]
    if not parts:
        raise Failure(
            f"{one.name} runs no node: none of its users is owner, miner or verifier in network.yaml",
            Exit.USAGE,
        )
    fields = {
        "organisation": str(folder / "organisations" / one.name),
        "store": store,
        "state": f"state/{one.name}",
        "workers": 1,
    }
    if data is not None:
        fields["data"] = str(data.resolve())
    without = (
        ""
        if data is not None
        else ("# data: path/to/mnist   # its four IDX files; without them scikit-learn's few digits\n")
    )
    return (
        f"# What `quorumlearn node run` reads: the node of {one.name}. Relative paths are relative to this file.\n"
        f"{_yaml(fields)}{without}identities:\n"
        + "".join(f"- {_yaml(part, flow=True)}" for part in parts)
        + OPTIONAL
    )


def working(spec: NetworkSpec) -> list[OrganisationSpec]:
    """The organisations that run a node, in the description's order."""
    return [
        one
        for one in spec.organisations
        if any(part_of(spec, (one.name, user.name), 0) for user in one.users)
    ]


def mint_command(spec: NetworkSpec) -> str:
    """The command that gives everybody the tokens for the task of `task_example`."""
    accounts = [
        f"{spec.organisation(organisation).msp_id}/{user}={FUNDS[role]}"
        for role in WORKING
        for organisation, user in members(spec, role)
    ]
    return f"quorumlearn token mint {' '.join(accounts)}"


def network_example(spec: NetworkSpec) -> str:
    """A commented description of the network; `parse_spec` gives it back."""
    chaincode = spec.chaincode
    organisations = "".join(f"- {_yaml(_described(one), flow=True)}" for one in spec.organisations)
    return f"""\
# A market on this machine: `quorumlearn network up --spec market.yaml`. The same file on Hyperledger Fabric:
# `quorumlearn network up --fabric market.yaml`, with --native where the executables peer and orderer are on the path.
# Every field is explained in quorumlearn_network/spec.py; ports that are left out are chosen, once.
name: {spec.name}
channel: {spec.channel}
chaincode:
  name: {chaincode.name}
  version: "{chaincode.version}"
  quorum: {chaincode.quorum}             # so many of the {len(spec.verifiers)} verifier organisations endorse every transaction
  clock_slack_ms: {chaincode.clock_slack_ms}  # how far apart clocks may be
batch: {{timeout_ms: {spec.batch.timeout_ms}}}   # how long transactions are collected for a block
logs: {spec.logs.value}               # or json: one object a line
# fabric:                # what only real Fabric nodes need; these are the defaults
#   runtime: containers  # or native
#   consensus: raft      # or bft, with four orderers
#   orderers: 3
organisations:           # the treasury mints tokens; every verifier organisation endorses
{organisations}"""


def _described(one: OrganisationSpec) -> dict[str, object]:
    return one.model_dump(mode="json", exclude_defaults=True)


def task_example(spec: NetworkSpec) -> str:
    """A small task for all miners and verifiers of the network; Failure if it has too few."""
    from quorumlearn import robust

    everybody = members(spec, Role.MINER)
    miners, largest = len(everybody), max(Counter(one for one, _ in everybody).values(), default=0)
    seats = [one.msp_id for one in spec.verifiers]
    if miners < FEWEST:
        raise Failure(
            f"network.yaml has {miners} miners, and a task needs {FEWEST}: no update is opened alone; "
            "`quorumlearn network up` makes some",
            Exit.USAGE,
        )
    if len(seats) < 2:
        raise Failure(
            "network.yaml has one verifier organisation: it would decrypt, and decide, alone; a task takes two at least",
            Exit.USAGE,
        )
    minimum = max(FEWEST, miners - LEAVING)
    share = (
        f"  per_organisation: {largest}  # no more of one organisation\n" if 2 * largest > miners + 1 else ""
    )
    return f"""\
# What `quorumlearn task publish` reads; `quorumlearn task publish --help` shows all that may stand here.
id: mnist-1
title: Handwritten digits
workload: {{name: mnist-cnn, config: {{epochs: 5}}}}
rounds: 3
miners:
  minimum: {minimum}    # a round needs so many
  maximum: {miners}
{share}  byzantine: {robust.largest_byzantine(minimum)}  # so many of them may cheat, together
committee:
  organisations: [{", ".join(seats)}]
  threshold: {len(seats) // 2 + 1}  # so many decrypt and decide together
reward:
  per_round: 1000  # tokens of the owner
"""


def _yaml(fields: object, flow: bool = False) -> str:
    text: str = yaml.safe_dump(fields, sort_keys=False, default_flow_style=flow, width=1000)
    return text
