"""Runs QuorumLearn's chaincode as a service: `python -m quorumlearn_chaincode`.

Prints one line, `ready <address> <package id>`, once peers can connect; logs to stderr, one line a
transaction. Its settings come from the environment (see `runtime/settings.py`), which the flags override.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .runtime import ServiceError, ServiceSettings, serve, tls_from_environment
from .runtime.logs import FORM, log_to_stderr

_EXAMPLE = """\
example:
  CHAINCODE_ID=quorumlearn_1.0:5f1c...c4 python -m quorumlearn_chaincode --address 0.0.0.0:9999

environment: CHAINCODE_SERVER_ADDRESS, CHAINCODE_ID, CHAINCODE_TLS_DISABLED ("false" turns TLS on),
CHAINCODE_TLS_KEY, CHAINCODE_TLS_CERT, CHAINCODE_CLIENT_CA_CERT (with it, peers need a certificate of that
CA), QUORUMLEARN_CONFIG_DIGEST (of the only configuration that it lets a ledger be initialised with),
QUORUMLEARN_LOG ("json": one JSON object a line)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT. Returns 0, or 2 if the service cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m quorumlearn_chaincode",
        description="QuorumLearn's chaincode, as a service that Fabric's peers dial.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--address", help="host:port to listen on; port 0 takes a free one")
    add("--chaincode-id", help="the package id: label:hash, as the peer shows it")
    add("--workers", type=int, default=64, help="transactions at a time (default: %(default)s)")
    add("--reply-timeout", type=float, default=30.0, metavar="S", help="seconds to wait for a peer (30)")
    add("--max-message-bytes", type=int, default=-1, metavar="N", help="refuse larger messages (no limit)")
    add("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    flags = parser.parse_args(arguments)
    log_to_stderr(flags.log_level, os.environ.get(FORM, ""))
    try:
        settings = ServiceSettings(
            package_id=flags.chaincode_id or os.environ.get("CHAINCODE_ID", ""),
            address=flags.address or os.environ.get("CHAINCODE_SERVER_ADDRESS", ""),
            tls=tls_from_environment(os.environ),
            workers=flags.workers,
            reply_timeout=flags.reply_timeout,
            max_message_bytes=flags.max_message_bytes,
        )
        from .contracts import chaincode

        def ready(address: str) -> None:
            sys.stdout.write(f"ready {address} {settings.package_id}\n")
            sys.stdout.flush()

        serve(chaincode, settings, ready)
    except ServiceError as error:
        sys.stderr.write(f"quorumlearn_chaincode: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
