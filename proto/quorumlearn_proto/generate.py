"""Generates the Python stubs from the .proto files: `python -m quorumlearn_proto.generate [--check]`.

Needs grpcio-tools of the pinned line, whose output runs on the protobuf that Fabric's own stubs need; it has wheels up to Python 3.13.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import resources
from pathlib import Path

HERE = Path(__file__).resolve().parent


def generate(target: Path) -> None:
    """Write `*_pb2.py` and `*_pb2.pyi` of every .proto file below `target`/quorumlearn_proto."""
    try:
        from grpc_tools import protoc
    except ModuleNotFoundError:
        raise SystemExit(
            "no grpcio-tools here: stubs are generated, and checked, on Python 3.11 to 3.13"
        ) from None

    sources = sorted(str(path) for path in HERE.glob("*.proto"))
    well_known = resources.files("grpc_tools") / "_proto"
    flags = [f"-I{HERE.parent}", f"-I{well_known}", f"--python_out={target}", f"--pyi_out={target}"]
    if protoc.main(["protoc", *flags, *sources]) != 0:
        raise SystemExit("protoc failed; its message is above")


def stale() -> list[str]:
    """Names of the checked-in stubs that differ from what the .proto files give, or are missing or extra."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = {path.name: path.read_bytes() for path in (Path(folder) / HERE.name).iterdir()}
    present = {path.name: path.read_bytes() for path in HERE.glob("*_pb2.py*")}
    return sorted(name for name in fresh.keys() | present.keys() if fresh.get(name) != present.get(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the stubs are up to date")
    if parser.parse_args().check:
        names = stale()
        if names:
            sys.exit(f"stale stubs: {', '.join(names)}; run python -m quorumlearn_proto.generate")
    else:
        generate(HERE.parent)


if __name__ == "__main__":
    main()
