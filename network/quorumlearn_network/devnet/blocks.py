"""Blocks and their hashes, in the bytes that Fabric uses.

- data hash: SHA-256 of the concatenated envelopes;
- header hash, the next block's previous hash: SHA-256 of DER SEQUENCE {INTEGER number, OCTET STRING, OCTET
  STRING};
- orderer's signature over metadata value || signature header || DER header, in metadata slot 0;
- transaction filter (one TxValidationCode byte a transaction) in slot 2, commit hash in slot 4;
- commit hash: SHA-256 of varint(filter length) || filter || state updates || previous commit hash, from block
  1 on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fabric_protos.common import common_pb2

from quorumlearn_network.devnet.msp import SigningIdentity

Version = tuple[int, int]
"""Where a value was written: (block number, position in the block)."""

NOT_VALIDATED = 254


@dataclass(frozen=True)
class Update:
    """The state of one key after a block.

    A `value` of None deletes it; `metadata` is a KVMetadataWrite's bytes.
    """

    value: bytes | None
    metadata: bytes
    version: Version


StateUpdates = Mapping[tuple[str, str], Update]
"""(namespace, key) -> what it becomes."""


def data_hash(envelopes: Iterable[bytes]) -> bytes:
    return hashlib.sha256(b"".join(envelopes)).digest()


def header_der(header: common_pb2.BlockHeader) -> bytes:
    """DER of a block header; what the orderer signs and what is hashed."""
    number = int(header.number)
    content = _der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))
    content += _der(4, header.previous_hash) + _der(4, header.data_hash)
    return _der(0x30, content)


def header_hash(header: common_pb2.BlockHeader) -> bytes:
    return hashlib.sha256(header_der(header)).digest()


def new_block(
    number: int, previous_hash: bytes, envelopes: Sequence[bytes], orderer: SigningIdentity | None
) -> common_pb2.Block:
    """An ordered block, not yet validated.

    Without an orderer (genesis) the signature slot holds no signature.
    """
    header = common_pb2.BlockHeader(
        number=number, previous_hash=previous_hash, data_hash=data_hash(envelopes)
    )
    value = common_pb2.OrdererBlockMetadata(last_config=common_pb2.LastConfig(index=0)).SerializeToString()
    signatures = common_pb2.Metadata(value=value)
    if orderer is not None:
        signature_header = common_pb2.SignatureHeader(
            creator=orderer.serialized, nonce=os.urandom(24)
        ).SerializeToString()
        signatures.signatures.add(
            signature_header=signature_header,
            signature=orderer.sign(value + signature_header + header_der(header)),
        )
    last_config = common_pb2.Metadata(value=common_pb2.LastConfig(index=0).SerializeToString())
    slots = [signatures.SerializeToString(), last_config.SerializeToString(), b"", b"", b""]
    slots[common_pb2.TRANSACTIONS_FILTER] = bytes([NOT_VALIDATED]) * len(envelopes)
    return common_pb2.Block(
        header=header,
        data=common_pb2.BlockData(data=envelopes),
        metadata=common_pb2.BlockMetadata(metadata=slots),
    )


def seal(block: common_pb2.Block, flags: bytes, updates: StateUpdates, previous_commit: bytes) -> bytes:
    """Write the transaction filter and the commit hash into `block`; returns the commit hash (empty for block
    0).
    """
    block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = flags
    if block.header.number == 0:
        return b""
    commit = hashlib.sha256(_varint(len(flags)) + flags + _update_bytes(updates) + previous_commit).digest()
    block.metadata.metadata[common_pb2.COMMIT_HASH] = common_pb2.Metadata(value=commit).SerializeToString()
    return commit


def flags_of(block: common_pb2.Block) -> bytes:
    flags: bytes = block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER]
    return flags


def transaction_id(nonce: bytes, creator: bytes) -> str:
    return hashlib.sha256(nonce + creator).hexdigest()


def proposal_hash(channel_header: bytes, signature_header: bytes, payload_without_transient: bytes) -> bytes:
    return hashlib.sha256(channel_header + signature_header + payload_without_transient).digest()


def _update_bytes(updates: StateUpdates) -> bytes:
    """Fabric's `txmgr.Updates`: by namespace and key; the namespace only on its first entry."""
    out = bytearray()
    previous: str | None = None
    for (namespace, key), update in sorted(
        updates.items(), key=lambda item: (item[0][0], item[0][1].encode())
    ):
        entry = _field(1, namespace.encode()) if namespace != previous else b""
        previous = namespace
        entry += _field(3, key.encode())
        entry += b"\x20\x01" if update.value is None else _field(5, update.value)
        entry += _field(6, b"".join(_ordered(part) for part in update.version))
        out += b"\x0a" + _varint(len(entry)) + entry
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(data)) + data if data else b""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _ordered(value: int) -> bytes:
    """Fabric's order-preserving integer: its length, then big-endian bytes without leading zeros."""
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _varint(len(data)) + data


def _der(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
