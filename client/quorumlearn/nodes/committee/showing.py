"""A seat's ballot from when it is fixed until it is shown (phase VALIDATE, contracts/ballots).

Rules:
- A ballot is written to the journal before its digest goes to the ledger, and put into the store only once all seats of the round have
  fixed theirs, or half of the phase's time is over.
- The first of these seats puts all that the store shows on the ledger, in one transaction. Each other one leaves those before it
  a second each, then does the same. So a seat that is gone, or shows nothing, holds up the others' ballots for seconds only.
- What of others' does not read as a ballot is left out. If the ledger takes no ballots together, a seat's own goes alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.derived import fixed_ballot

from quorumlearn.artifacts import ArtifactError, ArtifactStore, reference_of
from quorumlearn.nodes import triggers
from quorumlearn.nodes.feed import News
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market, Refused

log = structlog.get_logger()

MOST_BYTES = 4096
"""More than a ballot takes."""
WAIT_SECONDS = 1.0
"""How long others' ballots are looked for, and each seat before this one is left to show them."""


@dataclass(frozen=True)
class Showing:
    """Of one seat in one round; `journal` is the round's."""

    me: str
    market: Market
    store: ArtifactStore
    journal: Journal

    def fixed(self, view: b.TaskView) -> ArtifactRef | None:
        """The ballot on the present candidate that this seat has fixed before; None if it has not."""
        kept = self.journal.get(_entry(view))
        return None if kept is None else reference_of(kept)

    def fix(self, view: b.TaskView, ballot: b.Ballot) -> ArtifactRef:
        """Keep a ballot, with a fresh nonce, and say by which digest it is known."""
        ballot.nonce = secrets.token_bytes(32).hex()
        kept = fixed_ballot(ballot)
        self.journal.put(_entry(view), kept)
        return reference_of(kept)

    def show(self, view: b.TaskView, news: News) -> None:
        """Show this seat's, and all that others show unless a seat before this one does."""
        own = self.journal.get(_entry(view))
        if own is None:
            log.warning(
                "has lost its ballot", task=view.round.task_id, round=view.round.number, identity=self.me
            )
            return
        task, number = view.round.task_id, view.round.number
        self.store.put(own, (task, number))
        fixed = triggers.fixed_ballots(view, news())
        before = sorted(fixed).index(self.me) if self.me in fixed else 0
        news.wait(before * WAIT_SECONDS, triggers.moved)
        if triggers.moved(news()):
            return
        ballots = [canonical.from_json(b.Ballot, own), *self._others(view, fixed)]
        try:
            self.market.show_ballots(task, number, b.Ballots(ballots=ballots))
        except Refused as refusal:
            if refusal.code not in ("BAD_ARGUMENT", "DIGEST_MISMATCH"):
                raise
            self.market.show_ballots(task, number, b.Ballots(ballots=ballots[:1]))

    def _others(self, view: b.TaskView, fixed: Mapping[str, ArtifactRef]) -> list[b.Ballot]:
        found = []
        for who, ref in fixed.items():
            if who == self.me:
                continue
            try:
                self.store.wait(ref, timeout=WAIT_SECONDS, poll=0.005, author=who)
                found.append(canonical.from_json(b.Ballot, self.store.get(ref, MOST_BYTES, who)))
            except (ArtifactError, canonical.CanonicalError) as error:
                log.warning("no ballot", task=view.round.task_id, identity=self.me, of=who, why=str(error))
        return found


def _entry(view: b.TaskView) -> str:
    return f"ballot-{view.round.proposer_turn}"
