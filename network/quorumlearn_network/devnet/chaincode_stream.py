"""The peer's side of chaincode as a service: one stream to one chaincode for one organisation's peer.

The peer dials `protos.Chaincode/Connect` (plain gRPC); the chaincode sends REGISTER with its package id, the
peer answers REGISTERED and READY; then transactions run side by side, told apart by channel and transaction
id. When the service goes away, running transactions end with "chaincode stream terminated" and the peer dials
again, with a growing pause.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from fabric_protos.peer import chaincode_pb2, chaincode_shim_pb2_grpc, proposal_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.chaincode_messages import MAX_WRITE_BATCH, TransactionLedger
from quorumlearn_network.devnet.errors import DevnetError, ExecutionError, SimulationError
from quorumlearn_network.devnet.simulator import Simulator

_log = logging.getLogger(__name__)
_M = shim.ChaincodeMessage
MAX_MESSAGE_BYTES = 100 << 20
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
_END: Any = vars(grpc.aio)["EOF"]
_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Call:
    """One invocation of a chaincode within a transaction."""

    channel: str
    txid: str
    chaincode: str
    input: chaincode_pb2.ChaincodeInput
    proposal: proposal_pb2.SignedProposal


InvokeOther = Callable[[Call, Simulator], Awaitable[shim.ChaincodeMessage]]
"""Runs another chaincode of the same peer in the same simulation; ExecutionError if it cannot be run."""


@dataclass
class _Running:
    call: Call
    ledger: TransactionLedger
    done: asyncio.Future[shim.ChaincodeMessage]
    invoking: bool = False


class ChaincodeStream:
    """Keeps the stream to one chaincode service open and runs transactions on it."""

    def __init__(
        self, owner: str, package_id: str, address: str, timeouts: tuple[float, float], invoke: InvokeOther
    ) -> None:
        """`owner` is the MSP id of the dialling peer; `timeouts` are (execution, connection) in seconds."""
        self._owner = owner
        self._package_id = package_id
        self._address = address
        self._execute_timeout, self._connect_timeout = timeouts
        self._invoke = invoke
        self._ready = asyncio.Event()
        self._problem = "not connected yet"
        self._outgoing: asyncio.Queue[shim.ChaincodeMessage] = asyncio.Queue()
        self._running: dict[tuple[str, str], _Running] = {}
        self._task: asyncio.Task[None] | None = None
        self._invocations: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        return self._ready.is_set()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep_open())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def execute(self, call: Call, simulator: Simulator) -> shim.ChaincodeMessage:
        """Run a transaction; the chaincode's COMPLETED or ERROR message. ExecutionError: it gave none."""
        if not self.ready:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), self._connect_timeout)
        if not self.ready:
            raise ExecutionError(
                f"could not launch chaincode {self._package_id}: "
                f"no chaincode service at {self._address}: {self._problem}"
            )
        key = (call.channel, call.txid)
        if key in self._running:
            raise ExecutionError(f"error sending: txid: {call.txid}({call.channel}) exists")
        ledger = TransactionLedger(simulator, call.channel, call.chaincode)
        running = _Running(call, ledger, asyncio.get_running_loop().create_future())
        self._running[key] = running
        try:
            self._outgoing.put_nowait(
                _M(
                    type=_M.TRANSACTION,
                    payload=call.input.SerializeToString(),
                    txid=call.txid,
                    channel_id=call.channel,
                    proposal=call.proposal,
                )
            )
            return await asyncio.wait_for(running.done, self._execute_timeout)
        except TimeoutError as error:
            raise ExecutionError("error sending: timeout expired while executing transaction") from error
        finally:
            del self._running[key]

    async def _keep_open(self) -> None:
        attempt = 0
        async with grpc.aio.insecure_channel(self._address, options=_OPTIONS) as channel:
            while True:
                try:
                    await channel.channel_ready()
                    await self._converse(channel)
                    self._problem = "the service closed the stream"
                except grpc.aio.AioRpcError as error:
                    self._problem = f"{error.code().name} {error.details()}"
                except (DevnetError, DecodeError) as error:
                    self._problem = str(error)
                finally:
                    was_ready = self.ready
                    self._lose()
                attempt = 0 if was_ready else min(attempt + 1, len(_PAUSES) - 1)
                _log.warning("%s: chaincode service %s: %s", self._owner, self._address, self._problem)
                await asyncio.sleep(_PAUSES[attempt])

    async def _converse(self, channel: grpc.aio.Channel) -> None:
        stream: Any = chaincode_shim_pb2_grpc.ChaincodeStub(channel).Connect()
        writer: asyncio.Task[None] | None = None
        try:
            await self._register(stream)
            writer = asyncio.get_running_loop().create_task(self._write(stream))
            self._ready.set()
            _log.info("%s: chaincode %s ready at %s", self._owner, self._package_id, self._address)
            while True:
                message = await stream.read()
                if message is _END:
                    return
                self._handle(message)
        finally:
            if writer is not None:
                writer.cancel()
            stream.cancel()

    async def _register(self, stream: Any) -> None:
        message = await stream.read()
        if message is _END:
            raise ExecutionError("the service closed the stream before it registered")
        if message.type != _M.REGISTER:
            raise ExecutionError(f"the service began with {_name(message.type)}, not with REGISTER")
        name = chaincode_pb2.ChaincodeID.FromString(message.payload).name
        if name != self._package_id:
            raise ExecutionError(
                f"the service registered as {name[:200]!r}, not as {self._package_id!r}: "
                "start it with that package id"
            )
        await stream.write(_M(type=_M.REGISTERED))
        abilities = chaincode_pb2.ChaincodeAdditionalParams(
            use_write_batch=True,
            max_size_write_batch=MAX_WRITE_BATCH,
            use_get_multiple_keys=True,
            max_size_get_multiple_keys=MAX_WRITE_BATCH,
        )
        await stream.write(_M(type=_M.READY, payload=abilities.SerializeToString()))

    async def _write(self, stream: Any) -> None:
        """The only writer of the stream. When it fails, the reading side sees the end of the stream."""
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                await stream.write(await self._outgoing.get())

    def _lose(self) -> None:
        self._ready.clear()
        self._outgoing = asyncio.Queue()
        for running in self._running.values():
            if not running.done.done():
                running.done.set_exception(ExecutionError("error sending: chaincode stream terminated"))

    def _handle(self, message: shim.ChaincodeMessage) -> None:
        if message.type == _M.KEEPALIVE:
            return
        running = self._running.get((message.channel_id, message.txid))
        if message.type in {_M.COMPLETED, _M.ERROR}:
            if running is not None and not running.done.done():
                running.done.set_result(message)
            return
        if message.type in {
            _M.REGISTER,
            _M.REGISTERED,
            _M.READY,
            _M.INIT,
            _M.TRANSACTION,
            _M.RESPONSE,
            _M.UNDEFINED,
        }:
            raise ExecutionError(
                f"[{message.txid[:8]}] Fabric side handler cannot handle message ({_name(message.type)}) "
                "while in ready state"
            )
        if running is None or running.done.done():
            self._refuse(message, "no ledger context")
        elif running.invoking:
            _log.error("%s: [%s] another request is pending, request dropped", self._owner, message.txid[:8])
        elif message.type == _M.INVOKE_CHAINCODE:
            running.invoking = True
            task = asyncio.get_running_loop().create_task(self._invoke_chaincode(message, running))
            self._invocations.add(task)
            task.add_done_callback(self._invocations.discard)
        else:
            try:
                self._answer(message, running.ledger.answer(message))
            except DevnetError as error:
                self._refuse(message, str(error))

    async def _invoke_chaincode(self, message: shim.ChaincodeMessage, running: _Running) -> None:
        try:
            specification = chaincode_pb2.ChaincodeSpec.FromString(message.payload)
            target, _, channel = specification.chaincode_id.name.partition("/")
            if channel not in {"", running.call.channel}:
                raise SimulationError(f"Failed to get policy manager for channel [{channel[:250]}]")
            call = Call(
                running.call.channel,
                running.call.txid,
                target.partition(":")[0],
                specification.input,
                running.call.proposal,
            )
            result = await self._invoke(call, running.ledger.simulator)
        except DecodeError as error:
            self._refuse(message, f"unmarshal failed: {error}")
        except ExecutionError as error:
            self._refuse(message, f"execute failed: {error}")
        except DevnetError as error:
            self._refuse(message, str(error))
        else:
            self._answer(message, result.SerializeToString())
        finally:
            running.invoking = False

    def _answer(self, message: shim.ChaincodeMessage, payload: bytes) -> None:
        self._outgoing.put_nowait(
            _M(type=_M.RESPONSE, payload=payload, txid=message.txid, channel_id=message.channel_id)
        )

    def _refuse(self, message: shim.ChaincodeMessage, reason: str) -> None:
        text = f"{_name(message.type)} failed: transaction ID: {message.txid}: {reason}"
        self._outgoing.put_nowait(
            _M(type=_M.ERROR, payload=text.encode(), txid=message.txid, channel_id=message.channel_id)
        )


def _name(kind: int) -> str:
    try:
        return str(_M.Type.Name(kind))
    except ValueError:
        return str(kind)
