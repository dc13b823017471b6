"""The description of a network: one YAML file, checked completely before anything is done with it.

Rules:
- unknown fields, wrong types, empty or doubled names, and ports used twice are refused, each in one sentence
  that names the file, the field and the value;
- exactly one organisation is the treasury, and it has an admin user, who initialises the ledger;
- the quorum is 1 to the number of verifier organisations, and more than half of them;
- port 0 stands for a free one, chosen when the network first comes up and kept from then on. Organisations
  whose `chaincode_port` is 0 share one chaincode service; a port of its own gives an organisation its own.

    name: market
    channel: quorumlearn
    chaincode: {name: quorumlearn, version: "1.0", quorum: 2}
    organisations:
    - name: verifier1
      msp_id: Verifier1MSP
      roles: [verifier]
      peer: {host: 127.0.0.1, port: 7051, chaincode_port: 7052}
      users: [{name: seat1, role: verifier}]

With a section `fabric` it describes a network of real Hyperledger Fabric nodes (`fabric/`), without one the
devnet. Then each organisation has a chaincode service of its own, and needs an admin: a user called `admin`
is made where none is described.

    fabric:
      runtime: containers                      # or native: the executables peer and orderer
      consensus: raft                          # three orderers, or bft, with four
      orderers: 3                              # or a list of {host, port, admin_port, operations_port}
      images: {peer: "hyperledger/fabric-peer:3.1"}
      policies: {lifecycle: MAJORITY, admins: MAJORITY}
"""

from __future__ import annotations

import re
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from quorumlearn_network.errors import NetworkError
from quorumlearn_network.identities import NAME_PATTERN

DEFAULT_HOST = "127.0.0.1"
LOG_FORM = "QUORUMLEARN_LOG"
"""The variable in which every program of ours is told the form of its log: text or json."""
MAX_SPEC_BYTES = 1 << 20
MAX_ORDERERS = 16
ADMIN_USER = "admin"


Name = Annotated[str, StringConstraints(pattern=rf"^{NAME_PATTERN}$")]
MspId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$")]
ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9.-]{0,248}$")]
ChaincodeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+([-_][A-Za-z0-9]+)*$", max_length=64)]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.+-]{1,64}$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:.-]{1,253}$")]
Image = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][A-Za-z0-9._/:@-]{0,254}$")]
Port = Annotated[int, Field(ge=0, le=65535)]


M = TypeVar("M", bound=BaseModel)


class SpecError(NetworkError):
    """A network description that cannot be used: file, field, value."""


class Role(StrEnum):
    """What an organisation, or one of its users, may do in the market."""

    TREASURY = "treasury"
    OWNER = "owner"
    MINER = "miner"
    VERIFIER = "verifier"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class UserSpec(_Strict):
    """An identity; without a role its organisation's roles are its own. An admin administers the channel."""

    name: Name
    role: Annotated[Role, Field(strict=False)] | None = None
    admin: bool = False


class PeerSpec(_Strict):
    """Where an organisation's peer answers, and where that peer finds its chaincode service.

    `operations_port` is where it answers for its metrics, and a Fabric peer for its health too.
    """

    host: Host = DEFAULT_HOST
    port: Port = 0
    chaincode_port: Port = 0
    operations_port: Port | None = None

    @property
    def address(self) -> str:
        return join_address(self.host, self.port)

    @property
    def chaincode_address(self) -> str:
        return join_address(self.host, self.chaincode_port)

    @property
    def operations_address(self) -> str:
        return join_address(self.host, self.operations_port or 0)


class OrganisationSpec(_Strict):
    """One organisation: an MSP, its roles, its peer and its users."""

    name: Name
    msp_id: MspId
    roles: Annotated[tuple[Annotated[Role, Field(strict=False)], ...], Field(min_length=1, strict=False)]
    peer: PeerSpec = PeerSpec()
    users: Annotated[tuple[UserSpec, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _users_fit(self) -> Self:
        _distinct("user", [user.name for user in self.users])
        _distinct("role", list(self.roles))
        for user in self.users:
            if user.role is not None and user.role not in self.roles:
                raise ValueError(f"user {user.name!r} is a {user.role}, which its organisation is not")
        return self


class OrdererSpec(_Strict):
    """The organisation that orders."""

    name: Name = "orderer"
    msp_id: MspId = "OrdererMSP"


class ChaincodeSpec(_Strict):
    """The chaincode, the Python module that serves it, and how many verifier organisations endorse.

    A new version, quorum or module for an existing ledger needs a higher sequence.
    """

    name: ChaincodeName = "quorumlearn"
    version: Version = "1.0"
    module: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")] = "quorumlearn_chaincode"
    sequence: Annotated[int, Field(ge=1)] = 1
    quorum: Annotated[int, Field(ge=1)]
    clock_slack_ms: Annotated[int, Field(ge=1, le=60_000)] = 2000
    """How far the clocks of honest organisations may be apart; no task's timeout may be as short as six times that."""
    collections: None = Field(default=None, exclude=True)
    """Private data collections, which no network made here has."""

    @field_validator("collections", mode="before")
    @classmethod
    def _no_collections(cls, given: object) -> None:
        if given:
            raise ValueError("private data collections are not supported")


class BatchSpec(_Strict):
    """When the orderer cuts a block."""

    timeout_ms: Annotated[int, Field(ge=1, le=60_000)] = 5
    max_messages: Annotated[int, Field(ge=1, le=10_000)] = 500
    preferred_max_bytes: Annotated[int, Field(ge=1024)] = 2 << 20
    absolute_max_bytes: Annotated[int, Field(ge=1024, le=99 << 20)] = 10 << 20

    @model_validator(mode="after")
    def _bytes_fit(self) -> Self:
        if self.preferred_max_bytes > self.absolute_max_bytes:
            raise ValueError(
                f"preferred_max_bytes {self.preferred_max_bytes} is over "
                f"absolute_max_bytes {self.absolute_max_bytes}"
            )
        return self


class Consensus(StrEnum):
    """How the orderers agree: Raft stands crashes of a minority, BFT also lies of less than a third."""

    RAFT = "raft"
    BFT = "bft"


class Runtime(StrEnum):
    """What Fabric's nodes run in."""

    CONTAINERS = "containers"
    NATIVE = "native"


class Share(StrEnum):
    """How many organisations must agree."""

    ANY = "ANY"
    MAJORITY = "MAJORITY"
    ALL = "ALL"


class Logs(StrEnum):
    """In which form the network's processes and nodes log."""

    TEXT = "text"
    JSON = "json"


class OrdererNodeSpec(_Strict):
    """Where one orderer answers: clients and other orderers, its administrator, health and metrics."""

    host: Host = DEFAULT_HOST
    port: Port = 0
    admin_port: Port = 0
    operations_port: Port = 0

    @property
    def address(self) -> str:
        return join_address(self.host, self.port)


class ImagesSpec(_Strict):
    """Container images. Of the chaincode's there is one of our own, from `chaincode/Dockerfile`."""

    peer: Image = "hyperledger/fabric-peer:3.1"
    orderer: Image = "hyperledger/fabric-orderer:3.1"
    chaincode: Image = "quorumlearn-chaincode"


class PoliciesSpec(_Strict):
    """Which share of all organisations must agree to a chaincode's definition, and to a change of the channel. A quorum of the
    verifier organisations is always among them (`render_agreement`).

    The chaincode's own endorsement policy follows from its quorum (`render_policy`).
    """

    lifecycle: Annotated[Share, Field(strict=False)] = Share.MAJORITY
    admins: Annotated[Share, Field(strict=False)] = Share.MAJORITY


class FabricSpec(_Strict):
    """What a network of real Fabric nodes has beside what every network has.

    `orderers` is a list of nodes, or their number; without it three with Raft and four with BFT. `here` names the
    organisations whose nodes run on this machine, the orderers' among them; without it all of them do.
    """

    runtime: Annotated[Runtime, Field(strict=False)] = Runtime.CONTAINERS
    consensus: Annotated[Consensus, Field(strict=False)] = Consensus.RAFT
    orderers: Annotated[tuple[OrdererNodeSpec, ...], Field(strict=False)] = ()
    images: ImagesSpec = ImagesSpec()
    policies: PoliciesSpec = PoliciesSpec()
    here: Annotated[tuple[Name, ...], Field(strict=False)] = ()

    @model_validator(mode="before")
    @classmethod
    def _number(cls, fields: object) -> object:
        if not isinstance(fields, dict):
            return fields
        usual = 4 if fields.get("consensus") == Consensus.BFT else 3
        number = fields.get("orderers", usual)
        if not isinstance(number, int) or isinstance(number, bool):
            return fields
        if not 1 <= number <= MAX_ORDERERS:
            raise ValueError(f"{number} orderers; a channel has 1 to {MAX_ORDERERS}")
        return {**fields, "orderers": [{} for _ in range(number)]}

    @model_validator(mode="after")
    def _enough(self) -> Self:
        fewest = 4 if self.consensus is Consensus.BFT else 1
        if not fewest <= len(self.orderers) <= MAX_ORDERERS:
            raise ValueError(
                f"{len(self.orderers)} orderers; {self.consensus} takes {fewest} to {MAX_ORDERERS}"
            )
        return self


class NetworkSpec(_Strict):
    """A whole network."""

    name: Name
    channel: ChannelName = "quorumlearn"
    chaincode: ChaincodeSpec
    batch: BatchSpec = BatchSpec()
    orderer: OrdererSpec = OrdererSpec()
    fabric: FabricSpec | None = None
    logs: Annotated[Logs, Field(strict=False)] = Logs.TEXT
    organisations: Annotated[tuple[OrganisationSpec, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _organisations_fit(self) -> Self:
        _distinct("organisation", [self.orderer.name, *(one.name for one in self.organisations)])
        _distinct("msp_id", [self.orderer.msp_id, *(one.msp_id for one in self.organisations)])
        peers = [one.peer.address for one in self.organisations if one.peer.port]
        _distinct("peer address", peers)
        for one in self.organisations:
            if one.peer.chaincode_port and one.peer.chaincode_address in peers:
                raise ValueError(
                    f"chaincode_port {one.peer.chaincode_port} of {one.name!r} is the port of a peer"
                )
        _distinct("address", self._listened())
        treasuries = [one for one in self.organisations if Role.TREASURY in one.roles]
        if len(treasuries) != 1:
            raise ValueError(f"{len(treasuries)} organisations are the treasury; exactly one must be")
        if not any(user.admin for user in treasuries[0].users):
            raise ValueError(
                f"the treasury {treasuries[0].name!r} has no admin user to initialise the ledger"
            )
        verifiers = len(self.verifiers)
        if not verifiers / 2 < self.chaincode.quorum <= verifiers:
            raise ValueError(
                f"chaincode.quorum {self.chaincode.quorum} must be more than half of the {verifiers} "
                "verifier organisations and no more than all"
            )
        return self

    def _listened(self) -> list[str]:
        """Every address a Fabric node listens on (chosen ones only). The devnet shares chaincode ports."""
        if self.fabric is None:
            return []
        known = [self.orderer.name, *(one.name for one in self.organisations)]
        for name in self.fabric.here:
            if name not in known:
                raise ValueError(f"fabric.here names {name!r}, which is none of {', '.join(known)}")
        for one in self.organisations:
            named = next((user for user in one.users if user.name == ADMIN_USER), None)
            if named is not None and not named.admin and not any(user.admin for user in one.users):
                raise ValueError(
                    f"user {ADMIN_USER!r} of {one.name!r} is no admin; with `fabric` an organisation needs one"
                )
        ports = [
            (one.peer.host, port)
            for one in self.organisations
            for port in (one.peer.port, one.peer.chaincode_port, one.peer.operations_port)
        ] + [
            (one.host, port)
            for one in self.fabric.orderers
            for port in (one.port, one.admin_port, one.operations_port)
        ]
        return [join_address(host, port) for host, port in ports if port]

    def is_here(self, name: str) -> bool:
        """Whether the nodes of an organisation, by name, run on this machine."""
        return self.fabric is None or not self.fabric.here or name in self.fabric.here

    @property
    def ours(self) -> tuple[OrganisationSpec, ...]:
        """The organisations whose peers run on this machine, and whose keys are here."""
        return tuple(one for one in self.organisations if self.is_here(one.name))

    @property
    def verifiers(self) -> tuple[OrganisationSpec, ...]:
        """The organisations that endorse."""
        return tuple(one for one in self.organisations if Role.VERIFIER in one.roles)

    @property
    def policies(self) -> PoliciesSpec:
        """Who must agree to what."""
        return self.fabric.policies if self.fabric is not None else PoliciesSpec()

    @property
    def treasury(self) -> OrganisationSpec:
        """The one organisation that mints."""
        return next(one for one in self.organisations if Role.TREASURY in one.roles)

    def organisation(self, name: str) -> OrganisationSpec:
        """The organisation of that name; SpecError naming those there are."""
        for one in self.organisations:
            if one.name == name:
                return one
        names = ", ".join(one.name for one in self.organisations)
        raise SpecError(f"the network {self.name!r} has no organisation {name!r}; it has {names}")


def load_spec(path: Path) -> NetworkSpec:
    """Read and check a network YAML file."""
    if not path.exists():
        raise SpecError(
            f"there is no {path}; `quorumlearn network example > market.yaml` makes one to begin with"
        )
    return parse_spec(_read(path), str(path))


def parse_spec(text: str, source: str) -> NetworkSpec:
    """Check the YAML `text`; `source` is what errors call it."""
    return _parsed(NetworkSpec, text, source)


def load_organisation(path: Path) -> OrganisationSpec:
    """Read and check a YAML file that describes one organisation, as an entry of `organisations` does."""
    return _parsed(OrganisationSpec, _read(path), str(path))


def example_text() -> str:
    """The YAML of a market of seven organisations on Fabric, to begin with."""
    return files("quorumlearn_network").joinpath("market.yaml").read_text(encoding="utf-8")


def dump_spec(spec: NetworkSpec) -> str:
    """The YAML of a description; `parse_spec` gives it back."""
    return yaml.safe_dump(
        spec.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True
    )


def render_policy(spec: NetworkSpec) -> str:
    """The chaincode's endorsement policy, in Fabric's language: a quorum of verifier organisations' peers."""
    peers = ", ".join(f"'{one.msp_id}.peer'" for one in spec.verifiers)
    return f"OutOf({spec.chaincode.quorum}, {peers})"


def default_spec(
    miner_organisations: int = 2, miners_each: int = 4, verifiers: int = 3, base_port: int = 0
) -> NetworkSpec:
    """A market: a treasury, an owner, miners' organisations, and one verifier organisation a seat.

    Peers take the ports from `base_port` on, the shared chaincode service the one after; 0 takes free ones.
    """
    if miner_organisations < 1 or miners_each < 1 or verifiers < 1:
        raise SpecError("a market needs at least one miner organisation, one miner in each and one verifier")
    made = [
        (
            "treasury",
            Role.TREASURY,
            [UserSpec(name="admin", admin=True), UserSpec(name="treasury", role=Role.TREASURY)],
        ),
        ("owner", Role.OWNER, [UserSpec(name="owner", role=Role.OWNER)]),
    ]
    for number in range(1, miner_organisations + 1):
        members = [UserSpec(name=f"miner{m}", role=Role.MINER) for m in range(1, miners_each + 1)]
        made.append((f"miners{number}", Role.MINER, members))
    verifier = UserSpec(name="verifier", role=Role.VERIFIER)
    made += [(f"verifier{number}", Role.VERIFIER, [verifier]) for number in range(1, verifiers + 1)]
    shared = base_port + len(made) if base_port else 0
    if shared > 65535:
        raise SpecError(f"base_port {base_port} leaves no room for {len(made) + 1} ports below 65536")
    organisations = tuple(
        OrganisationSpec(
            name=name,
            msp_id=f"{name.capitalize()}MSP",
            roles=(role,),
            peer=PeerSpec(port=base_port + index if base_port else 0, chaincode_port=shared),
            users=tuple(members),
        )
        for index, (name, role, members) in enumerate(made)
    )
    chaincode = ChaincodeSpec(quorum=verifiers // 2 + 1)
    return NetworkSpec(name="quorumlearn", chaincode=chaincode, organisations=organisations)


def join_address(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_SPEC_BYTES:
            raise SpecError(f"{path} is over {MAX_SPEC_BYTES} bytes; that is no network description")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror}") from error


def _parsed(kind: type[M], text: str, source: str) -> M:
    try:
        fields = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise SpecError(f"{source} is not YAML{where}") from error
    if not isinstance(fields, dict):
        named = "`name` and `organisations`" if kind is NetworkSpec else "`name` and `msp_id`"
        raise SpecError(f"{source} must hold fields such as {named}, not {type(fields).__name__}")
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise SpecError(_sentence(source, error)) from error


def _distinct(what: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{what} {str(value)!r} appears twice")


def _sentence(source: str, error: ValidationError) -> str:
    first = min(
        error.errors(), key=lambda one: one["type"] != "extra_forbidden"
    )  # a misspelt key, before the right one is missed
    field = ""
    for part in first["loc"]:
        field += f"[{part}]" if isinstance(part, int) else f".{part}"
    message = re.sub(r"^Value error, ", "", first["msg"])
    if first["type"] == "value_error":
        return f"{source}: {field.lstrip('.') or 'network'}: {message}"
    value = "" if first["type"] == "missing" else f" is {str(first['input'])[:80]!r}"
    return f"{source}: {field.lstrip('.')}{value}: {message[:1].lower()}{message[1:]}"
