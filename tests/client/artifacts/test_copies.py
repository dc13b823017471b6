"""Copies that are kept for rounds: looked for while others are forgotten."""

from __future__ import annotations

import threading
from pathlib import Path

from quorumlearn.artifacts.copies import Copies

DIGEST, OTHER = "ab" * 32, "cd" * 32


def test_a_copy_is_found_while_those_of_other_rounds_are_forgotten(tmp_path: Path) -> None:
    copies = Copies(tmp_path)
    copies.add(("kept", 1), DIGEST, b"kept", own=True)
    done = threading.Event()

    def forget_again_and_again() -> None:
        for number in range(300):
            copies.add(("gone", number), OTHER, b"gone", own=True)
            copies.forget("gone")
        done.set()

    thread = threading.Thread(target=forget_again_and_again)
    thread.start()
    while not done.is_set():
        assert DIGEST in {ref.digest for ref in copies.own()}
        assert copies.has(DIGEST)
        copies.has("ef" * 32)
    thread.join()
    assert [(ref.digest, ref.size) for ref in copies.own()] == [(DIGEST, 4)]
