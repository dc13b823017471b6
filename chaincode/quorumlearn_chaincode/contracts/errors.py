"""Refusals of the contracts: a stable code and a sentence, `[CODE] sentence`.

Clients branch on the code and show the sentence; codes are never renamed. They take a code as
text, so a new one changes no client. A refused transaction writes nothing.
"""

from __future__ import annotations

from enum import StrEnum

from quorumlearn_chaincode.runtime import ChaincodeError


class Code(StrEnum):
    """What a refusal is about, by what its caller can do about it."""

    # The call
    UNKNOWN_FUNCTION = "UNKNOWN_FUNCTION"
    """No such contract function."""
    BAD_ARGUMENT = "BAD_ARGUMENT"
    """An argument, or a field of a record, is malformed or out of its bounds."""
    BAD_AMOUNT = "BAD_AMOUNT"
    """Not a positive whole number of tokens within the limit."""
    NOT_SUPPORTED = "NOT_SUPPORTED"
    """A well-formed request for something that this version does not offer."""
    STALE_TIMESTAMP = "STALE_TIMESTAMP"
    """The transaction's timestamp is too far from the endorser's clock; send it anew."""
    # Who
    BAD_IDENTITY = "BAD_IDENTITY"
    """The certificate's organisation or common name cannot be an account."""
    WRONG_ORGANISATION = "WRONG_ORGANISATION"
    """The submitter's organisation has no part in this."""
    WRONG_ROLE = "WRONG_ROLE"
    """The submitter lacks the role, or takes no part in this task, round or phase."""
    NOT_THE_OWNER = "NOT_THE_OWNER"
    """Only the task's owner may."""
    NOT_YOUR_TURN = "NOT_YOUR_TURN"
    """Another miner's turn to propose."""
    # The ledger as a whole
    NOT_INITIALISED = "NOT_INITIALISED"
    """rewards:Initialise has not been called."""
    ALREADY_INITIALISED = "ALREADY_INITIALISED"
    """rewards:Initialise has been called."""
    CONFIG_NOT_AGREED = "CONFIG_NOT_AGREED"
    """The Config is not the one for which the organisation started its chaincode."""
    # Tokens
    NO_SUCH_ACCOUNT = "NO_SUCH_ACCOUNT"
    """Nothing was ever paid to this account."""
    OVERSPENDING = "OVERSPENDING"
    """The account holds less than the transaction takes."""
    # Records
    TASK_EXISTS = "TASK_EXISTS"
    TOO_MANY_TASKS = "TOO_MANY_TASKS"
    """The owner's organisation has as many tasks under way as it may."""
    NO_SUCH_TASK = "NO_SUCH_TASK"
    TASK_ALTERED = "TASK_ALTERED"
    """The Task record is gone, or its specification is not the one that was published."""
    NO_SUCH_ROUND = "NO_SUCH_ROUND"
    NO_SUCH_BLOCK = "NO_SUCH_BLOCK"
    NO_SUCH_STAKE = "NO_SUCH_STAKE"
    NO_SUCH_CHALLENGE = "NO_SUCH_CHALLENGE"
    # When
    WRONG_PHASE = "WRONG_PHASE"
    """The task, round, ceremony or block is not where this call belongs."""
    NOT_DUE = "NOT_DUE"
    """Nothing can move yet."""
    WINDOW_CLOSED = "WINDOW_CLOSED"
    """The time for a challenge is over."""
    # Once only
    ALREADY_JOINED = "ALREADY_JOINED"
    SEAT_TAKEN = "SEAT_TAKEN"
    ALREADY_COMMITTED = "ALREADY_COMMITTED"
    ALREADY_REVEALED = "ALREADY_REVEALED"
    ALREADY_POSTED = "ALREADY_POSTED"
    ALREADY_VOTED = "ALREADY_VOTED"
    ALREADY_CHALLENGED = "ALREADY_CHALLENGED"
    # What it must agree with
    DIGEST_MISMATCH = "DIGEST_MISMATCH"
    """A digest is not the one committed to, or not that of what is voted on."""
    DUPLICATE_UPDATE = "DUPLICATE_UPDATE"
    """This task has seen the same update revealed before."""


class Refusal(ChaincodeError):
    """A transaction that the contracts refuse. `code` is the stable code, `sentence` is for people."""

    def __init__(self, code: Code, sentence: str) -> None:
        super().__init__(f"[{code}] {sentence}")
        self.code = code
        self.sentence = sentence
