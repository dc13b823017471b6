"""Texts with a label each, from a file or a folder, for training and for tests.

A file is TSV, one label, a tab and a text in each line; or JSONL, an object with `text` and `label` in each line (`.jsonl`). A folder
holds two of them, `train.*` and `test.*`. Of a single file a fifth is for tests: those texts whose SHA-256 begins with a byte below 51, so
that equal texts are never on both sides, and nobody need agree on more. Samples come in the order of these hashes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quorumlearn.learning.errors import DataCorrupt, DataMissing

TEST_BELOW = 51
_SUFFIXES = (".jsonl", ".tsv", ".txt")


@dataclass(frozen=True)
class Labelled:
    """A text and its label, which is empty where a file has none."""

    text: str
    label: str


def read_texts(source: Path, kind: Literal["train", "test"], *, labelled: bool) -> list[Labelled]:
    """The texts for training or for tests. DataMissing if there is no such file, DataCorrupt, with the line, for what is none."""
    if source.is_dir():
        files = [source / f"{kind}{suffix}" for suffix in _SUFFIXES]
        found = next((one for one in files if one.is_file()), None)
        if found is None:
            raise DataMissing(f"{source} has no {' or '.join(one.name for one in files)}")
        texts = list(_lines(found, labelled))
    elif source.is_file():
        texts = [one for one in _lines(source, labelled) if (_order(one)[0] < TEST_BELOW) == (kind == "test")]
    else:
        raise DataMissing(
            f"there is no file {source}; name a TSV or JSONL file of texts, or a folder of train.* and test.*"
        )
    if not texts:
        raise DataCorrupt(f"{source} has no texts for {'training' if kind == 'train' else 'tests'}")
    return sorted(texts, key=_order)


def _order(one: Labelled) -> bytes:
    return hashlib.sha256(one.text.encode()).digest()


def _lines(file: Path, labelled: bool) -> Iterator[Labelled]:
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataCorrupt(f"cannot read {file}: {error}") from error
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            try:
                yield (_of_json if file.suffix == ".jsonl" else _of_columns)(line.rstrip("\r"), labelled)
            except ValueError as error:
                raise DataCorrupt(f"line {number} of {file}: {error}") from error


def _of_json(line: str, labelled: bool) -> Labelled:
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    text, label = found.get("text"), found.get("label", "")
    if not isinstance(text, str) or not text:
        raise ValueError("no `text`, or an empty one")
    if labelled and not isinstance(label, str | int):
        raise ValueError("no `label` that is a word or a number")
    return _checked(text, str(label), labelled)


def _of_columns(line: str, labelled: bool) -> Labelled:
    label, tab, text = line.partition("\t")
    if not tab and labelled:
        raise ValueError("no tab; it should be a label, a tab and a text")
    return _checked(text if tab else line, label if tab else "", labelled)


def _checked(text: str, label: str, labelled: bool) -> Labelled:
    if not text.strip():
        raise ValueError("the text is empty")
    if labelled and not label:
        raise ValueError("the label is empty")
    return Labelled(text, label)
