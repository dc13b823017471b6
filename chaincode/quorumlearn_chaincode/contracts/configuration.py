"""The chaincode's configuration and the roles it gives.

A role comes from the certificate's attribute `quorumlearn.role` (one role, or several with commas) where
it has one, else from the roles of its organisation. The attribute only narrows: a role its organisation
lacks is not given.
"""

from __future__ import annotations

from quorumlearn_proto.accounts import NAME_IN_WORDS, is_name
from quorumlearn_proto.common_pb2 import Config

from quorumlearn_chaincode.runtime import ClientIdentity

from .arguments import bad, shown

TREASURY = "treasury"
OWNER = "owner"
MINER = "miner"
VERIFIER = "verifier"
ROLES = (TREASURY, OWNER, MINER, VERIFIER)
ROLE_ATTRIBUTE = "quorumlearn.role"
CONFIG_DIGEST = "QUORUMLEARN_CONFIG_DIGEST"
"""The environment variable with which an organisation starts its chaincode: canonical.digest of the only Config that it endorses."""
MAX_ORGANISATIONS = 256
MAX_CLOCK_SLACK_MS = 60_000


def check_config(config: Config) -> None:
    """Refuse a Config that could not work, with a sentence that names the field."""
    if not 1 <= len(config.organisations) <= MAX_ORGANISATIONS:
        raise bad(f"organisations has {len(config.organisations)} entries: name 1 to {MAX_ORGANISATIONS}")
    roles: dict[str, set[str]] = {}
    for organisation in config.organisations:
        msp_id = organisation.msp_id
        if not is_name(msp_id):
            raise bad(f"organisations names {shown(msp_id)}: an MSP id is {NAME_IN_WORDS}")
        if msp_id in roles:
            raise bad(f"organisations names {msp_id} twice")
        if len(set(organisation.roles)) != len(organisation.roles):
            raise bad(f"organisations gives {msp_id} a role twice")
        for role in organisation.roles:
            if role not in ROLES:
                raise bad(f"organisations gives {msp_id} the role {shown(role)}: of {', '.join(ROLES)}")
            if role == TREASURY and msp_id != config.treasury_msp:
                raise bad(f"organisations gives {msp_id} the role treasury: only treasury_msp may have it")
        roles[msp_id] = set(organisation.roles)
    if TREASURY not in roles.get(config.treasury_msp, ()):
        raise bad(f"treasury_msp {shown(config.treasury_msp)} is not an organisation with the role treasury")
    verifiers = list(config.verifier_msps)
    if not verifiers or len(set(verifiers)) != len(verifiers):
        raise bad("verifier_msps must name at least one organisation, each once")
    for msp_id in verifiers:
        if VERIFIER not in roles.get(msp_id, ()):
            raise bad(
                f"verifier_msps names {shown(msp_id)}, which is not an organisation with the role verifier"
            )
    if not 1 <= config.verifier_quorum <= len(verifiers):
        raise bad(
            f"verifier_quorum is {config.verifier_quorum}: 1 to {len(verifiers)}, the verifier organisations"
        )
    if not 1 <= config.clock_slack_ms <= MAX_CLOCK_SLACK_MS:
        raise bad(f"clock_slack_ms is {config.clock_slack_ms}: 1 to {MAX_CLOCK_SLACK_MS} milliseconds")


def organisation_roles(config: Config, msp_id: str) -> set[str] | None:
    """The roles of an organisation, None if the Config does not know it."""
    for organisation in config.organisations:
        if organisation.msp_id == msp_id:
            return set(organisation.roles)
    return None


def roles_of(config: Config, client: ClientIdentity) -> set[str]:
    """The roles of the submitter; none if its organisation is unknown."""
    given = organisation_roles(config, client.msp_id) or set()
    attribute = client.attributes.get(ROLE_ATTRIBUTE)
    if attribute is None:
        return given
    return given & {role.strip() for role in attribute.split(",")}
