"""The record of what a real Fabric answers, which the devnet is held to, and the table that shows both.

    python -m tests.conformance.record fabric       runs every case on a real Fabric and writes the record
    python -m tests.conformance.record devnet       runs every case on the devnet and shows what differs
    python -m tests.conformance.record table        writes docs/conformance.md from the record

Both runs take words to choose cases by; then the others' records stay as they are.

A network may differ from the record only where `DIFFERENCES` says so and why; there is the devnet's own
answer, so that a difference that comes or goes is noticed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.cases import CASES
from tests.conformance.differences import DIFFERENCES
from tests.conformance.network import ROOT, running
from tests.conformance.observing import Case, Observation

RECORD = Path(__file__).parent / "fabric-3.1.json"
TABLE = ROOT / "docs" / "conformance.md"
_SHOWN = 150


@dataclass(frozen=True)
class Record:
    """A Fabric's version, and its answer to each case."""

    version: str
    answers: dict[str, Observation]


def load() -> Record:
    """The record in the repository."""
    fields = json.loads(RECORD.read_text(encoding="utf-8"))
    return Record(fields["version"], fields["answers"])


def expected(kind: str, case: Case, record: Record) -> Observation:
    """What a network of this kind must answer."""
    if kind == "devnet" and case.name in DIFFERENCES:
        return DIFFERENCES[case.name].devnet
    return record.answers[case.name]


def observe(kind: str, words: Sequence[str]) -> dict[str, Observation]:
    """The answers of a new network to the chosen cases."""
    chosen = [case for case in CASES if not words or any(word in case.name for word in words)]
    with tempfile.TemporaryDirectory() as folder, running(kind, Path(folder) / "network") as network:
        return {case.name: case.observe(network) for case in chosen}


def main(kind: str, *words: str) -> None:
    if kind == "fabric":
        before = load().answers if RECORD.exists() else {}
        answers = before | observe(kind, words)
        fields = {
            "version": _version(),
            "answers": {case.name: answers[case.name] for case in CASES if case.name in answers},
        }
        RECORD.write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    elif kind == "devnet":
        record = load()
        for name, answer in observe(kind, words).items():
            case = next(case for case in CASES if case.name == name)
            for line in differing("", expected(kind, case, record), answer):
                sys.stdout.write(f"{name}{line}\n")
    else:
        TABLE.write_text(render(load()), encoding="utf-8")


def differing(path: str, left: Observation, right: Observation) -> list[str]:
    """Where two answers differ, one line each."""
    if left == right:
        return []
    if isinstance(left, dict) and isinstance(right, dict):
        keys = dict.fromkeys([*left, *right])
        return [line for key in keys for line in differing(f"{path} / {key}", left.get(key), right.get(key))]
    return [f"{path}\n    expected {json.dumps(left)}\n    found    {json.dumps(right)}"]


def render(record: Record) -> str:
    """docs/conformance.md."""
    agreeing = [case for case in CASES if case.name not in DIFFERENCES]
    lines = [
        "# Where the devnet and Fabric agree",
        "",
        f"Every case below was put to a network of Hyperledger Fabric {record.version} (one Raft orderer, four peers) "
        "and to the devnet, by the same client, with the same chaincode. Of "
        f"{len(CASES)} cases {len(agreeing)} get the same answer from both, "
        f"{len(DIFFERENCES)} a different one. CI holds the devnet to Fabric's answers, which are kept in "
        "`tests/conformance/fabric-3.1.json`; where the executables `peer` and `orderer` are on the PATH or in "
        "QUORUMLEARN_FABRIC_BIN, the same tests hold Fabric itself to them. Hashes and signatures are not in the "
        "record: the cases recompute them.",
        "",
        "Answers are shortened here. Transaction ids, addresses and times are left out, also in the record. Errors "
        "are shown as code and message; their details (who said what) are compared too.",
        "",
        "The official Node gateway client and a chaincode on the official Node runtime run on both networks as well "
        "(`tests/conformance/test_official_node.py`).",
        "",
        "What the devnet does not have at all: several channels, changes of a channel's configuration, "
        "private data collections, CouchDB and its rich queries, the orderer's own services, snapshots, discovery. "
        "Private data is refused with `private data collections are not supported by the devnet`; transient data "
        "reaches the chaincode as on Fabric.",
        "",
        "This page is written by `python -m tests.conformance.record table`.",
    ]
    group = ""
    for case in CASES:
        if case.group != group:
            group = case.group
            lines += ["", f"## {group}", "", "| case | Fabric 3.1 | devnet |", "| --- | --- | --- |"]
        difference = DIFFERENCES.get(case.name)
        devnet = "agrees" if difference is None else f"**differs**: {difference.reason}"
        lines.append(f"| {case.title} | {_shown(record.answers[case.name])} | {devnet} |")
    return "\n".join(lines) + "\n"


def _shown(answer: Observation) -> str:
    text = _words(answer)
    text = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ").replace("\0", "\\0")


def _words(answer: Observation) -> str:
    if isinstance(answer, dict):
        if "code" in answer:
            return " ".join(str(answer[key]) for key in ("code", "message") if key in answer)
        return "; ".join(f"{key}: {_words(value)}" for key, value in answer.items())
    if isinstance(answer, list):
        return "[" + ", ".join(_words(one) for one in answer) + "]"
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return "(nothing)" if answer in ("", None) else str(answer)


def _version() -> str:
    from quorumlearn_network.fabric.native import find_executable

    peer = find_executable("peer")
    assert peer is not None
    said = subprocess.run([str(peer), "version"], check=True, capture_output=True, text=True).stdout
    return next(line.split()[-1].lstrip("v") for line in said.splitlines() if "Version:" in line)


if __name__ == "__main__":
    main(*sys.argv[1:])
