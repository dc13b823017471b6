"""examples/images: what it reads, and its README's command in small."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from quorumlearn import learning

from examples.images.pictures import CIFAR10_CLASSES, PICTURES, Settings

ROOT = Path(__file__).resolve().parents[2]


def command(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.images", *options],
        cwd=ROOT,
        env={**os.environ, "QUORUMLEARN_DATA": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_market_is_compared_with_central_training(mnist_folder: Path, tmp_path: Path) -> None:
    ended = command("--data", str(mnist_folder), "--folder", str(tmp_path / "played"), "--small")
    assert ended.returncode == 0, f"{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
    assert "does not hold CIFAR10; playing MNIST instead" in ended.stdout
    assert ended.stdout.count("ENDED    ACCEPTED") == 2
    central, market = (
        float(one[1])
        for one in re.finditer(
            r"^(?:central training|this market).*: +([\d.]+)%$", ended.stdout, re.MULTILINE
        )
    )
    loss = re.search(r"the market loses (-?[\d.]+) points; Chain FL says 0.20", ended.stdout)
    assert loss is not None and abs(central - market - float(loss[1])) < 0.02
    assert market > 40


def test_cifar10_as_a_folder_of_images_is_read_and_trained_on(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for kind, each in (("train", 2), ("test", 1)):
        for name in CIFAR10_CLASSES:
            (tmp_path / kind / name).mkdir(parents=True)
            for number in range(each):
                pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / kind / name / f"{number}.png")
    workload = PICTURES.build(Settings(epochs=1, batch_size=4, width=4))
    train, test = (workload.load(str(tmp_path), learning.Part(kind, "CIFAR10")) for kind in ("train", "test"))
    assert isinstance(train, learning.Samples)
    assert train.inputs.shape == (20, 3, 32, 32) and train.inputs.dtype == np.uint8
    before = workload.initial_model(seed=1)
    after = workload.train(before, train, seed=2).model
    assert any((after[name] != before[name]).any() for name in before)
    assert workload.evaluate(after, test).samples == 10


def test_an_identity_names_its_data_set(tmp_path: Path) -> None:
    workload = PICTURES.build(PICTURES.settings())
    with pytest.raises(learning.DataMissing, match="part: CIFAR10"):
        workload.load(str(tmp_path), learning.Part("train"))


@pytest.mark.parametrize("options", [(), ("--data", "nowhere"), ("--data", ".")])
def test_without_data_it_says_what_to_name(options: tuple[str, ...], tmp_path: Path) -> None:
    ended = command(*options, "--folder", str(tmp_path / "played"))
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: no data") and ended.stderr.count("\n") == 1
    assert not (tmp_path / "played").exists()
