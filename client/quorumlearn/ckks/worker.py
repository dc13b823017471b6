"""The program of a worker process (see quorumlearn.ckks.workers): requests on standard input, answers on standard output.

It ends when nobody is left at the other end. What libraries print goes to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import numpy as np

from quorumlearn.ckks import frames
from quorumlearn.ckks.ciphertexts import encrypt_part, parse
from quorumlearn.ckks.errors import MalformedCiphertext
from quorumlearn.ckks.frames import Answer, Field, Work
from quorumlearn.ckks.parameters import Parameters
from quorumlearn.ckks.sketches import round_plan, sketch

_WHATEVER = [1 << 40] * 4
"""Requests come from the process that started this one."""


def made(work: Work, p: Parameters, first: bytes, second: bytes) -> tuple[Field, Field]:
    """What the work comes to; MalformedCiphertext if somebody's update is none."""
    match work:
        case Work.ENCRYPT:
            (start,) = frames.START.unpack_from(second)
            values = np.frombuffer(second, dtype="<i8", offset=frames.START.size).astype(np.int64)
            c0, c1 = encrypt_part(p, first, values, start)
            return frames.packed(c0), frames.packed(c1)
        case Work.PREPARE:
            _ = round_plan(p, first).transformed
            return b"", b""
        case Work.SKETCH:
            found = sketch(p, round_plan(p, first), parse(p, second))
            return frames.packed(found.public), frames.packed(found.masks)


def answer(request: Sequence[bytes]) -> tuple[Field, Field, Field]:
    """The fields of the answer to a request's."""
    name, parameters, first, second = request
    try:
        return Answer.MADE.value, *made(Work(name), frames.parameters_from(parameters), first, second)
    except MalformedCiphertext as error:
        return Answer.MALFORMED.value, frames.line(str(error)), b""
    except Exception as error:  # noqa: BLE001 - told where the work was asked for
        return Answer.FAILED.value, frames.line(f"{type(error).__name__}: {error}"), b""


def serve() -> None:
    """Answer until nobody asks any more."""
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers, os.fdopen(0, "rb", buffering=0) as requests:
        os.dup2(2, 1)
        try:
            while True:
                request = frames.receive(requests, _WHATEVER)
                frames.send(answers, *answer([bytes(one) for one in request]))
        except (EOFError, OSError):
            sys.exit()


if __name__ == "__main__":
    serve()
