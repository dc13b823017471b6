"""The file that `quorumlearn node run` reads: one organisation's identities and where its things are.

```yaml
organisation: quorumlearn-network/organisations/hospital-a   # made by `network up`; holds connection.json and users
store: file:///srv/quorumlearn/artifacts                     # artifact store shared by all; or {url, options} (nodes/location)
state: state/hospital-a                                      # journals; private
data: data/mnist                                             # where samples are; or by workload: {mnist-*: data/mnist, risk: risk.csv}
workloads: {risk: "risk:RISK"}                               # workloads that no installed package brings: module:NAME in this folder
compute_slots: 1                                             # trainings at the same time
live_tasks: 16                                               # tasks that it plays at the same time; others are left out
data_budget: 200                                             # rounds that one data set may take part in, over all tasks
chunk_cache: 4096                                            # MiB of tasks' data that it keeps on its disk; 0 keeps none
data_keys: [mnist.keys]                                      # an owner's: files of content keys of sealed data (docs/store.md)
renew_keys: 0                                                # and after how many rounds a key is renewed; 0: once somebody who had it left
workers: 2                                                   # processes for encrypted updates; 0: in the node itself
accept:                                                      # what it asks of a task (docs/terms.md); these are some of the defaults
  largest_stake: 1000
  shortest_timeouts: {commit: 60}
identities:
  - user: miner1                                               # the folder users/miner1; the account is the certificate's
    role: miner
    tasks: ["mnist-*"]                                       # which tasks it joins
    # chunks: 2                                                # where replayed training is paid by steps: on so many of its chunks at most
    # leaves: ["mnist-1"]                                      # a verifier: whose committees it leaves, and takes no seat in
    part: ""                                                   # its part of the data, in the workload's own words
    shard: iid:0/8@7                                             # and of that one share, if samples are dealt out
```

On a Fabric network that exists, `connection` stands in the place of `organisation`: a file of its own, which commands take too, or
what would be in it (quorumlearn.gateway.settings, docs/fabric.md); an identity then says who signs:

```yaml
connection: {profile: connection-org1.yaml, channel: market}
identities:
  - {user: miner1, role: miner, msp: users/User1@org1.example.com/msp}
```
Relative paths are relative to the file. Unknown keys are errors.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from quorumlearn_proto.accounts import NAME

from quorumlearn.attacks import BehaviourError, make_behaviour
from quorumlearn.gateway import ConnectionSettings, CredentialSettings, load_connection
from quorumlearn.learning import WORKLOADS, ShardError, ShardSpec, origins, register
from quorumlearn.nodes.location import Location
from quorumlearn.nodes.terms import Terms


class ConfigError(Exception):
    """A file that is not what it should be; the message names file, field and what is wrong."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IdentityConfig(CredentialSettings):
    """One identity of the organisation and what it does. What says who signs (`msp`, or `certificate` and `key`) may be left out
    where `user` is a folder below the organisation's users, or an identity that the connection names.
    """

    user: str = Field(
        pattern=f"^{NAME}$",
        description="what its journals are called; its account is its certificate's",
    )
    role: Literal["owner", "miner", "verifier"]
    tasks: tuple[str, ...] = ("*",)
    leaves: tuple[str, ...] = ()
    part: str = ""
    shard: str | None = None
    chunks: int | None = Field(
        None,
        ge=1,
        description="of those it is assigned, where replayed training is paid by steps; all by default, and in other tasks",
    )
    behaviour: str = "honest"

    @field_validator("shard")
    @classmethod
    def _shard(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                ShardSpec.parse(value)
        except ShardError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("behaviour")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            make_behaviour(value)
        except BehaviourError as error:
            raise ValueError(str(error)) from error
        return value


class NodeConfig(_Strict):
    """One organisation's node."""

    organisation: Path | None = None
    connection: ConnectionSettings | None = None
    channel: str = "quorumlearn"
    chaincode: str = "quorumlearn"
    store: Location
    state: Path
    data: str | dict[str, str] | None = None
    workloads: dict[str, str | dict[str, Any]] = {}
    compute_slots: int = Field(1, ge=1, le=64)
    live_tasks: int = Field(16, ge=1, le=1000)
    data_budget: int = Field(200, ge=0)
    chunk_cache: int = Field(4096, ge=0)
    data_keys: tuple[Path, ...] = ()
    renew_keys: int = Field(0, ge=0)
    accept: Terms = Terms.model_validate({})
    workers: int = Field(min(2, os.cpu_count() or 1), ge=0, le=64)
    identities: tuple[IdentityConfig, ...] = Field(min_length=1)

    def workload_names(self) -> tuple[str, ...]:
        """The workloads that the file speaks of: those of its own, and of each name or pattern under `data` the first that is installed.
        A file that names none means those that QuorumLearn brings, unless other packages bring some: then it does not say."""
        named, known = list(self.workloads), origins()
        if isinstance(self.data, dict):
            named += [one for pattern in self.data for one in fnmatch.filter(known, pattern)[:1]]
        elif not named and all(one.kind != "entry point" for one in known.values()):
            named = [*WORKLOADS[:1]]
        return tuple(dict.fromkeys(named))

    def source_of(self, workload: str) -> str | None:
        """Where the samples of this workload are: what `data` says of its name, None if nothing."""
        if not isinstance(self.data, dict):
            return self.data
        return next((where for name, where in self.data.items() if fnmatch.fnmatchcase(workload, name)), None)

    @field_validator("identities")
    @classmethod
    def _distinct(cls, value: tuple[IdentityConfig, ...]) -> tuple[IdentityConfig, ...]:
        users = [identity.user for identity in value]
        if len(set(users)) != len(users):
            raise ValueError("a user appears twice")
        return value

    @model_validator(mode="after")
    def _one_network(self) -> Self:
        if (self.organisation is None) == (self.connection is None):
            raise ValueError("give organisation (a folder) or connection, and not both")
        return self


def load(path: Path) -> NodeConfig:
    """Read and check a node's file; ConfigError says in one sentence what is wrong."""
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    try:
        config = NodeConfig.model_validate(with_connection(fields, path.resolve().parent))
    except ValidationError as error:
        raise ConfigError(explain(path, error, NodeConfig)) from error
    base = path.resolve().parent
    for name, place in config.workloads.items():
        register(name, place, base)
    return config.model_copy(
        update={
            "organisation": base / config.organisation if config.organisation else None,
            "connection": config.connection.below(base) if config.connection else None,
            "identities": tuple(one.below(base) for one in config.identities),
            "state": base / config.state,
            "data_keys": tuple(base / one for one in config.data_keys),
            "data": _sources(config.data, base),
            "store": config.store.below(base),
        }
    )


def _sources(data: str | dict[str, str] | None, base: Path) -> str | dict[str, str] | None:
    """What `data` says, its paths relative to `base`. What is there is a path; all else is the workload's own word."""
    if isinstance(data, dict):
        return {name: str(_sources(where, base)) for name, where in data.items()}
    if data is None or "://" in data:
        return data
    path = base / data
    return str(path) if path.exists() or "/" in data else data


def with_connection(fields: object, base: Path) -> object:
    """A node's fields with the file read that `connection` names, and channel and chaincode as the connection says, unless the
    node's file does."""
    if not isinstance(fields, dict) or "connection" not in fields:
        return fields
    connection = fields["connection"]
    if isinstance(connection, str):
        connection = load_connection(base / connection).model_dump(exclude_unset=True)
    if not isinstance(connection, dict):
        return fields
    named = {name: connection[name] for name in ("channel", "chaincode") if name in connection}
    return {**named, **fields, "connection": connection}


def explain(path: Path, error: ValidationError, model: type[BaseModel]) -> str:
    """Pydantic's first complaint as one sentence, a key that there is not before any that is missing."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    field = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] != "extra_forbidden":
        return f"{path}: {field}: {first['msg'].removeprefix('Value error, ')}"
    known = _keys(model, first["loc"][:-1])
    near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"{path}: {field}: there is no such key; {hint}"


def _keys(model: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """The keys that a file has at a place below `model`."""
    for part in place:
        if isinstance(part, str) and part in model.model_fields:  # else the name of an entry
            kinds = (model.model_fields[part].annotation, *get_args(model.model_fields[part].annotation))
            model = next(one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel))
    return [field.alias or name for name, field in model.model_fields.items()]
