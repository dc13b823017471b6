"""The README's example runs as it is printed, and the runtime needs no more than it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import quorumlearn_chaincode.runtime as runtime

from tests.chaincode.runtime.conftest import PACKAGE_ID
from tests.chaincode.runtime.fake_peer import DEADLINE, FakePeer

README = Path(runtime.__file__).with_name("README.md")


def test_the_example_counts(dial: Callable[..., FakePeer]) -> None:
    example = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert example is not None
    environment = {"CHAINCODE_ID": PACKAGE_ID, "CHAINCODE_SERVER_ADDRESS": "127.0.0.1:0"}
    with subprocess.Popen(
        [sys.executable, "-u", "-c", example[1]],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            peer = dial(process.stdout.readline().strip()).wait_ready()
            for expected in (b"1", b"2"):
                outcome = peer.transact("increment", "apples")
                assert (outcome.payload, outcome.event) == (expected, ("counted", b"apples"))
            assert peer.transact("read", "apples").payload == b"2"
            assert "there is no function 'reset'" in peer.transact("reset", "apples").message
            process.terminate()
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()


def test_every_call_of_the_stub_is_in_the_readme() -> None:
    table = README.read_text()
    shortened = {"set_state_validation_parameter", "set_private_data_validation_parameter"}
    for name in vars(runtime.ChaincodeStub):
        if name.startswith("_") or name in shortened or name.endswith("_with_pagination"):
            continue
        tail = name.removeprefix("get_private_data").removesuffix("_private_data")
        assert name in table or (tail != name and tail in table), name


def test_the_runtime_imports_nothing_heavy() -> None:
    code = """
import sys
import quorumlearn_chaincode.__main__
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split()) - set(sys.stdlib_module_names)
    heavy = {
        "torch",
        "tenseal",
        "numpy",
        "pydantic",
        "quorumlearn",
        "quorumlearn_network",
        "quorumlearn_proto",
    }
    assert {"grpc", "fabric_protos"} <= loaded
    assert not loaded & heavy
