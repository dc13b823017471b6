"""Who is asked to endorse what happens in a task: as many verifier organisations as the ledger's policies want, all at once.

Left to itself a peer endorses first, learns from its own answer who else must, and asks them then: two endorsements one after the
other, and for a miner, whose peer does not count, one more than is needed. It also waits for a peer that hangs.

Rules:
- a verifier names its own organisation first; everybody else begins at a place of its own, so that the work is spread;
- who may have been the reason that an answer did not come, or that two differed (a peer that is behind), is passed over for a while,
  longer each time, and others are named at once; whoever endorses with others is trusted again. The own organisation is no
  exception: meanwhile a query is answered by a quorum of verifiers, who must agree, for none of them is trusted alone;
- those named are not believed when they refuse, whatever they say: the peer then chooses, which goes by its own ledger and around
  whoever refuses what others endorse, and the next time others are named.

Nothing is sent a second time here: the gateway makes the attempts, and asks for each who is to endorse (`Choice`). A query that the own
peer did not answer is put to others once, as another kind of question.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import Config

from quorumlearn.gateway import EndorseError, Endorsers, EvaluateError
from quorumlearn.nodes.market import refusal

NAMED_FOR = "blocks:"
"""All that these functions write is under the policy of the quorum; a Task is under its owner's too."""
CONFIG = "rewards:Config"
CHOICES = 3
"""Sets of endorsers that are tried while some of them may be why it fails: whoever it is, the third is without it."""
FIRST_REST, LONGEST_REST = 10.0, 60.0
"""Seconds for which an organisation is passed over."""
NEVER = (0, 0.0, -math.inf)
"""Of who has always answered: how often it was missed, for how long it is passed over then, and until when."""

log = structlog.get_logger()


class GatewayContract(Protocol):
    """What is needed of a gateway's contract."""

    def evaluate(self, function: str, *args: str) -> bytes: ...

    def evaluate_jointly(
        self, function: str, *args: str, endorsing_organisations: Sequence[str] = ()
    ) -> bytes: ...

    def submit(
        self, function: str, *args: str, endorsing_organisations: Sequence[str] | Endorsers = ()
    ) -> bytes: ...


class Answering:
    """What a node knows of the organisations' peers: which are verifiers', and which did not answer lately. For all its threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.config: Config | None = None
        """Of the ledger, once it was read: it is set once, when the ledger is initialised."""
        self._clock = clock
        self._lock = threading.Lock()
        self._silent: dict[str, tuple[int, float, float]] = {}

    def missed(self, organisations: Iterable[str]) -> None:
        """No answer came, or two differed, and it may have been because of any of these."""
        with self._lock:
            for one in organisations:
                times, rest, until = self._silent.get(one, NEVER)
                if self._clock() >= until:  # many threads miss the same answer; they are one miss
                    rest = min(max(2 * rest, FIRST_REST), LONGEST_REST)
                    until = self._clock() + rest
                self._silent[one] = times + 1, rest, until

    def heard(self, organisations: Iterable[str]) -> None:
        """They answered."""
        with self._lock:
            for one in organisations:
                self._silent.pop(one, None)

    def doubt(self, organisation: str) -> int:
        """How often it may have been the reason, while it is passed over; 0 if it is to be asked as any other."""
        with self._lock:
            times, _, until = self._silent.get(organisation, NEVER)
            return times if self._clock() < until else 0


class Choice:
    """Who is to endorse one call, for the gateway, which asks at each of its attempts: a quorum of verifiers, others where some of
    these did not answer, and at last whom the peer chooses."""

    def __init__(self, function: str, config: Config, me: str, turn: int, answering: Answering) -> None:
        self._function = function
        self._config, self._me, self._turn, self._answering = config, me, turn, answering
        self._missed: Counter[str] = Counter()
        self._left = CHOICES
        self.named = self._next()
        """Who was named last; nobody where the peer chooses."""
        self.refused = False
        """Whether those named have refused."""

    def __call__(self, failure: EndorseError | None) -> Sequence[str] | None:
        if failure is None:
            return self.named
        if failure.unreachable or not self.named:
            return None
        suspects = failure.suspects(self.named)
        if suspects:
            self._missed.update(suspects)
            self._answering.missed(suspects)
            log.warning(
                "others are named", function=self._function, instead_of=sorted(suspects), why=str(failure)
            )
        else:
            self.refused = True
            if refusal(failure) is None:
                log.info("the peer chooses", function=self._function, named=self.named, why=str(failure))
        self.named = self._next() if suspects and self._left else []
        return self.named

    def _next(self) -> list[str]:
        self._left -= 1
        doubt = self._answering.doubt
        return endorsers(self._config, self._me, self._turn, lambda one: (self._missed[one], doubt(one)))


class QuorumContract:
    """A contract whose transactions name their endorsers, for the identity `me` (`MSP/name`)."""

    def __init__(self, contract: GatewayContract, me: str, answering: Answering | None = None) -> None:
        self._contract = contract
        self._me = me
        self._own = me.partition("/")[0]
        self._answering = answering or Answering()
        self._turn = 0

    def evaluate(self, function: str, *args: str) -> bytes:
        """The own organisation's peer answers, or finds one that does; while it does not, a quorum of verifiers."""
        answering = self._answering
        if answering.config is not None and answering.doubt(self._own):
            return self._ask_quorum(answering.config, function, *args)
        try:
            answer = self._contract.evaluate(function, *args)
        except EvaluateError as error:
            if not error.timed_out or answering.config is None:
                raise
            answering.missed([self._own])
            log.warning("others are asked", instead_of=self._own, function=function, why=str(error))
            return self._ask_quorum(answering.config, function, *args)
        if answering.config is None:
            with contextlib.suppress(EvaluateError):  # not initialised yet: looked for after the next query
                self._config()
        return answer

    def _ask_quorum(self, config: Config, function: str, *args: str) -> bytes:
        named = endorsers(config, self._me, self._turn, self._answering.doubt)
        try:
            answer = self._contract.evaluate_jointly(function, *args, endorsing_organisations=named)
        except EndorseError as error:
            if error.timed_out:  # so it may be the gateway that hangs, and not what is behind it
                self._answering.heard([self._own])
            self._answering.missed(error.suspects(named) - {self._own})
            raise
        self._answering.heard(named)
        return answer

    def submit(self, function: str, *args: str) -> bytes:
        if not function.startswith(NAMED_FOR):
            return self._contract.submit(function, *args)
        choice = Choice(function, self._config(), self._me, self._turn, self._answering)
        try:
            result = self._contract.submit(function, *args, endorsing_organisations=choice)
        finally:
            self._turn += choice.refused
        self._answering.heard(choice.named)
        return result

    def _config(self) -> Config:
        """Only owners and miners are admitted after the ledger was initialised."""
        if self._answering.config is None:
            self._answering.config = canonical.from_json(Config, self._contract.evaluate(CONFIG))
        return self._answering.config


def no_doubt(organisation: str) -> int:
    """All of them answer."""
    return 0


def endorsers(
    config: Config, me: str, turn: int, doubt: Callable[[str], int | tuple[int, int]] = no_doubt
) -> list[str]:
    """The verifier organisations to name, as many as the quorum, those first that are least in doubt; another choice at each
    turn, if there is one."""
    verifiers = sorted(config.verifier_msps)
    own = me.partition("/")[0]
    others = [one for one in verifiers if one != own]
    first = [own] if own in verifiers else []
    start = int.from_bytes(hashlib.sha256(me.encode()).digest()[:4], "big") + turn
    rotated = [others[(start + i) % len(others)] for i in range(len(others))]
    return sorted(first + rotated, key=doubt)[: config.verifier_quorum]
