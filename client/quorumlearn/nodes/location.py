"""Where a node's artifact store is: `store:` of the node's file, a folder, a URL, or a URL with options.

```yaml
store: s3://artifacts
store:
  url: s3://artifacts
  options:                                   # fsspec's, of the kind of store; for S3 those of s3fs
    endpoint_url: https://s3.example
    key: ${STORE_KEY}                        # from the environment of the node
    secret: ${STORE_SECRET}
```
Rules:
- `${NAME}` in an option is the environment's variable; one that is unset or empty is an error when the file is read;
- options are shown in no message, log or JSON, whether they come from the file or from the environment;
- a folder takes no options.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from quorumlearn.artifacts import ArtifactStore

_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Location(BaseModel):
    """A store's URL (or path) and fsspec's options for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str = Field(min_length=1)
    options: dict[str, JsonValue] = Field(default_factory=dict, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _text_is_the_url(cls, value: object) -> object:
        return {"url": value} if isinstance(value, str) else value

    @field_validator("options")
    @classmethod
    def _variables_are_set(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        filled(value)
        return value

    @model_validator(mode="after")
    def _folders_have_no_options(self) -> Self:
        if self.options and self.is_folder:
            raise ValueError("options go with a URL such as s3://BUCKET; a folder takes none")
        return self

    @property
    def is_folder(self) -> bool:
        return "://" not in self.url or self.url.startswith("file://")

    def below(self, folder: Path) -> Self:
        """The same place, a relative path taken from `folder`."""
        if "://" in self.url:
            return self
        return self.model_copy(update={"url": (folder / self.url).as_uri()})

    def opened(self, organisation: str, copies: Path) -> ArtifactStore:
        """The store, written to in an organisation's name, with a folder for copies; an ArtifactError if it is not there."""
        return ArtifactStore(self.url, organisation=organisation, options=filled(self.options), copies=copies)


def filled(options: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The options with the environment's variables in them; ValueError names one that is not set."""
    return {name: _filled(value) for name, value in options.items()}


def _filled(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _variable(found[1]), value)
    if isinstance(value, dict):
        return filled(value)
    if isinstance(value, list):
        return [_filled(one) for one in value]
    return value


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ValueError(
            f"the environment has no variable {name}, or it is empty: set it where the node is started"
        )
    return value
