"""What makes a network that serves a market: its ledger initialised, and every peer's gateway endorsing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from quorumlearn_network.folder import FolderError, Waiting
from quorumlearn_network.spec import ADMIN_USER, NetworkSpec, OrganisationSpec
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import Config, OrganisationRoles

from quorumlearn.cli.access import market_contract, open_gateway
from quorumlearn.gateway import Contract, EvaluateError, GatewayError
from quorumlearn.nodes.market import refusal

T = TypeVar("T")


def ledger_config(spec: NetworkSpec) -> Config:
    """What the ledger is initialised with for a network."""
    return Config(
        treasury_msp=spec.treasury.msp_id,
        verifier_msps=[one.msp_id for one in spec.verifiers],
        verifier_quorum=spec.chaincode.quorum,
        clock_slack_ms=spec.chaincode.clock_slack_ms,
        organisations=[
            OrganisationRoles(msp_id=one.msp_id, roles=[role.value for role in one.roles])
            for one in spec.organisations
        ],
    )


def confirm_ledger(spec: NetworkSpec, folder: Path, waiting: Waiting) -> None:
    """Wait until the ledger answers and every peer here gets endorsements.

    Where the treasury is, the ledger is initialised if it is not, and organisations that joined the channel later
    are admitted; elsewhere that is waited for. For `bring_up`.
    """
    if not spec.ours:
        return  # orderers alone
    treasury = spec.is_here(spec.treasury.name)
    asking = spec.treasury if treasury else spec.ours[0]
    config = ledger_config(spec)
    with open_gateway(folder, f"{asking.name}/{_admin(asking)}") as gateway:
        contract = market_contract(gateway, spec)

        def initialised() -> Config:
            try:
                return canonical.from_json(Config, contract.evaluate("rewards:Config"))
            except EvaluateError as error:
                refused = refusal(error)
                if not treasury or refused is None or refused[0] != "NOT_INITIALISED":
                    raise
            contract.submit("rewards:Initialise", canonical.to_json(config))
            return config

        held = until(waiting, f"the ledger does not answer {asking.name}", initialised)
        known = {one.msp_id for one in held.organisations}
        for added in config.organisations:  # those that joined the channel later
            if treasury and added.msp_id not in known:
                contract.submit("rewards:Admit", canonical.to_json(added))
                held.organisations.append(added)
        if held != config:
            raise FolderError(
                f"the ledger in {folder} was initialised for other organisations or another quorum; "
                f"`quorumlearn network down --wipe --folder {folder}` removes it"
            )
    for one in spec.ours if spec.fabric is not None else (spec.treasury,):
        with open_gateway(folder, f"{one.name}/{_admin(one)}") as gateway:
            until(
                waiting,
                f"{one.name} gets no endorsement",
                partial(_endorse, market_contract(gateway, spec)),
            )


def until(waiting: Waiting, trouble: str, attempt: Callable[[], T]) -> T:
    """What `attempt` returns, tried again while the network warms up; `trouble` says what holds it up."""
    while True:
        try:
            return attempt()
        except GatewayError as error:
            if waiting.late:
                raise
            waiting.pause(f"{trouble}: {error}")


def _endorse(contract: Contract) -> None:
    contract.propose("rewards:Config").endorse()


def _admin(one: OrganisationSpec) -> str:
    return next((user.name for user in one.users if user.admin), ADMIN_USER)
