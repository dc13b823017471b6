"""The devnet's configuration file, `devnet.json`.

One channel, one orderer identity, any number of organisations. Every organisation has one peer: an MSP folder in
Fabric's layout (`cacerts`, `signcerts`, `keystore`, `config.yaml`), a TLS folder (`server.crt`, `server.key`), a gRPC
address, perhaps one for its metrics, and the addresses of its chaincode services. Chaincode definitions carry an
endorsement policy in Fabric's policy language, and so do `policies` of the channel's application section (a majority
where there is none). Relative paths are taken from the folder of the file; a port of 0 binds a free one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from quorumlearn_network.devnet.errors import ConfigError, PolicyError
from quorumlearn_network.devnet.policy import parse_policy

SYSTEM_CHAINCODES = frozenset({"qscc", "cscc", "lscc", "vscc", "escc", "_lifecycle"})
_ADDRESS = re.compile(r"^(?P<host>\[[0-9A-Fa-f:]+\]|[^:\s/]+):(?P<port>\d{1,5})$")


def _address(text: str) -> str:
    match = _ADDRESS.match(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f"{text!r} is not host:port")
    return text


def _check_policies(texts: Iterable[str]) -> None:
    for text in texts:
        try:
            parse_policy(text)
        except PolicyError as error:
            raise ValueError(str(error)) from error


Address = Annotated[str, AfterValidator(_address)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BatchConfig(_Model):
    """When a block is cut: first message plus `timeout_ms`, or `max_messages`, or `preferred_max_bytes`.

    An envelope over `absolute_max_bytes` (payload and signature) is refused.
    """

    timeout_ms: int = Field(5, ge=1, le=60_000)
    max_messages: int = Field(500, ge=1, le=10_000)
    preferred_max_bytes: int = Field(2 << 20, ge=1)
    absolute_max_bytes: int = Field(10 << 20, ge=1, le=99 << 20)


class OrdererConfig(_Model):
    """The orderer that signs blocks: its MSP id and MSP folder."""

    msp_id: str = Field(min_length=1)
    msp: Path


class OrganisationConfig(_Model):
    """One organisation and its peer. `chaincode` maps a chaincode's name to the address of its service."""

    msp_id: str = Field(min_length=1, pattern=r"^[A-Za-z0-9.-]+$")
    name: str = Field(min_length=1)
    msp: Path
    tls: Path
    address: Address
    operations: Address | None = None
    chaincode: dict[str, Address] = Field(default_factory=dict)


class ChaincodeConfig(_Model):
    """A chaincode definition; a higher `sequence` than the ledger's replaces what the ledger holds."""

    name: str = Field(pattern=r"^[A-Za-z0-9]+([-_][A-Za-z0-9]+)*$")
    package_id: str = Field(min_length=1)
    version: str = Field(min_length=1)
    sequence: int = Field(1, ge=1)
    policy: str
    collections: None = None
    """Private data collections, which the devnet does not have."""

    @field_validator("collections", mode="before")
    @classmethod
    def _no_collections(cls, given: object) -> None:
        if given:
            raise ValueError("private data collections are not supported by the devnet")

    @model_validator(mode="after")
    def _readable_policy(self) -> ChaincodeConfig:
        if self.name in SYSTEM_CHAINCODES:
            raise ValueError(f"{self.name} is the name of a system chaincode")
        _check_policies([self.policy])
        return self


class DevnetConfig(_Model):
    """Everything one devnet process needs. Times in milliseconds."""

    channel: str = Field(pattern=r"^[a-z][a-z0-9.-]{0,248}$")
    ledger: Path
    batch: BatchConfig = Field(default_factory=lambda: BatchConfig.model_validate({}))
    orderer: OrdererConfig
    organisations: list[OrganisationConfig] = Field(min_length=1)
    chaincodes: list[ChaincodeConfig] = Field(default_factory=list)
    policies: dict[Literal["Admins", "Endorsement", "LifecycleEndorsement"], str] = Field(
        default_factory=dict
    )
    execute_timeout_ms: int = Field(30_000, ge=1)
    endorse_timeout_ms: int = Field(60_000, ge=1)
    chaincode_connect_ms: int = Field(5_000, ge=0)

    @model_validator(mode="after")
    def _readable_policies(self) -> DevnetConfig:
        _check_policies(self.policies.values())
        return self

    @model_validator(mode="after")
    def _consistent(self) -> DevnetConfig:
        ids = [organisation.msp_id for organisation in self.organisations] + [self.orderer.msp_id]
        if len(set(ids)) != len(ids):
            raise ValueError("an MSP id is used twice among the organisations and the orderer")
        names = [chaincode.name for chaincode in self.chaincodes]
        if len(set(names)) != len(names):
            raise ValueError("a chaincode is defined twice")
        for organisation in self.organisations:
            unknown = sorted(set(organisation.chaincode) - set(names))
            if unknown:
                raise ValueError(
                    f"{organisation.msp_id} serves {unknown[0]!r}, which `chaincodes` does not define"
                )
        return self


def load_config(path: Path) -> DevnetConfig:
    """Read `path` strictly; ConfigError says what is wrong. Relative paths become absolute."""
    try:
        fields = json.loads(path.read_text())
        config = DevnetConfig.model_validate(fields)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path}: {where}: {first['msg']}") from error
    return resolve_paths(config, path.resolve().parent)


def resolve_paths(config: DevnetConfig, folder: Path) -> DevnetConfig:
    """`config` with every relative path taken from `folder`."""
    organisations = [
        organisation.model_copy(update={"msp": folder / organisation.msp, "tls": folder / organisation.tls})
        for organisation in config.organisations
    ]
    return config.model_copy(
        update={
            "ledger": folder / config.ledger,
            "orderer": config.orderer.model_copy(update={"msp": folder / config.orderer.msp}),
            "organisations": organisations,
        }
    )
