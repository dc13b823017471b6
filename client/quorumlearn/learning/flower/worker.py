"""The program in whose process a Flower app runs: requests on standard input, answers on standard output.

A node runs this file by its path with the interpreter of the app's own environment, which needs flwr and numpy, and torch where the
app does. Rules:
1. nothing of quorumlearn is imported here, and nothing that comes over the pipe is run or unpickled: a frame is three fields, each
   a length (uint64, little-endian) and so many bytes. A request is JSON, 64 secret bytes and float32 arrays; an answer is JSON,
   float64 numbers and float32 arrays. Arrays stand one after the other in the order of their tensors' names;
2. floating-point tensors travel, whatever their width, as float32, and go back to the app in the type that its model has; whole numbers
   and truth values (BatchNorm's counters) stay here, with the party that they belong to;
3. each message begins with Python's, numpy's and torch's generators seeded by the 64 bytes, which nothing else is told;
4. Context.state is kept for each party as long as this process lives, and only if the app answered;
5. what the app prints goes to standard error; it finds nothing on standard input. The process ends, with all that the app started,
   when nobody is left at the other end of the pipe, however long the app would go on.

Source: https://flower.ai/docs/framework/ (ClientApp, Message, Context), flwr 1.42.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import json
import math
import os
import queue
import random
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

LENGTH = struct.Struct("<Q")
MAX_HEADER = 1 << 20
SECRET_BYTES = 64
MOST_NUMBERS = 10_000_000
"""Values of a metric in one answer: one for each sample."""
_MAX_ARRAYS = 1 << 40
_GRACE_S = 2.0
_TTL_S = 43_200.0  # as flwr's messages have it
_TORCH_WORDS, _TORCH_WORDS_AT = 624, 24  # of its generator's state, each in 8 bytes, and where they begin
_OF_CLIENT_FN = {
    "train": ("fitins.parameters", "fitins.config"),
    "evaluate": ("evaluateins.parameters", "evaluateins.config"),
}
"""What flwr calls the records of a message to a client that `client_fn` makes."""
_COUNTS = ("num-examples", "num_examples")

Arrays = dict[str, NDArray[Any]]
Answer = tuple[Mapping[str, object], bytes, bytes]


class BadFrame(Exception):
    """What came is no frame of the wanted form."""


class AppError(Exception):
    """The app, or what it answered, is not what a round needs; the message says why."""


class Readable(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


class Writable(Protocol):
    def write(self, data: memoryview, /) -> int | None: ...


def send(stream: Writable, header: Mapping[str, object], second: bytes, third: bytes) -> None:
    """Write one frame whole. OSError if nobody reads."""
    for one in (json.dumps(header).encode(), second, third):
        for part in (memoryview(LENGTH.pack(len(one))), memoryview(one)):
            rest = part
            while rest:
                rest = rest[stream.write(rest) or 0 :]


def receive(stream: Readable, second: int, third: int) -> tuple[dict[str, Any], bytes, bytes]:
    """One frame, whose last two fields have at most so many bytes. EOFError at the stream's end, BadFrame for any other form."""
    fields = []
    for limit in (MAX_HEADER, second, third):
        (length,) = LENGTH.unpack(_exactly(stream, LENGTH.size))
        if length > limit:
            raise BadFrame(f"a field of {length} bytes; at most {limit} are expected here")
        fields.append(_exactly(stream, length))
    try:
        header = json.loads(fields[0])
    except ValueError as error:
        raise BadFrame(f"a header that is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise BadFrame("a header that is no JSON object")
    return header, fields[1], fields[2]


def _exactly(stream: Readable, length: int) -> bytes:
    data = bytearray(length)
    rest = memoryview(data)
    while rest:
        read = stream.readinto(rest)
        if not read:
            raise EOFError("the other end of the pipe has gone")
        rest = rest[read:]
    return bytes(data)


@dataclass
class Party:
    """What stays here of one party: Flower's state, and the tensors that do not travel."""

    state: Any
    kept: Arrays = field(default_factory=dict)
    trainings: int = 0


class App:
    """A loaded app and the form of its model."""

    def __init__(self, app: str, model: str, folder: str, run_config: Mapping[str, Any]) -> None:
        from flwr.clientapp import ClientApp

        sys.path.insert(0, folder)
        found = _named(app)
        self._app = found if isinstance(found, ClientApp) else ClientApp(client_fn=found)
        self._run_config = dict(run_config)
        self._make = _named(model)
        self._by_client_fn = getattr(self._app, "_call", None) is not None
        self._parties: dict[str, Party] = {}
        first = self._built()
        self._listed = all(name == f"arrays.{i}" for i, name in enumerate(first))
        self._order = list(first)
        self._types = {name: array.dtype for name, array in first.items()}
        odd = [f"{name} ({kind})" for name, kind in self._types.items() if kind.kind not in "fiub"]
        if odd:
            raise AppError(
                f"{odd[0]} cannot be trained together; tensors are floating-point or whole numbers"
            )
        self.shapes = {n: first[n].shape for n in sorted(first) if self._types[n].kind == "f"}
        self._staying = {n: first[n] for n in first if self._types[n].kind != "f"}
        if not self.shapes:
            raise AppError(f"{model} has no floating-point tensor, so there is nothing to train")

    def answer(self, request: Mapping[str, Any], secret: bytes, raw: bytes) -> Answer:
        """To a request `initial`, `train` or `evaluate`."""
        match request["do"]:
            case "train":
                return self.train(request, secret, raw)
            case "evaluate":
                return self.evaluate(request, secret, raw)
            case _:
                return {}, b"", self.initial(secret)

    def initial(self, secret: bytes) -> bytes:
        """The floats of the model as it begins from these 64 bytes."""
        seed_all(secret)
        built = self._built()
        if {n: built[n].shape for n in sorted(built) if built[n].dtype.kind == "f"} != self.shapes:
            raise AppError("the model's tensors are others each time that it is built")
        return self._floats(built)

    def train(self, request: Mapping[str, Any], secret: bytes, raw: bytes) -> Answer:
        """What the app makes of a message `train`: its arrays, and the loss that it tells."""
        party = self._party(request)
        content = self._asked("train", request, secret, raw, party, party.trainings + 1)
        arrays = self._returned(content)
        party.kept = {name: arrays[name].astype(self._types[name]) for name in self._staying}
        party.trainings += 1
        metrics = _metrics(content)
        numbers = np.array([_number(metrics.get(str(request["loss"])))], dtype="<f8")
        return {"samples": _count(metrics)}, numbers.tobytes(), self._floats(arrays)

    def evaluate(self, request: Mapping[str, Any], secret: bytes, raw: bytes) -> Answer:
        """The loss, then the metric's values: one for each sample, or their mean alone."""
        party = self._party(request)
        metrics = _metrics(self._asked("evaluate", request, secret, raw, party, party.trainings))
        key = str(request["score"])
        if key not in metrics:
            raise AppError(f"its metrics are {', '.join(sorted(metrics)) or 'none'}; none is called {key!r}")
        found = metrics[key]
        values = [_number(one) for one in found] if isinstance(found, list) else [_number(found)]
        if len(values) > MOST_NUMBERS:
            raise AppError(f"{key} has {len(values)} values; at most {MOST_NUMBERS} are read")
        numbers = np.array([_number(metrics.get(str(request["loss"]))), *values], dtype="<f8")
        return {"samples": _count(metrics), "each": isinstance(found, list)}, numbers.tobytes(), b""

    def _asked(
        self, kind: str, request: Mapping[str, Any], secret: bytes, raw: bytes, party: Party, turn: int
    ) -> Any:
        from flwr.app import ConfigRecord, Context, Message, Metadata, RecordDict

        names = _OF_CLIENT_FN[kind] if self._by_client_fn else ("arrays", "config")
        config = ConfigRecord({**request["config"], "server-round": turn})
        node = _node_id(str(request["who"]))
        about = Metadata(
            run_id=1,
            message_id=f"{node}-{kind}-{turn}",
            src_node_id=0,
            dst_node_id=node,
            reply_to_message_id="",
            group_id=str(turn),
            created_at=time.time(),
            ttl=_TTL_S,
            message_type=kind,
        )
        message = Message(
            content=RecordDict({names[0]: self._record(raw, party), names[1]: config}), metadata=about
        )
        context = Context(
            run_id=1,
            node_id=node,
            node_config=dict(request["node_config"]),
            state=party.state,
            run_config=dict(self._run_config),
        )
        seed_all(secret)
        reply = self._app(message, context)
        if not isinstance(reply, Message):
            raise AppError(f"it answered {kind!r} with {type(reply).__name__}, not with a Message")
        if reply.has_error():
            raise AppError(f"it answered with error {reply.error.code}: {reply.error.reason}")
        for name, status in reply.content.config_records.items():
            if name.endswith(".status") and status.get("code", 0) != 0:
                raise AppError(f"it answered with code {status['code']}: {status.get('message', '')}")
        party.state = context.state
        return reply.content

    def _party(self, request: Mapping[str, Any]) -> Party:
        from flwr.app import RecordDict

        return self._parties.setdefault(str(request["who"]), Party(RecordDict(), dict(self._staying)))

    def _record(self, raw: bytes, party: Party) -> Any:
        from flwr.app import Array, ArrayRecord

        whole = dict(party.kept)
        numbers, start = np.frombuffer(raw, dtype="<f4"), 0
        for name, shape in self.shapes.items():
            end = start + math.prod(shape)
            whole[name] = numbers[start:end].reshape(shape).astype(self._types[name])
            start = end
        if start != len(numbers):
            raise AppError(f"the model has {start} numbers, and {len(numbers)} came")
        if self._listed:
            return ArrayRecord([whole[name] for name in self._order])
        return ArrayRecord({name: Array(whole[name]) for name in self._order})

    def _returned(self, content: Any) -> Arrays:
        records = content.array_records
        if len(records) != 1 and "arrays" not in records:
            raise AppError(
                f"it answered with {len(records)} records of arrays; it must be one, the trained model"
            )
        record = records["arrays"] if "arrays" in records else next(iter(records.values()))
        found = {name: array.numpy() for name, array in record.items()}
        if set(found) != set(self._order):
            if list(found) != [str(i) for i in range(len(self._order))]:
                odd = sorted(set(found) ^ set(self._order))[0]
                said = "is missing" if odd in self._order else "is not of this model"
                raise AppError(f"its arrays are others than the model's: {odd} {said}")
            found = dict(zip(self._order, found.values(), strict=True))
        for name, shape in {**self.shapes, **{n: a.shape for n, a in self._staying.items()}}.items():
            if found[name].shape != shape:
                raise AppError(f"{name} came back with shape {found[name].shape}; the model has {shape}")
            if found[name].dtype.kind not in "fiub":
                raise AppError(f"{name} came back as {found[name].dtype}")
        return found

    def _floats(self, arrays: Arrays) -> bytes:
        return b"".join(np.ascontiguousarray(arrays[n], dtype="<f4").tobytes() for n in self.shapes)

    def _built(self) -> Arrays:
        """The model's tensors by name, in the model's own order."""
        made = self._make
        if callable(made) and not hasattr(made, "items"):
            wanted = [
                one
                for one in inspect.signature(made).parameters.values()
                if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
            ]
            made = made(self._context()) if wanted else made()
        if hasattr(made, "state_dict"):
            made = made.state_dict()
        if isinstance(made, Mapping):
            return {str(name): _array(str(name), value) for name, value in made.items()}
        if isinstance(made, Sequence):
            return {f"arrays.{i}": _array(f"arrays.{i}", value) for i, value in enumerate(made)}
        raise AppError(
            f"the model is {type(made).__name__}, not a module, arrays by name or a list of arrays"
        )

    def _context(self) -> Any:
        from flwr.app import Context, RecordDict

        return Context(1, 0, {}, RecordDict(), dict(self._run_config))


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    found = importlib.import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise AppError(f"{place}: {module} has no {part!r}")
        found = getattr(found, part)
    return found


def _array(name: str, value: Any) -> NDArray[Any]:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            raise AppError(
                f"{name} is bfloat16, which Flower's arrays do not carry; make it float16 or float32"
            )
    found = value.numpy() if hasattr(value, "numpy") else value
    return np.array(found)


def _metrics(content: Any) -> dict[str, Any]:
    """All metrics of an answer by name, those of a NumPyClient too."""
    found: dict[str, Any] = {}
    for record in content.metric_records.values():
        found |= dict(record)
    for name, record in content.config_records.items():
        if name.endswith(".metrics"):
            found |= {key: value for key, value in record.items() if not isinstance(value, str | bytes)}
    return found


def _count(metrics: Mapping[str, Any]) -> int:
    for key in _COUNTS:
        if isinstance(metrics.get(key), int | float) and math.isfinite(metrics[key]):
            return max(0, int(metrics[key]))
    return 0


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _node_id(who: str) -> int:
    return int.from_bytes(hashlib.sha256(who.encode()).digest()[:7], "big") + 1


def seed_all(secret: bytes) -> None:
    """Seed the generators that an app draws from; each holds as much of the 64 bytes as it can."""

    def stream(purpose: bytes, words: int) -> NDArray[np.uint32]:
        return np.frombuffer(hashlib.shake_256(purpose + secret).digest(4 * words), dtype="<u4")

    random.seed(hashlib.sha512(b"python" + secret).digest())
    np.random.seed(stream(b"numpy", _TORCH_WORDS))
    torch = sys.modules.get("torch")  # an app without it needs no seed for it
    if torch is not None:
        torch.manual_seed(int.from_bytes(hashlib.sha256(b"torch" + secret).digest()[:8], "big") >> 1)
        state = torch.get_rng_state()
        words = stream(b"torch", _TORCH_WORDS).astype("<u8")
        state.numpy()[_TORCH_WORDS_AT : _TORCH_WORDS_AT + words.nbytes] = words.view(np.uint8)
        torch.set_rng_state(state)


def describe(error: BaseException) -> str:
    """An exception in one line, with the last place of the app that it came through."""
    said = f"{type(error).__name__}: {error}" if not isinstance(error, AppError) else str(error)
    trace, place = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name != __file__ and "site-packages" not in name and not name.startswith("<"):
            place = f" ({os.path.basename(name)}:{trace.tb_lineno})"  # noqa: PTH119 - a frame's name is text
        trace = trace.tb_next
    return " ".join((said + place).split())[:500]


class _Requests:
    """Requests as they come, read by a thread, which ends the process when nobody asks any more."""

    def __init__(self, pipe: FileIO) -> None:
        self._pipe = pipe
        self._queue: queue.SimpleQueue[tuple[dict[str, Any], bytes, bytes] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def __iter__(self) -> Iterator[tuple[dict[str, Any], bytes, bytes]]:
        while (one := self._queue.get()) is not None:
            yield one

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError, BadFrame):
            while True:
                self._queue.put(receive(self._pipe, SECRET_BYTES, _MAX_ARRAYS))
        self._queue.put(None)
        time.sleep(_GRACE_S)
        end()


def end() -> None:
    """End this process, and with it all that the app has started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def serve() -> None:
    """Answer until nobody asks any more."""
    answers, asked = os.fdopen(os.dup(1), "wb", buffering=0), os.fdopen(os.dup(0), "rb", buffering=0)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    app: App | None = None
    with contextlib.suppress(BrokenPipeError):
        for header, secret, raw in _Requests(asked):
            try:
                if app is None:
                    app = App(header["app"], header["model"], header["folder"], header["run_config"])
                    answer: Answer = {"shapes": {n: list(s) for n, s in app.shapes.items()}}, b"", b""
                else:
                    answer = app.answer(header, secret, raw)
            except Exception as error:  # noqa: BLE001 - whatever an app raises is told where it was asked
                answer = {"error": describe(error)}, b"", b""
            send(answers, *answer)
    end()


if __name__ == "__main__":
    serve()
