"""What a bad seat makes of the ballot that its node has fixed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from quorumlearn.nodes.organisation import Organisation
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.derived import fixed_ballot


def fixed_anew(
    organisation: Organisation, task: str, number: int, change: Callable[[b.Ballot], None]
) -> ArtifactRef:
    """The last ballot of the organisation's verifier in a round, changed in its journal; by which digest it is known now."""
    journal = organisation.journal.below("verifier").below(task).below(f"round-{number}")
    entry = max(name for name in journal.names() if name.startswith("ballot-"))
    ballot = canonical.from_json(b.Ballot, journal.get(entry) or b"")
    change(ballot)
    kept = fixed_ballot(ballot)
    journal.put(entry, kept)
    return ArtifactRef(digest=hashlib.sha256(kept).hexdigest(), size=len(kept))
