"""The devnet as a whole: opens the ledger, commits what its configuration adds, serves every peer."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Mapping
from types import TracebackType

import grpc
from fabric_protos.gateway import gateway_pb2_grpc
from fabric_protos.peer import events_pb2_grpc, peer_pb2_grpc

from quorumlearn_network.devnet import configtx
from quorumlearn_network.devnet.chain import Chain
from quorumlearn_network.devnet.chaincode_stream import MAX_MESSAGE_BYTES, ChaincodeStream
from quorumlearn_network.devnet.channel import Channel
from quorumlearn_network.devnet.config import DevnetConfig, OrganisationConfig
from quorumlearn_network.devnet.deliver import Deliver
from quorumlearn_network.devnet.endorser import Peer
from quorumlearn_network.devnet.endorser_service import Endorser
from quorumlearn_network.devnet.errors import ConfigError, LedgerError
from quorumlearn_network.devnet.gateway import Gateway
from quorumlearn_network.devnet.genesis import check_members, genesis_block, lifecycle_policy
from quorumlearn_network.devnet.ledger import Ledger
from quorumlearn_network.devnet.lifecycle import Definition, commit_transaction, needs_commit
from quorumlearn_network.devnet.metrics import PeerMetrics
from quorumlearn_network.devnet.msp import Membership, Msp, Role, SigningIdentity
from quorumlearn_network.devnet.orderer import Orderer
from quorumlearn_network.devnet.policy import parse_policy
from quorumlearn_network.devnet.validator import Validator

_log = logging.getLogger(__name__)
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
]
_GRACE = 1.0


class Devnet:
    """A devnet in a thread of this process.

    `start` returns when every peer serves, or raises ConfigError or LedgerError; `stop` returns when all is
    closed. Also a context manager. `addresses` maps MSP ids to host:port, with the ports that were bound.
    """

    def __init__(self, config: DevnetConfig) -> None:
        self._config = config
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._addresses: dict[str, str] = {}

    @property
    def addresses(self) -> Mapping[str, str]:
        return dict(self._addresses)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="devnet", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure

    def stop(self) -> None:
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Devnet:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that called start or stop
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        network = Network(self._config)
        await network.start()
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._addresses = network.addresses
        self._started.set()
        try:
            await self._stopping.wait()
        finally:
            await network.stop()


def serve(config: DevnetConfig) -> None:
    """Serve in this thread until SIGTERM or SIGINT. LedgerUnavailableError: the store failed, so that nothing is ordered.

    Prints one line `ready <MSP id>=<address> ...` on stdout.
    """

    async def run() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        network = Network(config)
        await network.start()
        try:
            served = " ".join(f"{msp_id}={address}" for msp_id, address in network.addresses.items())
            sys.stdout.write(f"ready {served}\n")
            sys.stdout.flush()
            told, failing = asyncio.create_task(stopping.wait()), asyncio.create_task(network.fails())
            await asyncio.wait({told, failing}, return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                failing.result()
        finally:
            await network.stop()

    asyncio.run(run())


class Network:
    """The devnet on the running event loop."""

    def __init__(self, config: DevnetConfig) -> None:
        self.addresses: dict[str, str] = {}
        self._config = config
        self._servers: list[grpc.aio.Server] = []
        self._streams: list[ChaincodeStream] = []
        self._metrics: list[PeerMetrics] = []
        self._ledger: Ledger | None = None
        self._chain: Chain | None = None
        self._orderer: Orderer | None = None

    async def start(self) -> None:
        """Serve every peer. ConfigError or LedgerError: nothing is left open."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def fails(self) -> None:
        """Raise LedgerUnavailableError once the store has failed."""
        if self._chain is not None:
            await self._chain.failed.wait()
            self._chain.check_alive()

    async def stop(self) -> None:
        """End calls, streams and ordering, and close the ledger."""
        await asyncio.gather(*(server.stop(_GRACE) for server in self._servers))
        await asyncio.gather(*(stream.stop() for stream in self._streams))
        for metrics in self._metrics:
            await asyncio.to_thread(metrics.stop)
        if self._orderer is not None:
            await self._orderer.stop()
        if self._ledger is not None:
            self._ledger.close()
        _log.info("stopped")

    async def _start(self) -> None:
        config = self._config
        msps = [Msp.load(entry.msp_id, entry.msp) for entry in config.organisations]
        orderer_msp = Msp.load(config.orderer.msp_id, config.orderer.msp)
        membership = Membership({msp.msp_id: msp for msp in (*msps, orderer_msp)})
        signers = [SigningIdentity.load(entry.msp_id, entry.msp) for entry in config.organisations]
        for signer in signers:
            _check_role(membership, signer, Role.PEER)
        orderer_signer = SigningIdentity.load(config.orderer.msp_id, config.orderer.msp)
        _check_role(membership, orderer_signer, Role.ORDERER)
        self._ledger = Ledger(config.ledger, config.channel)
        agreements: configtx.Agreements = {name: parse_policy(text) for name, text in config.policies.items()}
        genesis = (
            self._ledger.block(0)
            if self._ledger.height
            else genesis_block(config.channel, msps, orderer_msp, config.batch, agreements)
        )
        validator = Validator(config.channel, membership, lifecycle_policy(genesis))
        self._chain = chain = Chain(self._ledger, validator, orderer_signer)
        if chain.height == 0:
            chain.publish(chain.begin(genesis))
        check_members(chain.block(0).block, msps, orderer_msp)
        definitions = self._define(chain, signers)
        self._orderer = Orderer(config.channel, chain, membership, config.batch)
        channel = Channel(
            config.channel,
            membership,
            chain,
            self._orderer,
            config.orderer.msp_id,
            definitions,
            config.endorse_timeout_ms / 1000,
        )
        for entry, signer in zip(config.organisations, signers, strict=True):
            await self._add_peer(entry, signer, channel, definitions)
        for server in self._servers:
            await server.start()
        self._orderer.start()
        _log.info("channel %s at height %d", config.channel, chain.height)

    def _define(self, chain: Chain, signers: list[SigningIdentity]) -> dict[str, Definition]:
        """Commit the chaincode definitions that the ledger does not have yet."""
        state = chain.ledger.committed()
        waiting = []
        for entry in self._config.chaincodes:
            committed = chain.validator.definition(entry.name, state)
            if needs_commit(entry, committed):
                waiting.append(commit_transaction(self._config.channel, entry, committed, signers))
        if waiting:
            block = chain.extend(waiting)
            chain.publish(block)
            if any(block.flags):
                raise LedgerError(
                    "a chaincode definition was not valid under the LifecycleEndorsement policy"
                )
        found = {
            entry.name: chain.validator.definition(entry.name, state) for entry in self._config.chaincodes
        }
        return {name: definition for name, definition in found.items() if definition is not None}

    async def _add_peer(
        self,
        entry: OrganisationConfig,
        signer: SigningIdentity,
        channel: Channel,
        definitions: Mapping[str, Definition],
    ) -> None:
        server = grpc.aio.server(options=_OPTIONS)
        address = _bind(server, entry)
        self._servers.append(server)
        self.addresses[entry.msp_id] = address
        identity = channel.membership.identity(signer.serialized)
        peer = Peer(
            address, signer, identity, definitions, channel.chain, self._measure(entry, channel.chain)
        )
        packages = {chaincode.name: chaincode.package_id for chaincode in self._config.chaincodes}
        timeouts = (self._config.execute_timeout_ms / 1000, self._config.chaincode_connect_ms / 1000)
        for name, where in entry.chaincode.items():
            stream = ChaincodeStream(entry.msp_id, packages[name], where, timeouts, peer.invoke)
            peer.streams[name] = stream
            self._streams.append(stream)
            stream.start()
        channel.peers[entry.msp_id] = peer
        gateway_pb2_grpc.add_GatewayServicer_to_server(Gateway(channel, peer), server)
        events_pb2_grpc.add_DeliverServicer_to_server(Deliver(channel), server)
        peer_pb2_grpc.add_EndorserServicer_to_server(Endorser(channel, peer), server)

    def _measure(self, entry: OrganisationConfig, chain: Chain) -> PeerMetrics:
        metrics = PeerMetrics(self._config.channel)
        self._metrics.append(metrics)
        metrics.begin(chain.height)
        chain.watchers.append(metrics.committed)
        if entry.operations is not None:
            host, _, port = entry.operations.rpartition(":")
            metrics.serve(host.strip("[]"), int(port))
        return metrics


def _check_role(membership: Membership, signer: SigningIdentity, role: Role) -> None:
    identity = membership.identity(signer.serialized)
    if identity.problem is not None or role not in identity.roles:
        reason = identity.problem or f"its certificate has no {role.name.lower()} unit"
        raise ConfigError(
            f"the signing identity of {signer.msp_id} cannot act as {role.name.lower()}: {reason}"
        )
    if identity.expired:
        raise ConfigError(f"the signing certificate of {signer.msp_id} has expired: issue a new one")


def _bind(server: grpc.aio.Server, entry: OrganisationConfig) -> str:
    try:
        key = (entry.tls / "server.key").read_bytes()
        certificate = (entry.tls / "server.crt").read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the TLS files of {entry.msp_id} in {entry.tls}: {error.strerror}"
        ) from error
    try:
        port = server.add_secure_port(entry.address, grpc.ssl_server_credentials([(key, certificate)]))
    except RuntimeError as error:
        raise ConfigError(
            f"{entry.msp_id} cannot serve at {entry.address}: "
            "the port is taken, or its TLS files are not valid"
        ) from error
    host = entry.address.rpartition(":")[0]
    return f"{host}:{port}"
