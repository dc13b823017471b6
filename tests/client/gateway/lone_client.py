"""A client alone in its process: `python lone_client.py ENDPOINT MSP_FOLDER TLS_ROOT`.

Nobody else's calls poll gRPC for it. It prints `failed` for each call that found no peer, `answered` for each that did, and for each block
its stream brings, `block`. A line on its standard input has it call, as a node does: again after a second at most, until it is answered.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from quorumlearn.gateway import GatewayError, Network, connect, load_msp


def say(word: str) -> None:
    print(word, flush=True)  # noqa: T201


def call(network: Network) -> None:
    while True:
        try:
            network.chain_info()
        except GatewayError:
            say("failed")
            time.sleep(1.0)
        else:
            say("answered")
            return


def watch(network: Network) -> None:
    with network.block_events(start=0) as blocks:
        for _ in blocks:
            say("block")


def main() -> None:
    endpoint, msp, tls_root = sys.argv[1:]
    gateway = connect(endpoint, *load_msp(Path(msp), "OrgMSP"), tls_root=Path(tls_root).read_bytes())
    network = gateway.network("ch")
    for line in sys.stdin:
        if line.strip() == "watch":
            threading.Thread(target=watch, args=(network,), daemon=True).start()
        else:
            call(network)


if __name__ == "__main__":
    main()
