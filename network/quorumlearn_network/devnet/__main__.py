"""Serve a devnet: `python -m quorumlearn_network.devnet --config devnet.json`.

Prints `ready <MSP id>=<address> ...` on stdout once it serves; logs on stderr, one line an event, never a
payload; as JSON with QUORUMLEARN_LOG=json. Exit code 0 after SIGTERM or SIGINT, 2 with one line there if the configuration or the ledger
cannot be used, from the beginning or any more (a full disk).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from quorumlearn_network.devnet.app import serve
from quorumlearn_network.devnet.config import load_config
from quorumlearn_network.devnet.errors import DevnetError
from quorumlearn_network.devnet.logs import FORM, log_to_stderr


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m quorumlearn_network.devnet", description="An embedded Fabric network"
    )
    parser.add_argument("--config", type=Path, required=True, help="the devnet.json to serve")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    options = parser.parse_args(arguments)
    log_to_stderr(options.log_level.upper(), os.environ.get(FORM, ""))
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        serve(load_config(options.config))
    except DevnetError as error:
        sys.stderr.write(f"devnet: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
