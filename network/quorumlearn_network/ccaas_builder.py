"""Fabric's external builder for chaincode as a service, for peers that run without containers.

The peer image holds such a builder; a peer started as a process is given this one. Fabric calls three programs,
`detect`, `build` and `release`, with folders as arguments; here they are one module called with that name first. The
address in `connection.json` is a template, `{{.ccaddr}}`, that the peer's CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG
(`{"ccaddr": "127.0.0.1:9999"}`) fills in. Only the standard library is imported: it is started for each peer (by what
`fabric/native` writes).

Source: Fabric, "External Builders and Launchers".
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENT = "CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG"
_FIELD = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")


def main(arguments: Sequence[str]) -> int:
    """0 if done; 1, with a sentence on standard error, if the package is not ours or cannot be built."""
    try:
        match arguments:
            case ["detect", _, metadata]:
                return 0 if _kind(Path(metadata)) == "ccaas" else 1
            case ["build", source, _, output]:
                connection = (Path(source) / "connection.json").read_text(encoding="utf-8")
                filled = _fill(connection, json.loads(os.environ.get(ENVIRONMENT, "{}")))
                (Path(output) / "connection.json").write_text(filled, encoding="utf-8")
                return 0
            case ["release", built, output]:
                server = Path(output) / "chaincode" / "server"
                server.mkdir(parents=True)
                connection = (Path(built) / "connection.json").read_text(encoding="utf-8")
                (server / "connection.json").write_text(connection, encoding="utf-8")
                return 0
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"ccaas: {error}\n")
        return 1
    sys.stderr.write("usage: ccaas_builder.py detect|build|release FOLDER...\n")
    return 1


def _kind(metadata: Path) -> str:
    fields = json.loads((metadata / "metadata.json").read_text(encoding="utf-8"))
    return str(fields["type"]).lower()


def _fill(text: str, values: dict[str, str]) -> str:
    """`text` with each {{.name}} replaced; KeyError for a name without a value."""
    return _FIELD.sub(lambda match: values[match.group(1)], text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
