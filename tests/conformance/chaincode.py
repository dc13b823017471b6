"""The chaincode under the conformance scenarios: each function does one thing with the ledger.

`python -m tests.conformance.chaincode` serves it as the real chaincode is served: its address and package id
come from the environment, and it prints a line that begins with `ready` once peers can connect.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable

from quorumlearn_chaincode.runtime import (
    ChaincodeError,
    ChaincodeStub,
    Response,
    ServiceSettings,
    serve,
)


class Conformance:
    """Runs the function that the first argument names; the others are its arguments, as bytes."""

    def init(self, stub: ChaincodeStub) -> Response:
        return Response(status=500, message="there is no init")

    def invoke(self, stub: ChaincodeStub) -> Response:
        name, *args = stub.args()
        function = FUNCTIONS.get(name.decode())
        if function is None:
            raise ChaincodeError(f"no function {name.decode()}")
        found = function(stub, *args)
        return found if isinstance(found, Response) else Response(payload=found)


def put(stub: ChaincodeStub, key: bytes, value: bytes) -> bytes:
    stub.put_state(key.decode(), value)
    return b"ok"


def get(stub: ChaincodeStub, key: bytes) -> bytes:
    return stub.get_state(key.decode())


def get_many(stub: ChaincodeStub, *keys: bytes) -> bytes:
    return _json([value.decode() for value in stub.get_multiple_states([key.decode() for key in keys])])


def delete(stub: ChaincodeStub, key: bytes) -> bytes:
    stub.delete_state(key.decode())
    return b"ok"


def increment(stub: ChaincodeStub, key: bytes) -> bytes:
    value = str(int(stub.get_state(key.decode()) or b"0") + 1).encode()
    stub.put_state(key.decode(), value)
    return value


def own_write(stub: ChaincodeStub, key: bytes) -> bytes:
    stub.put_state(key.decode(), b"written in this transaction")
    return stub.get_state(key.decode())


def fill(stub: ChaincodeStub, prefix: bytes, count: bytes) -> bytes:
    for number in range(int(count)):
        stub.put_state(f"{prefix.decode()}{number:04}", str(number).encode())
    return b"ok"


def ranged(stub: ChaincodeStub, start: bytes, end: bytes) -> bytes:
    return _json([key for key, _ in stub.get_state_by_range(start.decode(), end.decode())])


def count_into(stub: ChaincodeStub, start: bytes, end: bytes, key: bytes) -> bytes:
    count = str(len(list(stub.get_state_by_range(start.decode(), end.decode())))).encode()
    stub.put_state(key.decode(), count)
    return count


def first_into(stub: ChaincodeStub, start: bytes, end: bytes, key: bytes) -> bytes:
    """Takes one result of a range and leaves the rest."""
    found, _ = next(iter(stub.get_state_by_range(start.decode(), end.decode())))
    stub.put_state(key.decode(), found.encode())
    return found.encode()


def page(stub: ChaincodeStub, start: bytes, end: bytes, size: bytes, bookmark: bytes) -> bytes:
    found, after = stub.get_state_by_range_with_pagination(
        start.decode(), end.decode(), int(size), bookmark.decode()
    )
    return _json([[key for key, _ in found], after])


def page_and_put(stub: ChaincodeStub, start: bytes, end: bytes) -> bytes:
    stub.get_state_by_range_with_pagination(start.decode(), end.decode(), 2, "")
    stub.put_state("page-and-put", b"x")
    return b"ok"


def put_and_page(stub: ChaincodeStub, start: bytes, end: bytes) -> bytes:
    stub.put_state("page-and-put", b"x")
    stub.get_state_by_range_with_pagination(start.decode(), end.decode(), 2, "")
    return b"ok"


def put_composite(stub: ChaincodeStub, value: bytes, kind: bytes, *attributes: bytes) -> bytes:
    key = stub.create_composite_key(kind.decode(), [one.decode() for one in attributes])
    stub.put_state(key, value)
    return b"ok"


def composites(stub: ChaincodeStub, kind: bytes, *attributes: bytes) -> bytes:
    found = stub.get_state_by_partial_composite_key(kind.decode(), [one.decode() for one in attributes])
    return _json([[*stub.split_composite_key(key)[1], value.decode()] for key, value in found])


def composite_page(
    stub: ChaincodeStub, size: bytes, bookmark: bytes, kind: bytes, *attributes: bytes
) -> bytes:
    found, after = stub.get_state_by_partial_composite_key_with_pagination(
        kind.decode(), [one.decode() for one in attributes], int(size), bookmark.decode()
    )
    return _json([[stub.split_composite_key(key)[1] for key, _ in found], after])


def history(stub: ChaincodeStub, key: bytes) -> bytes:
    return _json(
        [
            [entry.transaction_id, entry.value.decode(), entry.is_delete, entry.timestamp_ms > 0]
            for entry in stub.get_history_for_key(key.decode())
        ]
    )


def set_policy(stub: ChaincodeStub, key: bytes, policy: bytes) -> bytes:
    stub.set_state_validation_parameter(key.decode(), policy)
    return b"ok"


def put_with_policy(stub: ChaincodeStub, key: bytes, value: bytes, policy: bytes) -> bytes:
    stub.put_state(key.decode(), value)
    stub.set_state_validation_parameter(key.decode(), policy)
    return b"ok"


def get_policy(stub: ChaincodeStub, key: bytes) -> bytes:
    return stub.get_state_validation_parameter(key.decode())


def rich(stub: ChaincodeStub) -> bytes:
    return _json([key for key, _ in stub.get_query_result('{"selector":{}}')])


def private(stub: ChaincodeStub, key: bytes) -> bytes:
    return stub.get_private_data("secrets", key.decode())


def private_hash(stub: ChaincodeStub, key: bytes) -> bytes:
    return stub.get_private_data_hash("secrets", key.decode())


def put_private(stub: ChaincodeStub, key: bytes) -> bytes:
    stub.put_private_data("secrets", key.decode(), b"secret")
    return b"ok"


def call(stub: ChaincodeStub, name: bytes, channel: bytes, *args: bytes) -> bytes:
    response = stub.invoke_chaincode(name.decode(), list(args), channel.decode())
    return _json([response.status, response.message, response.payload.decode(errors="replace")])


def event(stub: ChaincodeStub, name: bytes, payload: bytes) -> bytes:
    stub.put_state("last-event", name)
    stub.set_event(name.decode(), payload)
    return b"ok"


def two_events(stub: ChaincodeStub, first: bytes, second: bytes) -> bytes:
    stub.set_event(first.decode(), b"1")
    stub.set_event(second.decode(), b"2")
    return b"ok"


def event_and_refuse(stub: ChaincodeStub) -> bytes:
    stub.set_event("never", b"x")
    raise ChaincodeError("refused after all")


def transient(stub: ChaincodeStub) -> bytes:
    stub.put_state("had-transient", b"yes")
    return _json({name: value.decode() for name, value in sorted(stub.transient.items())})


def differ(stub: ChaincodeStub) -> bytes:
    stub.put_state("differ", os.urandom(8))
    return b"ok"


def status(stub: ChaincodeStub, number: bytes) -> Response:
    stub.put_state("status", number)
    return Response(status=int(number), message=f"status {number.decode()}", payload=b"payload")


def refuse(stub: ChaincodeStub, message: bytes) -> bytes:
    raise ChaincodeError(message.decode())


def who(stub: ChaincodeStub) -> bytes:
    client = stub.client
    return _json([client.msp_id, client.name, stub.channel_id, stub.transaction_id, stub.timestamp_ms > 0])


def nothing(stub: ChaincodeStub) -> bytes:
    return b""


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


FUNCTIONS: dict[str, Callable[..., bytes | Response]] = {
    "put": put,
    "get": get,
    "get-many": get_many,
    "delete": delete,
    "increment": increment,
    "own-write": own_write,
    "fill": fill,
    "range": ranged,
    "count-into": count_into,
    "first-into": first_into,
    "page": page,
    "page-and-put": page_and_put,
    "put-and-page": put_and_page,
    "put-composite": put_composite,
    "composites": composites,
    "composite-page": composite_page,
    "history": history,
    "set-policy": set_policy,
    "put-with-policy": put_with_policy,
    "get-policy": get_policy,
    "rich": rich,
    "private": private,
    "private-hash": private_hash,
    "put-private": put_private,
    "call": call,
    "event": event,
    "two-events": two_events,
    "event-and-refuse": event_and_refuse,
    "transient": transient,
    "differ": differ,
    "status": status,
    "refuse": refuse,
    "who": who,
    "nothing": nothing,
}


def main() -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(stream=sys.stderr, level="INFO")
    settings = ServiceSettings(
        package_id=os.environ["CHAINCODE_ID"], address=os.environ["CHAINCODE_SERVER_ADDRESS"]
    )

    def ready(address: str) -> None:
        sys.stdout.write(f"ready {address}\n")
        sys.stdout.flush()

    serve(Conformance(), settings, ready)


if __name__ == "__main__":
    main()
