"""What the organisations of a network agree to before anything runs: the market's configuration, and who must agree to changes.

Rules:
- each organisation starts its chaincode with the configuration's digest, which then initialises the ledger with no other;
- a chaincode's definition and a change of the channel take a share of all organisations (`policies`, a majority unless it says otherwise)
  with a quorum of the verifier organisations among them: whoever could replace the contracts could undo what they promise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection

from quorumlearn_network.spec import NetworkSpec, Share

CONFIG_DIGEST = "QUORUMLEARN_CONFIG_DIGEST"
"""The variable in whose value a chaincode service is told `config_digest`."""


def market_config(spec: NetworkSpec) -> dict[str, object]:
    """What the ledger of a market is initialised with: the contracts' Config, as JSON fields."""
    return {
        "treasury_msp": spec.treasury.msp_id,
        "verifier_msps": [one.msp_id for one in spec.verifiers],
        "verifier_quorum": spec.chaincode.quorum,
        "clock_slack_ms": spec.chaincode.clock_slack_ms,
        "organisations": [
            {"msp_id": one.msp_id, "roles": [role.value for role in one.roles]} for one in spec.organisations
        ],
    }


def config_digest(spec: NetworkSpec) -> str:
    """SHA-256 of the Config's canonical JSON. Every organisation starts its chaincode with it (`CONFIG_DIGEST`), and that
    initialises the ledger with no other Config."""
    text = json.dumps(market_config(spec), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def render_agreement(spec: NetworkSpec, share: Share, role: str) -> str:
    """The policy, in Fabric's language, that a share of all organisations agrees, each by one of its `role`, a quorum of verifier
    organisations among them.

    One choice for each number of verifiers that there may be among them, since every signature counts once in a policy.
    """
    needed = _needed(spec, share)
    verifiers = [f"'{one.msp_id}.{role}'" for one in spec.verifiers]
    others = [f"'{one.msp_id}.{role}'" for one in spec.organisations if one not in spec.verifiers]
    choices = []
    for count in range(spec.chaincode.quorum, len(verifiers) + 1):
        chosen, rest = f"OutOf({count}, {', '.join(verifiers)})", needed - count
        if rest <= 0:
            choices.append(chosen)
            break
        if rest <= len(others):
            choices.append(f"AND({chosen}, OutOf({rest}, {', '.join(others)}))")
    return choices[0] if len(choices) == 1 else f"OR({', '.join(choices)})"


def render_agreements(spec: NetworkSpec) -> dict[str, str]:
    """By name, the policies of the channel's application section that a quorum of verifier organisations has a part in."""
    policies = spec.policies
    return {
        "Admins": render_agreement(spec, policies.admins, "admin"),
        "Endorsement": render_agreement(spec, policies.lifecycle, "peer"),
        "LifecycleEndorsement": render_agreement(spec, policies.lifecycle, "peer"),
    }


def agrees(spec: NetworkSpec, share: Share, msp_ids: Collection[str]) -> bool:
    """Whether these organisations satisfy `render_agreement`."""
    verifiers = sum(one.msp_id in msp_ids for one in spec.verifiers)
    return len(msp_ids) >= _needed(spec, share) and verifiers >= spec.chaincode.quorum


def _needed(spec: NetworkSpec, share: Share) -> int:
    count = len(spec.organisations)
    return {Share.ANY: 1, Share.MAJORITY: count // 2 + 1, Share.ALL: count}[share]
