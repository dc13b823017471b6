"""Data comes from where it was said to, whole and checked, or there is an error or a notice."""

from __future__ import annotations

import gzip
import hashlib
import logging
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from quorumlearn.learning import DataCorrupt, DataMissing, Digits, DigitsSource, ShardError, load_digits
from quorumlearn.learning.digits import normalised
from torchvision.datasets import MNIST

NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "t10k": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def idx(array: np.ndarray) -> bytes:
    dimensions = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + dimensions + array.astype(np.uint8).tobytes()


def write(folder: Path, *, zipped: bool = False, train: int = 30, test: int = 10) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    for (images, labels), count in zip(NAMES.values(), (train, test), strict=True):
        for name, array in (
            (images, random.integers(0, 256, (count, 28, 28))),
            (labels, np.arange(count) % 10),
        ):
            data = idx(array)
            (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(data) if zipped else data)
    return folder


def test_plain_and_gzipped_files_are_the_same_data(tmp_path: Path) -> None:
    plain = load_digits(DigitsSource(write(tmp_path / "plain")))
    zipped = load_digits(DigitsSource(write(tmp_path / "zipped", zipped=True)))
    assert plain.digest == zipped.digest
    assert (plain.name, len(plain.train), len(plain.test), plain.notice) == ("mnist", 30, 10, None)
    other = load_digits(DigitsSource(write(tmp_path / "other", train=29)))
    assert other.digest != plain.digest


def test_samples_are_what_workloads_take(tmp_path: Path) -> None:
    data = load_digits(DigitsSource(write(tmp_path)))
    samples = data.train
    assert (samples.inputs.dtype, samples.inputs.shape) == (np.uint8, (30, 28, 28))
    assert (samples.targets.dtype, samples.targets.tolist()) == (np.int64, [i % 10 for i in range(30)])
    images = normalised(samples.inputs)
    assert (images.dtype, images.shape) == (np.float32, (30, 1, 28, 28))
    expected = (samples.inputs[3] / 255 - 0.1307) / 0.3081
    np.testing.assert_allclose(images[3, 0], expected, rtol=1e-5, atol=1e-6)


def test_a_shard_is_taken_in_its_order(tmp_path: Path) -> None:
    data = load_digits(DigitsSource(write(tmp_path)))
    some = data.train.take(np.array([7, 2, 7]))
    assert some.targets.tolist() == [7, 2, 7]
    assert (some.inputs == data.train.inputs[[7, 2, 7]]).all()
    for outside in (-1, 30):
        with pytest.raises(ShardError, match=r"0\.\.29"):
            data.train.take(np.array([outside]))


def test_mnist_is_mnist(mnist_folder: Path) -> None:
    data = load_digits(DigitsSource(mnist_folder))
    assert hashlib.md5(idx(data.train.inputs)).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    assert abs(normalised(data.test.inputs).mean()) < 0.02
    assert np.bincount(data.train.targets).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("train-images-idx3-ubyte", b"", "begins with nothing"),
        ("train-images-idx3-ubyte", b"\x80\x04pickle" * 9, "begins with 80047069"),
        ("train-images-idx3-ubyte", idx(np.zeros((30, 28, 28)))[:-1], "23519 bytes"),
        ("train-images-idx3-ubyte", idx(np.zeros((30, 28, 28))) + b"\0", "23521 bytes"),
        ("train-images-idx3-ubyte", idx(np.zeros((30, 27, 28))), r"\(30, 27, 28\)"),
        ("train-images-idx3-ubyte", idx(np.zeros((0, 28, 28))), r"\(0, 28, 28\)"),
        ("train-images-idx3-ubyte", idx(np.zeros(30)), "begins with 00000801"),
        ("train-images-idx3-ubyte", b"\0\0\x08\x03" + b"\xff" * 12, "promises"),
        ("train-images-idx3-ubyte", b"\0\0\x0d\x03" + idx(np.zeros((30, 28, 28)))[4:], "00000d03"),
        ("train-labels-idx1-ubyte", idx(np.zeros(29)), "30 train images but 29 labels"),
        ("t10k-labels-idx1-ubyte", idx(np.full(10, 10)), "a label 10"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_files_that_are_not_mnist_are_refused(
    tmp_path: Path, name: str, content: bytes, says: str, zipped: bool
) -> None:
    write(tmp_path, zipped=zipped)
    (tmp_path / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(DataCorrupt, match=says):
        load_digits(DigitsSource(tmp_path))


@pytest.mark.parametrize("cut", [3, 30, -9])
def test_a_broken_gzip_file_is_refused(tmp_path: Path, cut: int) -> None:
    write(tmp_path, zipped=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataCorrupt, match="not a whole gzip file"):
        load_digits(DigitsSource(tmp_path))
    path.write_bytes(b"not gzip at all")
    with pytest.raises(DataCorrupt, match="not a whole gzip file"):
        load_digits(DigitsSource(tmp_path))


def test_a_gzip_file_that_grows_without_end_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorumlearn.learning.idx.MAX_BYTES", 100_000)
    write(tmp_path, zipped=True)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(200_000)))
    with pytest.raises(DataCorrupt, match="over the limit of 100000"):
        load_digits(DigitsSource(tmp_path))


def test_a_named_folder_without_the_data_is_an_error_not_a_reason_to_look_elsewhere(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    write(cache / "MNIST" / "raw")
    with pytest.raises(DataMissing, match="there is no folder"):
        load_digits(DigitsSource(tmp_path / "gone", cache=cache))
    write(tmp_path / "part")
    (tmp_path / "part" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataMissing, match="t10k-labels-idx1-ubyte"):
        load_digits(DigitsSource(tmp_path / "part", cache=cache))


def test_torchvisions_cache_comes_before_the_last_resort(tmp_path: Path) -> None:
    write(tmp_path / "MNIST" / "raw")
    data = load_digits(DigitsSource(cache=tmp_path))
    assert (data.name, data.notice) == ("mnist", None)


def test_a_user_without_a_home_is_told_so_and_gets_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    data = load_digits(DigitsSource(download=True))
    assert data.name == "digits"
    assert "this user has no home: set HOME or XDG_CACHE_HOME" in (data.notice or "")
    with pytest.raises(DataMissing, match="has no home"):
        load_digits(DigitsSource(last_resort=False))


def test_the_last_resort_is_said_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = load_digits(DigitsSource(cache=tmp_path))
    assert data.name == "digits"
    assert data.notice is not None
    assert "NOT the MNIST images" in data.notice
    assert data.notice in caplog.text
    assert (data.train.inputs.shape, data.test.inputs.shape) == ((1437, 28, 28), (360, 28, 28))
    assert np.bincount(data.test.targets, minlength=10).min() > 20
    assert load_digits(DigitsSource(cache=tmp_path)).digest == data.digest
    with pytest.raises(DataMissing, match="name a folder"):
        load_digits(DigitsSource(cache=tmp_path, last_resort=False))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the tests look at what arrived."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A mirror of (small) MNIST files on this machine that torchvision downloads from."""
    folder = write(tmp_path / "mirror", zipped=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    resources = [(path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in sorted(folder.iterdir())]
    monkeypatch.setattr(MNIST, "resources", resources)
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def downloaded(cache: Path) -> Digits:
    return load_digits(DigitsSource(cache=cache, download=True))


def test_a_download_is_kept_in_the_cache(tmp_path: Path, mirror: Path) -> None:
    assert downloaded(tmp_path / "cache").digest == load_digits(DigitsSource(mirror)).digest
    for path in mirror.iterdir():
        path.unlink()
    assert downloaded(tmp_path / "cache").name == "mnist"


def test_a_download_that_was_cut_off_is_finished(tmp_path: Path, mirror: Path) -> None:
    downloaded(tmp_path / "cache")
    for path in (tmp_path / "cache" / "MNIST" / "raw").glob("t10k*"):
        path.unlink()
    assert downloaded(tmp_path / "cache").digest == load_digits(DigitsSource(mirror)).digest


def test_a_download_that_fails_is_said_aloud(tmp_path: Path, mirror: Path) -> None:
    (mirror / "t10k-labels-idx1-ubyte.gz").unlink()
    data = downloaded(tmp_path / "cache")
    assert data.name == "digits"
    assert data.notice is not None
    assert "the download of MNIST failed" in data.notice
    with pytest.raises(DataMissing, match="the download of MNIST failed"):
        load_digits(DigitsSource(cache=tmp_path / "cache", download=True, last_resort=False))
