"""python -m examples.images --data FOLDER: images in Chain FL's setting, the market beside central training, in some minutes."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import quorumlearn
import yaml
from quorumlearn import learning
from quorumlearn.cli.terminal import Exit, Failure, print_text
from quorumlearn.seeds import derive

from examples.images.pictures import PICTURES
from examples.play import end, play

HERE = Path(__file__).parent
NODES = ("lab1.yaml", "lab2.yaml", "authority1.yaml", "authority2.yaml", "authority3.yaml")
MINERS = 4
WANTED, AT_HAND = "CIFAR10", "MNIST"
THEIRS = {"MNIST": 0.20, "CIFAR10": 2.57}
"""Points that Chain FL loses against central training: Korkmaz et al., BCCA 2020."""
SMALL_ROUNDS, SMALL_SHARDS, SMALL_RATE = 2, 80, 0.05  # few steps must be longer to show something
_READS = PICTURES.build(PICTURES.settings())  # whatever its settings, it reads alike


def main(data: Path | None, dataset: str | None, folder: Path, rounds: int | None, small: bool) -> None:
    images = _folder(data)
    name = dataset or _there(images)
    task = yaml.safe_load((HERE / "task.yaml").read_text())
    train, test = _samples(images, name, "train"), _samples(images, name, "test")
    task["rounds"] = rounds or (SMALL_ROUNDS if small else task["rounds"])
    config = {**task["workload"]["config"], **_shape(train)}
    if small:
        config["learning_rate"] = SMALL_RATE
    task["workload"]["config"] = config
    shards = max(MINERS, min(SMALL_SHARDS, len(train) // 10)) if small else MINERS
    workload = PICTURES.build(PICTURES.settings(**config))
    accuracy: list[float] = []

    def look(played: Path) -> None:
        with quorumlearn.connect(played / "network", "owner/owner", store=played / "artifacts") as market:
            accuracy.append(workload.evaluate(dict(market.task(task["id"]).model().tensors), test).value)

    with tempfile.TemporaryDirectory() as made:
        files = Path(made)
        _write(files, task, name, shards)
        report = play(files, folder, NODES, {"images": images}, look)
    divided = learning.iid(train.targets, shards, 0)[:MINERS]
    same = train.take(np.sort(np.concatenate(divided)))
    central = _central(workload, same, test, int(task["rounds"]), int(task["seed"]))
    accepted = report.outcomes.count("ACCEPTED")
    print_text("")
    print_text(
        f"{name}, {len(same)} training and {len(test)} test images, {MINERS} miners, {accepted} of {task['rounds']} rounds accepted",
        style="bold",
    )
    loss = 100 * (central - accuracy[0])
    said = f"; Chain FL says {THEIRS[name]:.2f}" if name in THEIRS else ""
    print_text(f"central training, as many passes over the same images: {central:.2%}")
    print_text(f"this market:                                            {accuracy[0]:.2%}")
    print_text(f"the market loses {loss:.2f} points{said}")


def _central(
    workload: learning.Workload, train: learning.Samples, test: learning.Samples, rounds: int, seed: int
) -> float:
    """Accuracy of the model that one trainer makes of all images, one pass for each round's."""
    model = workload.initial_model(seed)
    for number in range(rounds):
        model = workload.train(model, train, seed=derive("central", seed, number)).model
    return workload.evaluate(model, test).value


def _shape(samples: learning.Samples) -> dict[str, int]:
    _, channels, height, width = samples.inputs.shape
    if height != width:
        raise Failure(f"images of {width} x {height} pixels; this network takes square ones", Exit.USAGE)
    return {"channels": channels, "side": height, "classes": int(samples.targets.max()) + 1}


def _folder(data: Path | None) -> Path:
    if data is None and os.environ.get("QUORUMLEARN_DATA"):
        data = Path(os.environ["QUORUMLEARN_DATA"])
    if data is None or not data.is_dir():
        raise Failure(
            f"no data{'' if data is None else f' in {data}'}: name with --data a folder that holds {WANTED}, or MNIST's four IDX files",
            Exit.USAGE,
        )
    return data


def _there(images: Path) -> str:
    """CIFAR10 if it is in the folder, otherwise MNIST, and a sentence that says so."""
    try:
        _READS.load(str(images), learning.Part("test", WANTED))
    except learning.DataMissing:
        print_text(f"NOTE: {images} does not hold {WANTED}; playing {AT_HAND} instead.", style="bold yellow")
        return AT_HAND
    return WANTED


def _samples(images: Path, name: str, kind: str) -> learning.Samples:
    try:
        found = _READS.load(str(images), learning.Part("train" if kind == "train" else "test", name))
    except learning.LearningError as error:
        raise Failure(f"no data: {error}", Exit.USAGE) from error
    assert isinstance(found, learning.Samples)
    return found


def _write(into: Path, task: object, dataset: str, shards: int) -> None:
    """The files of this folder for another data set, of which each miner has one of so many parts."""
    shutil.copy(HERE / "pictures.py", into)
    shutil.copy(HERE / "network.yaml", into)
    (into / "task.yaml").write_text(yaml.safe_dump(task, sort_keys=False))
    for name in NODES:
        node = yaml.safe_load((HERE / name).read_text())
        for identity in node["identities"]:
            identity["part"] = dataset
            if identity["role"] == "miner":
                identity["shard"] = identity["shard"].replace(f"/{MINERS}", f"/{shards}")
        (into / name).write_text(yaml.safe_dump(node, sort_keys=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m examples.images", description=__doc__)
    parser.add_argument("--data", type=Path, help="the data set's folder; by default QUORUMLEARN_DATA")
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        help=f"as torchvision calls it; by default {WANTED}, or MNIST if it is not there",
    )
    parser.add_argument("--folder", type=Path, default=Path("example-images"), help="where to play it")
    parser.add_argument("--rounds", type=int, help="of training; by default the task's")
    parser.add_argument("--small", action="store_true", help="few images and rounds, to see that it runs")
    given = parser.parse_args()
    end(partial(main, given.data, given.dataset, given.folder, given.rounds, given.small))
