"""What docs/architecture.md says of the code: who may import whom, and which files an update, a key and a token pass.
What the contracts' own list says of their files is held to here too.

Both are read from the code itself, from its imports and its names.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

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
    "quorumlearn.extras": (),
    "quorumlearn.gateway": (),
    "quorumlearn.artifacts": ("quorumlearn_proto",),
    "quorumlearn.ckks": (),
    "quorumlearn.robust": (),
    "quorumlearn.attacks": (),
    "quorumlearn.learning": ("quorumlearn.seeds", "quorumlearn.extras"),
    "quorumlearn.replay": ("quorumlearn_proto", "quorumlearn.ckks", "quorumlearn.learning"),
    "quorumlearn.nodes": (
        "quorumlearn_proto",
        "quorumlearn.replay",
        "quorumlearn.seeds",
        "quorumlearn.extras",
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
    "quorumlearn.replay": ("torch", "tenseal", "grpc", "fabric_protos", "fsspec"),
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


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


def imports(name: str, path: Path) -> set[str]:
    """Full names of the modules (and `from` targets) that a file imports."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in nodes(path):
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


def private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


@pytest.mark.parametrize("room", ["tests", "benchmarks"])
def test_no_private_name_is_imported_or_patched(room: str) -> None:
    """Ruff's SLF001 sees a private attribute where it is read; an import, and a name in quotes, it does not."""
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        named = [
            target for target in imports("", path) if target.split(".")[0] in (*OURS, "tests", "benchmarks")
        ]
        for node in nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                does = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                if does in {"setattr", "delattr", "getattr", "patch"}:
                    named += [
                        one.value
                        for one in node.args
                        if isinstance(one, ast.Constant) and isinstance(one.value, str)
                    ]
        found += [f"{path.relative_to(ROOT)}: {one}" for one in named if private(one)]
    assert not found


PATHS = (
    "A transaction",
    "A miner's update",
    "A training that is replayed",
    "A step of a key",
    "A token",
)
LINE = re.compile(
    r"(?P<indent>(?:  )*)(?P<handed>~ )?(?P<file>[a-z_]+(?:/[a-z_]+)+\.py) +(?P<word>[\w:]+)(?:  .*)?"
)
DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Passed(NamedTuple):
    """A line of a path: a file, what is called in it, the file that calls it (none for a first one), and whether it does so without
    importing it."""

    file: str
    word: str
    caller: str | None
    handed: bool


def section_of(heading: str) -> str:
    text = (ROOT / "docs" / "architecture.md").read_text()
    return text.partition(f"\n### {heading}\n")[2].partition("\n#")[0]


def lines_of(path: str) -> list[Passed]:
    """The lines of a path's block; a file's caller is the nearest one above it that is indented less."""
    found: list[Passed] = []
    callers: list[str] = []
    for text in section_of(path).partition("```\n")[2].partition("```")[0].splitlines():
        match = LINE.fullmatch(text)
        assert match is not None, f"{path}: no line of a path: {text!r}"
        depth = len(match["indent"]) // 2
        assert depth <= len(callers), f"{path}: indented too far: {text!r}"
        callers[depth:] = [match["file"]]
        caller = callers[depth - 1] if depth else None
        found.append(Passed(match["file"], match["word"], caller, match["handed"] is not None))
    return found


def module_at(file: str) -> tuple[str, Path]:
    """The one module whose path ends like this."""
    found = [one for one in modules() if one[1].as_posix().endswith(f"/{file}")]
    assert len(found) == 1, f"{file} names {len(found)} modules"
    return found[0]


@cache
def defined(path: Path) -> set[str]:
    return {node.name for node in nodes(path) if isinstance(node, DEFINITION)}


@cache
def named(path: Path) -> set[str]:
    """Every name that a file uses or defines, and every string in it."""
    found = defined(path).copy()
    for node in nodes(path):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def has_imported(caller: tuple[str, Path], wanted: str) -> bool:
    """Whether a file imports a module, itself or through the face of its package."""
    faces = [one for one in modules() if one[1].name == "__init__.py" and inside(wanted, one[0])]
    through = [face for face, path in faces if any(inside(one, wanted) for one in imports(face, path))]
    targets = imports(*caller)
    return any(inside(target, one) for target in targets for one in (wanted, *through))


@pytest.mark.parametrize("path", PATHS)
def test_each_file_of_a_path_is_called_by_the_file_that_the_list_says(path: str) -> None:
    """`~`: both name the word. Otherwise the caller also imports the file, which defines it."""
    lines = lines_of(path)
    assert lines
    for one in lines:
        name, where = module_at(one.file)
        known = named(where) if one.handed else defined(where)
        assert one.word in known, f"{path}: {one.file} does not have {one.word}"
        if one.caller is None:
            continue
        caller = module_at(one.caller)
        assert one.word in named(caller[1]), f"{path}: {one.caller} does not call {one.word} of {one.file}"
        assert one.handed or has_imported(caller, name), f"{path}: {one.caller} does not import {one.file}"


@pytest.mark.parametrize("path", PATHS)
def test_the_number_of_files_of_a_path_is_told(path: str) -> None:
    files = {one.file for one in lines_of(path)}
    assert f"{len(files)} files" in section_of(path)


def test_every_file_of_nodes_is_in_its_table() -> None:
    listed = re.findall(r"`(\w+)`", section_of("The files of nodes/"))
    there = (path.stem for path in (ROOT / "client" / "quorumlearn" / "nodes").rglob("*.py"))
    assert sorted(listed) == sorted(one for one in there if one != "__init__")


def test_every_file_of_the_contracts_is_in_their_list() -> None:
    contracts = ROOT / "chaincode" / "quorumlearn_chaincode" / "contracts"
    text = (contracts / "__init__.py").read_text().partition("by file:")[2].partition('"""')[0]
    there = (path.stem for path in contracts.glob("*.py"))
    assert sorted(re.findall(r"`(\w+)`", text)) == sorted(one for one in there if one != "__init__")
