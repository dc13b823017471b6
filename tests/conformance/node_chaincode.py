"""Serves node/chaincode.js, a chaincode on Fabric's official Node runtime, as the other chaincodes are served.

The process stays in front of Node, so that whoever started it finds it again, and passes signals on to it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from types import FrameType

from tests.conformance.node_packages import SOURCES


def main() -> int:
    with subprocess.Popen(["node", str(SOURCES / "chaincode.js")]) as node:

        def pass_on(number: int, _: FrameType | None) -> None:
            node.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, pass_on)
        return node.wait()


if __name__ == "__main__":
    sys.exit(main())
