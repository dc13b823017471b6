"""Why a round paid its miners nothing, a task ended early, or work was not taken, in words: the codes are those of docs/protocol.md."""

from __future__ import annotations

from collections.abc import Mapping

from quorumlearn_proto import block_pb2 as b

ROUND_ENDS: Mapping[str, str] = {
    "KEY_FAILED": "the committee could not make the round's key",
    "TOO_FEW_COMMITS": "fewer miners than the task's minimum committed an update in time",
    "TOO_FEW_REVEALS": "fewer miners than the task's minimum revealed their updates in time",
    "TOO_FEW_TRACES": "fewer miners than the task's minimum opened the traces of their trainings in time",
    "TOO_FEW_VERIFIERS": "fewer verifiers than the threshold were left",
    "NO_SELECTION": "too few verifiers agreed on the miners' weights",
    "NO_CONTRIBUTION": "the verifiers found every update faulty",
    "TOO_FEW_CONTRIBUTIONS": "too few updates could be added up (the task's min_aggregate) or weighed by its rule",
    "SHARES_CONTRADICT": "the verifiers' shares contradict each other, and it cannot be told whose are false",
    "NO_AGGREGATE": "too few verifiers agreed on the aggregate",
    "NO_PROPOSAL": "none of the drawn miners proposed a block that stood",
    "NO_DECISION": "too few verifiers agreed on the proposed block",
    "VOTED_DOWN": "the verifiers found the score of the proposed block fallen by more than the tolerance and than chance",
    "BASE_REVERTED": "the block it trained from was reverted",
}
OF_WORK: Mapping[str, str] = {
    "NO_TRACE": "did not open in time what the beacon drew of its training: unpaid, and its place is lost",
    "WRONG_WORK": "a replay of its training gives something else than it committed to: unpaid, and slashed",
    "UNCONFIRMED": "too few verifiers have its processor and torch, or its replicas did other work: unpaid, no stake lost",
    "REPLICA": "did the same work as a team mate, which counts once in the model and is paid to both",
    "FALSE_REPLAY": "reported another replay than there is, or none: out of the round, and slashed",
}
"""Of miners, and of verifiers (FALSE_REPLAY), where training is replayed."""
TASK_ENDS: Mapping[str, str] = {
    "TOO_FEW_MINERS": "too few miners had joined and could still pay a slash, of one organisation no more than its share",
    "TOO_FEW_VERIFIERS": "fewer seats of the committee than its threshold were held in time",
}


def why_round(round_: b.Round) -> str:
    """`NO_PROPOSAL: none of the drawn miners ...`; empty for a round that was accepted or still goes on."""
    return _explained(round_.reason, ROUND_ENDS)


def why_task(reason: str) -> str:
    """The reason of a task's end in the same form; one that is in words already stays as it is."""
    return _explained(reason, TASK_ENDS)


def _explained(reason: str, words: Mapping[str, str]) -> str:
    return f"{reason}: {words[reason]}" if reason in words else reason
