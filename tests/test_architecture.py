"""Who may import whom (docs/architecture.md): the arrows between rooms, read from the code's own imports."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {
    "quorumlearn_proto": ROOT / "proto",
    "quorumlearn_chaincode": ROOT / "chaincode",
    "quorumlearn": ROOT / "client",
    "quorumlearn_network": ROOT / "network",
}
OURS = tuple(ROOMS)
HEAVY = ("torch", "torchvision", "tenseal", "sklearn", "numpy", "matplotlib", "fsspec", "safetensors")

# package: the packages of ours that it may import, beside itself
ALLOWED = {
    "quorumlearn_proto": (),
    "quorumlearn_chaincode.runtime": (),
    "quorumlearn_chaincode": ("quorumlearn_proto",),
    "quorumlearn_network.devnet": (),
    "quorumlearn_network": (),
    "quorumlearn.seeds": (),
    "quorumlearn.gateway": (),
    "quorumlearn.artifacts": ("quorumlearn_proto",),
    "quorumlearn.ckks": (),
    "quorumlearn.robust": (),
    "quorumlearn.attacks": (),
    "quorumlearn.learning": ("quorumlearn.seeds",),
    "quorumlearn.nodes": (
        "quorumlearn_proto",
        "quorumlearn.seeds",
        "quorumlearn.gateway",
        "quorumlearn.artifacts",
        "quorumlearn.ckks",
        "quorumlearn.robust",
        "quorumlearn.learning",
        "quorumlearn.attacks",
    ),
}
FORBIDDEN_LIBRARIES = {
    "quorumlearn_proto": HEAVY,
    "quorumlearn_chaincode": HEAVY,
    "quorumlearn_network": HEAVY,
    "quorumlearn.gateway": HEAVY,
    "quorumlearn.ckks": ("torch", "torchvision", "sklearn", "grpc", "fabric_protos", "matplotlib"),
    "quorumlearn.robust": ("torch", "torchvision", "sklearn", "grpc", "fabric_protos", "tenseal", "byzfl"),
    "quorumlearn.learning": ("tenseal", "grpc", "fabric_protos", "byzfl"),
    "quorumlearn.artifacts": ("torch", "tenseal", "grpc", "fabric_protos"),
    "quorumlearn.nodes": ("typer", "rich", "tenseal", "torch", "grpc"),
}


def modules() -> list[tuple[str, Path]]:
    found = []
    for package, room in ROOMS.items():
        for path in sorted((room / package).rglob("*.py")):
            if not path.stem.endswith("_pb2"):
                name = ".".join(path.relative_to(room).with_suffix("").parts)
                found.append((name.removesuffix(".__init__"), path))
    return found


def imports(name: str, path: Path) -> set[str]:
    """Full names of the modules (and `from` targets) that a file imports."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def room_of(name: str, table: dict[str, tuple[str, ...]]) -> str | None:
    return max((package for package in table if inside(name, package)), key=len, default=None)


@pytest.mark.parametrize(
    ("name", "path"), modules(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_module_imports_only_what_its_room_may(name: str, path: Path) -> None:
    room = room_of(name, ALLOWED)
    library_room = room_of(name, FORBIDDEN_LIBRARIES)
    for target in imports(name, path):
        if target.split(".")[0] in OURS and room is not None:
            allowed = (room, *ALLOWED[room])
            assert any(inside(target, one) for one in allowed), (
                f"{name} imports {target}; {room} may import {allowed}"
            )
        if library_room is not None:
            library = target.split(".")[0]
            assert library not in FORBIDDEN_LIBRARIES[library_room], f"{name} imports {library}"


def test_modules_import_each_other_in_no_circle() -> None:
    """Late imports, inside of functions, count as well."""
    paths = dict(modules())

    def module_of(target: str) -> str:
        while target and target not in paths:
            target = target.rpartition(".")[0]
        return target

    graph = {name: {module_of(target) for target in imports(name, path)} for name, path in paths.items()}
    order = TopologicalSorter({name: found - {name, ""} for name, found in graph.items()})
    assert set(order.static_order()) >= set(paths)


def test_every_room_is_looked_at() -> None:
    names = {name for name, _ in modules()}
    for package in ALLOWED:
        assert any(inside(name, package) for name in names), f"no module of {package} was found"


def test_no_channel_asks_a_proxy_of_the_environment() -> None:
    """Whoever makes a gRPC channel decides on `grpc.enable_http_proxy`: its default reads `https_proxy` and its like."""
    makers = [path for _, path in modules() if "secure_channel(" in path.read_text()]
    assert makers
    for path in makers:
        assert '"grpc.enable_http_proxy"' in path.read_text(), path
