"""gRPC errors as the gateway sends them: a code, a sentence, and gateway.ErrorDetail in `grpc-status-details-
bin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import grpc
from fabric_protos.gateway import gateway_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import status_pb2

Context = grpc.aio.ServicerContext[Any, Any]

# gRPC's usual limit on all metadata of a response is 8 kB, and details travel in it encoded in base64.
_MAX_METADATA = 7600
_MAX_MESSAGE = 1500
_MAX_DETAILS = 3000


class RpcError(Exception):
    """A gateway call that ends in an error."""

    def __init__(
        self, code: grpc.StatusCode, message: str, details: Sequence[gateway_pb2.ErrorDetail] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = tuple(details)


async def abort(context: Context, error: RpcError) -> NoReturn:
    """End the call with `error`, shortened to what fits into gRPC's metadata."""
    texts = [error.message, *(detail.message for detail in error.details)]
    size = len(error.message) + sum(len(text.encode()) + 80 for text in texts) * 4 // 3
    fits = size <= _MAX_METADATA
    message = error.message if fits else _clip(error.message, _MAX_MESSAGE)
    trailing: tuple[tuple[str, bytes], ...] = ()
    if error.details:
        each = _MAX_METADATA if fits else _MAX_DETAILS // len(error.details)
        status = status_pb2.Status(code=error.code.value[0], message=message)
        for detail in error.details:
            packed = AnyMessage()
            packed.Pack(
                gateway_pb2.ErrorDetail(
                    address=detail.address, msp_id=detail.msp_id, message=_clip(detail.message, each)
                )
            )
            status.details.append(packed)
        trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(error.code, message, trailing)
    raise AssertionError("abort returned")


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
