"""Who is asked to endorse what happens in a task: as many verifier organisations as the ledger's policies want, all at once.

Left to itself a peer endorses first, learns from its own answer who else must, and asks them then: two endorsements one after the
other, and for a miner, whose peer does not count, one more than is needed.

Rules: a verifier names its own organisation first; everybody else begins at a place of its own, so that the work is spread. Those
named are not believed when they do not endorse, whatever they say: the peer then chooses, which goes by its own ledger and around
whoever refuses what others endorse, and the next time others are named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import structlog
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import Config

from quorumlearn.gateway import EndorseError
from quorumlearn.nodes.market import refusal

NAMED_FOR = "blocks:"
"""All that these functions write is under the policy of the quorum; a Task is under its owner's too."""

log = structlog.get_logger()


class GatewayContract(Protocol):
    """What is needed of a gateway's contract."""

    def evaluate(self, function: str, *args: str) -> bytes: ...

    def submit(self, function: str, *args: str, endorsing_organisations: Sequence[str] = ()) -> bytes: ...


class QuorumContract:
    """A contract whose transactions name their endorsers, for the identity `me` (`MSP/name`)."""

    def __init__(self, contract: GatewayContract, me: str) -> None:
        self._contract = contract
        self._me = me
        self._turn = 0

    def evaluate(self, function: str, *args: str) -> bytes:
        return self._contract.evaluate(function, *args)

    def submit(self, function: str, *args: str) -> bytes:
        if function.startswith(NAMED_FOR):
            named = endorsers(self._config, self._me, self._turn)
            try:
                return self._contract.submit(function, *args, endorsing_organisations=named)
            except EndorseError as error:
                self._turn += 1
                if refusal(error) is None:
                    log.info("the peer chooses who endorses", function=function, named=named, why=str(error))
        return self._contract.submit(function, *args)

    @cached_property
    def _config(self) -> Config:
        """Set once, when the ledger was initialised; only owners and miners are admitted later."""
        return canonical.from_json(Config, self._contract.evaluate("rewards:Config"))


def endorsers(config: Config, me: str, turn: int) -> list[str]:
    """The verifier organisations to name, as many as the quorum; another choice at each turn, if there is one."""
    verifiers = sorted(config.verifier_msps)
    own = me.partition("/")[0]
    others = [one for one in verifiers if one != own]
    first = [own] if own in verifiers else []
    start = int.from_bytes(hashlib.sha256(me.encode()).digest()[:4], "big") + turn
    rotated = [others[(start + i) % len(others)] for i in range(len(others))]
    return (first + rotated)[: config.verifier_quorum]
