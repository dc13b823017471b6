"""The parameters that a task may give its rule, each within bounds beyond which a rule keeps out nobody, or everybody.

What they do, `quorumlearn.robust.registry` says. The ledger takes a rule of any name, with these parameters only, and for a rule that is
not QuorumLearn's what its package calls `own_...`, which is any short text: no contract knows what would be beyond bounds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .arguments import bad, digest, shown

ROOT_DIGEST = "root_digest"
RULE_DIGEST, RULE_VERSION = "rule_digest", "rule_version"
"""Of a rule that is not QuorumLearn's: which copy of it all verifiers must have (`quorumlearn.robust.plugins`)."""
_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)
_OWN = re.compile(r"own_[a-z0-9_]{1,36}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,39}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?(e-?[0-9]{1,2})?", re.ASCII)


@dataclass(frozen=True)
class Bound:
    """From `low` to `high`, both included; no `high`: the task's max_miners."""

    low: float
    high: float | None = None
    whole: bool = True


BOUNDS: Mapping[str, Bound] = {
    "selected": Bound(1),
    "nearest": Bound(1),
    "bucket_size": Bound(1),
    "steps": Bound(1, 1000),
    "margin": Bound(0, 0.5, whole=False),
    "least_new": Bound(0.1, 0.95, whole=False),
    "slack": Bound(1, 10, whole=False),
    "smoothing": Bound(1e-9, 1, whole=False),
    "clip": Bound(1e-6, 1e6, whole=False),
    "radius": Bound(1e-6, 1e6, whole=False),
    "root_size": Bound(1, 1 << 24),
}


def check_parameters(parameters: Mapping[str, str], max_miners: int) -> None:
    """Refuse a parameter that no rule has or whose value is beyond its bounds."""
    for name in sorted(parameters):
        text, field = parameters[name], f"rule.parameters[{name}]"
        if name in (ROOT_DIGEST, RULE_DIGEST):
            digest(field, text)
            continue
        if name == RULE_VERSION or _OWN.fullmatch(name):
            if not _WORD.fullmatch(text):
                raise bad(
                    f"{field} is {shown(text)}: at most 40 letters, digits and . + _ -, of which a letter or digit is the first"
                )
            continue
        bound = BOUNDS.get(name)
        if bound is None:
            known = ", ".join(sorted((*BOUNDS, ROOT_DIGEST, RULE_DIGEST, RULE_VERSION)))
            raise bad(f"rule.parameters has {shown(name)}: there are {known}, and own_...")
        high = max_miners if bound.high is None else bound.high
        form = _WHOLE if bound.whole else _NUMBER
        if not form.fullmatch(text) or not bound.low <= float(text) <= high:
            kind = "a whole number" if bound.whole else "a number"
            raise bad(f"{field} is {shown(text)}: {kind} from {bound.low:g} to {high:g}")
