"""The market's configuration from a file: what a ledger is initialised with, and what policies follow from it.

    organisations:
    - {msp_id: Org1MSP, roles: [treasury, owner, verifier]}
    - {msp_id: Org2MSP, roles: [miner, verifier]}
    # verifier_quorum: 2       a majority of the organisations with the role verifier
    # verifier_msps: [...]     all that have the role
    # treasury_msp: Org1MSP    the one that has the role
    # clock_slack_ms: 2000

What is left out follows from the rest. `quorumlearn ledger query rewards:Config` prints the same fields, and the description of a network
(network.yaml) does as well. The order of organisations counts: their configurations are one only if they are in the same order.
"""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from google.protobuf.message import DecodeError
from quorumlearn_chaincode.contracts.configuration import check_config
from quorumlearn_chaincode.contracts.errors import Refusal
from quorumlearn_network.spec import ChaincodeSpec, NetworkSpec, OrganisationSpec, Role, UserSpec, load_spec
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import Config

from quorumlearn.cli.confirm import ledger_config
from quorumlearn.cli.terminal import Exit, Failure

CLOCK_SLACK_MS = 2000


def read_configuration(path: Path) -> Config:
    """The Config that a file describes; SpecError or a Failure in one sentence if the contracts would not take it."""
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", Exit.USAGE) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise Failure(f"{path} is not YAML", Exit.USAGE) from error
    if isinstance(fields, dict) and "name" in fields and "chaincode" in fields:
        return ledger_config(load_spec(path))
    if not isinstance(fields, dict) or not isinstance(fields.get("organisations"), list):
        raise Failure(
            f"{path} must hold `organisations`, a list of {{msp_id: ..., roles: [...]}}", Exit.USAGE
        )
    try:
        config = canonical.from_json(Config, json.dumps(_completed(fields)).encode())
        check_config(config)
    except Refusal as refused:
        raise Failure(f"{path}: {refused.sentence}", Exit.USAGE) from refused
    except (ValueError, TypeError, DecodeError) as error:
        raise Failure(f"{path}: {str(error).splitlines()[0]}", Exit.USAGE) from error
    return config


def spec_of(config: Config, chaincode: str, version: str, sequence: int = 1) -> NetworkSpec:
    """The network that a configuration is of, as far as policies go: they are computed as for one that is made here. SpecError or
    ValueError for a quorum that is no majority of the verifiers."""
    organisations = tuple(
        OrganisationSpec(
            name=f"org{number}",
            msp_id=one.msp_id,
            roles=tuple(Role(role) for role in one.roles),
            users=(UserSpec(name="admin", admin=True),) if one.msp_id == config.treasury_msp else (),
        )
        for number, one in enumerate(config.organisations, 1)
        if one.roles
    )
    used = ChaincodeSpec(
        name=chaincode,
        version=version,
        sequence=sequence,
        quorum=config.verifier_quorum,
        clock_slack_ms=config.clock_slack_ms,
    )
    return NetworkSpec(name="market", chaincode=used, organisations=organisations)


def _completed(fields: dict[str, object]) -> dict[str, object]:
    """With what follows from the organisations' roles."""
    organisations = [one for one in _list(fields["organisations"]) if isinstance(one, dict)]
    having = {
        role: [one.get("msp_id") for one in organisations if role in _list(one.get("roles"))]
        for role in (Role.TREASURY.value, Role.VERIFIER.value)
    }
    verifiers = fields.get("verifier_msps", having["verifier"])
    follows: dict[str, object] = {
        "treasury_msp": next(iter(having["treasury"]), ""),
        "verifier_msps": verifiers,
        "verifier_quorum": len(_list(verifiers)) // 2 + 1,
        "clock_slack_ms": CLOCK_SLACK_MS,
    }
    return {**follows, **fields}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
