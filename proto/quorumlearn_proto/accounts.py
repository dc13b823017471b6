"""An account on the ledger: `MSP/name`, an organisation's MSP id and the one common name of a certificate that it issued."""

from __future__ import annotations

import re

NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
"""The pattern of either part."""
NAME_IN_WORDS = "1 to 64 of A-Z a-z 0-9 . _ @ -, the first a letter or a digit"

_NAME = re.compile(NAME, re.ASCII)
_ACCOUNT = re.compile(f"{NAME}/{NAME}", re.ASCII)


def is_name(text: str) -> bool:
    """Whether this may be an MSP id, or a common name."""
    return _NAME.fullmatch(text) is not None


def is_account(text: str) -> bool:
    return _ACCOUNT.fullmatch(text) is not None
