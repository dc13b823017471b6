"""How a transaction ends on the stream, and how its end is told in the log.

The log may hold function names, transaction ids and stacks, but no arguments, payloads or exceptions' texts.
"""

from __future__ import annotations

import traceback

from fabric_protos.peer import chaincode_event_pb2, chaincode_shim_pb2, proposal_response_pb2

from .proposal import Invocation
from .stub import Response

_Message = chaincode_shim_pb2.ChaincodeMessage


def completion(
    message: chaincode_shim_pb2.ChaincodeMessage,
    response: Response,
    event: chaincode_event_pb2.ChaincodeEvent | None,
) -> chaincode_shim_pb2.ChaincodeMessage:
    """The end of a transaction. A failed INIT ends in ERROR, or the peer would take it for done."""
    failed = response.status >= 400
    if failed and message.type == _Message.INIT:
        return failure(message, response.message)
    result = proposal_response_pb2.Response(
        status=response.status, message=_valid_text(response.message), payload=response.payload
    )
    return _Message(
        type=_Message.COMPLETED,
        payload=result.SerializeToString(),
        txid=message.txid,
        channel_id=message.channel_id,
        chaincode_event=None if failed else event,
    )


def failure(message: chaincode_shim_pb2.ChaincodeMessage, text: str) -> chaincode_shim_pb2.ChaincodeMessage:
    """The end of a transaction that could not be run, in a sentence for the peer."""
    payload = _valid_text(text).encode()
    return _Message(type=_Message.ERROR, payload=payload, txid=message.txid, channel_id=message.channel_id)


def function_name(invocation: Invocation) -> str:
    """The called function, fit for a log."""
    if not invocation.args:
        return "(no function)"
    return printable(invocation.args[0][:64].decode(errors="replace"))


def printable(text: str) -> str:
    """`text` fit for one line of a log."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _valid_text(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def stack(error: BaseException) -> str:
    """Where an exception and its causes were raised, and their types; their texts may quote payloads."""
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < 8:
        frames = "".join(traceback.format_tb(seen.__traceback__))
        parts.append(f"{frames}{type(seen).__module__}.{type(seen).__qualname__}")
        seen = seen.__cause__ or seen.__context__
    return "\ncaused by:\n".join(parts)
