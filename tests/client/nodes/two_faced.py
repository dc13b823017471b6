"""A ciphertext of AES-GCM that two keys open to two texts (Albertini et al., USENIX Security 2022, https://ia.cr/2020/1456), as a hostile
sender makes it: 16 of its bytes are chosen so that both keys give the same tag."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 16
_R = 0xE1 << 120


def _times(a: int, b: int) -> int:
    """In GHASH's field (NIST SP 800-38D, 6.3)."""
    found = 0
    for bit in range(128):
        if a >> (127 - bit) & 1:
            found ^= b
        b = b >> 1 ^ (_R if b & 1 else 0)
    return found


def _inverse(a: int) -> int:
    found, power = 1 << 127, a
    for _ in range(127):
        power = _times(power, power)
        found = _times(found, power)
    return found


def _encrypted(key: bytes, block: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def _stream(key: bytes, nonce: bytes, blocks: int) -> bytes:
    return b"".join(_encrypted(key, nonce + (at + 2).to_bytes(4, "big")) for at in range(blocks))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def _tag(key: bytes, nonce: bytes, ciphertext: bytes, bound: bytes) -> int:
    h, found = int.from_bytes(_encrypted(key, bytes(BLOCK)), "big"), 0
    lengths = (8 * len(bound)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    whole = _padded(bound) + _padded(ciphertext) + lengths
    for at in range(0, len(whole), BLOCK):
        found = _times(found ^ int.from_bytes(whole[at : at + BLOCK], "big"), h)
    return found ^ int.from_bytes(_encrypted(key, nonce + b"\0\0\0\1"), "big")


def two_faced(text: bytes, keys: tuple[bytes, bytes], nonce: bytes, bound: bytes) -> bytes:
    """A ciphertext with its tag that opens under the first key to `text` and 16 bytes that cannot be chosen, under the second to noise.

    `text` has whole blocks.
    """
    blocks = len(text) // BLOCK
    stream = _stream(keys[0], nonce, blocks)
    begin = bytes(one ^ other for one, other in zip(text, stream, strict=True))
    hashes = [int.from_bytes(_encrypted(key, bytes(BLOCK)), "big") for key in keys]
    tags = [_tag(key, nonce, begin + bytes(BLOCK), bound) for key in keys]
    squares = [_times(h, h) for h in hashes]
    chosen = _times(tags[0] ^ tags[1], _inverse(squares[0] ^ squares[1]))
    ciphertext = begin + chosen.to_bytes(BLOCK, "big")
    return ciphertext + _tag(keys[0], nonce, ciphertext, bound).to_bytes(BLOCK, "big")
