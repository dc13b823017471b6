"""Readers give what is declared, and say which file, row and column do not fit it."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from quorumlearn.learning import DataCorrupt, DataMissing, Part, Samples, WorkloadError, readers

TRAIN, TEST = Part("train"), Part("test")


def written(folder: Path, text: str, name: str = "table.csv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_columns_are_those_declared_in_their_order(tmp_path: Path) -> None:
    load = readers.csv(
        features=["pulse", "kind", "age"],
        target="ill",
        categories={"kind": ["a", "b", "c"]},
        ranges={"age": (0, 100)},
        classes=["no", "yes"],
        test=None,
    )
    source = written(tmp_path, "id, age, ill, kind, pulse\n7, 50, yes, c, 61\n8, 25, no, a, 72.5\n")
    samples = load(source, TRAIN)
    assert samples.inputs.dtype == np.float32
    assert samples.inputs.tolist() == [[61, 0, 0, 1, 0.5], [72.5, 1, 0, 0, 0.25]]
    assert samples.targets.tolist() == [1, 0]
    assert samples.targets.dtype == np.int64


def test_a_table_without_a_header_has_its_names_declared_and_its_gaps_filled(tmp_path: Path) -> None:
    """As the heart data of UCI come: `?` and -9 for what is missing, in some hospitals 0 as well, classes 1 to 4 for one disease."""
    load = readers.csv(
        names=["age", "chol", "thal", "num"],
        features=["age", "chol", "thal"],
        target="num",
        missing={"*": ["?", -9], "chol": [0]},
        fill={"chol": 200, "thal": None},
        categories={"thal": [3, 6, 7]},
        classes={0: 0, 1: 1, 2: 1, 3: 1, 4: 1},
        test=None,
    )
    source = written(tmp_path, "63.0,0.0,6.0,0\n67,229,?,3\n41,-9,-9.0,4\n50,,7,1\n")
    samples = load(source, TRAIN)
    assert samples.inputs.tolist() == [
        [63, 200, 0, 1, 0],
        [67, 229, 0, 0, 0],
        [41, 200, 0, 0, 0],
        [50, 200, 0, 0, 1],
    ]
    assert samples.targets.tolist() == [0, 1, 1, 1]


def test_a_target_that_is_a_number(tmp_path: Path) -> None:
    load = readers.csv(features=["a"], target="y", regression=True, test=None)
    samples = load(written(tmp_path, "a,y\n1,0.5\n2,-3\n"), TRAIN)
    assert samples.targets.dtype == np.float32
    assert samples.targets.tolist() == [0.5, -3]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "column 'y' is lacking; it has a, b"),
        ("a,y\n1,2\n", "column 'b' is lacking"),
        ("a,b,b,y\n1,2,3,0\n", "column 'b' is there more than once"),
        ("a,b,y\n1,x,0\n2,,1\n", "row 2: 'b' is missing; leave the row out, or declare its value in fill"),
        ("a,b,y\n1,x,0\n1,z,0\n", "row 2: 'b' is 'z', which is none of 'x', 'w'"),
        ("a,b,y\n1,x,0\nold,x,0\n", "row 2: 'a' is 'old', and no number"),
        ("a,b,y\n1,x,0\nnan,x,0\n", "row 2: 'a' is 'nan', and no number"),
        ("a,b,y\n1,x,0\n1e300,x,0\n", "row 2: 'a' is '1e300', and no number that float32 holds"),
        ("a,b,y\n1,x,0\n1,x,\n", "row 2: the target 'y' is missing"),
        ("a,b,y\n1,x,0\n1,x,0.5\n", "row 2: the target 'y' is '0.5', and no class"),
        ("a,b,y\n1,x,0\n1,x,-1\n", "row 2: the target 'y' is '-1', and no class"),
        ("a,b,y\n1,x,0\n1,x\n", "row 2: the target 'y' is missing"),
        ("a,b,y\n1,x,0,5\n", "Expected 3 fields in line 2, saw 4"),
        ("a,b,y\n", "has no rows"),
        ("", "is no table"),
        ("\0\1\2\xff\n", "column 'a' is lacking"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_where_it_does_not(tmp_path: Path, text: str, says: str) -> None:
    load = readers.csv(features=["a", "b"], target="y", categories={"b": ["x", "w"]}, test=None)
    with pytest.raises(DataCorrupt, match=f"table.csv.*{says}"):
        load(written(tmp_path, text), TRAIN)


def test_a_file_of_another_encoding_or_width_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes("a,y\nä,1\n".encode("latin-1"))
    load = readers.csv(features=["a"], target="y")
    with pytest.raises(DataCorrupt, match="is no table"):
        load(str(tmp_path / "table.csv"), TRAIN)
    named = readers.csv(features=["a"], target="y", names=["a", "y"])
    with pytest.raises(DataCorrupt, match="has 3 columns, and 2 are named: a, y"):
        named(written(tmp_path, "1,2,3\n"), TRAIN)


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"features": []}, "name each column once"),
        ({"features": ["a", "a"]}, "name each column once"),
        ({"target": "a"}, "'a' is the target, and cannot be among the features"),
        ({"names": ["a", "b"]}, r"\['y'\] is lacking"),
        ({"ranges": {"c": (0, 1)}}, "ranges has 'c', which is not among the features"),
        ({"ranges": {"a": (1, 1)}}, "the range of 'a' is 1 to 1"),
        ({"ranges": {"b": (0, 1)}}, "the range of 'b' is 0 to 1; a column of numbers"),
        ({"fill": {"b": "z"}}, "fill has 'z' for 'b', which is none of its categories"),
        ({"fill": {"a": "old"}}, "fill has 'old' for 'a'"),
        ({"missing": "?"}, "list what stands for a missing value"),
        ({"missing": {"z": ["?"]}}, "missing has 'z'"),
        ({"categories": {"b": ["x", "x"]}}, "names a value twice"),
        ({"classes": [0, 1], "regression": True}, "no regression"),
        ({"classes": {"yes": -1}}, "whole numbers from 0"),
        ({"test": 1.5}, "test = 1.5"),
        ({"files": ("train.csv",)}, "give two names"),
        ({"files": ("../train.csv", "test.csv")}, "give two names"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(declared: dict[str, Any], says: str) -> None:
    usual: dict[str, Any] = {"features": ["a", "b"], "target": "y", "categories": {"b": ["x", "w"]}}
    with pytest.raises(WorkloadError, match=says):
        readers.csv(**(usual | declared))


def numbers(count: int, start: int = 0) -> str:
    return "a,y\n" + "".join(f"{one},{one % 2}\n" for one in range(start, start + count))


def test_rows_are_divided_once_and_for_all(tmp_path: Path) -> None:
    source = written(tmp_path, numbers(50))
    load = readers.csv(features=["a"], target="y", test=0.3, seed=5)
    train, test = load(source, TRAIN).inputs[:, 0], load(source, TEST).inputs[:, 0]
    assert (len(train), len(test)) == (35, 15)
    assert sorted([*train, *test]) == list(range(50))
    assert np.array_equal(
        readers.csv(features=["a"], target="y", test=0.3, seed=5)(source, TEST).inputs[:, 0], test
    )
    assert not np.array_equal(
        readers.csv(features=["a"], target="y", test=0.3)(source, TEST).inputs[:, 0], test
    )


def test_a_part_names_files_of_a_folder_and_divides_each_alike(tmp_path: Path) -> None:
    written(tmp_path, numbers(10), "north.csv")
    written(tmp_path, numbers(10, 100), "south.csv")
    written(tmp_path, "read me", "README.md")
    load = readers.csv(features=["a"], target="y")
    kinds: tuple[tuple[Literal["train", "test"], int], ...] = (("train", 8), ("test", 2))
    for kind, each in kinds:
        north, south, both = (
            load(str(tmp_path), Part(kind, text)) for text in ("north", "south", "north+south")
        )
        assert (len(north), len(both)) == (each, 2 * each)
        assert both.inputs.tolist() == [*north.inputs.tolist(), *south.inputs.tolist()]
    with pytest.raises(DataMissing, match="holds north, south; name those to take as `part:`"):
        load(str(tmp_path), TRAIN)
    for outside in ("west", "../north", "/etc/passwd", "north+", "README"):
        with pytest.raises(DataMissing, match=r"there is no part .* it has north, south"):
            load(str(tmp_path), Part("train", outside))
    with pytest.raises(DataMissing, match=r"north\.csv is a file"):
        load(str(tmp_path / "north.csv"), Part("train", "north"))


def test_training_and_tests_may_have_files_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "north").mkdir()
    written(tmp_path / "north", numbers(5), "train.csv")
    written(tmp_path / "north", numbers(3, 100), "test.csv")
    load = readers.csv(features=["a"], target="y", files=("train.csv", "test.csv"))
    assert len(load(str(tmp_path), Part("train", "north"))) == 5
    assert load(str(tmp_path / "north"), TEST).inputs.tolist() == [[100], [101], [102]]
    with pytest.raises(DataMissing, match=r"there is no .*train\.csv"):
        load(str(tmp_path), TRAIN)


@pytest.mark.parametrize(
    ("source", "says"),
    [(None, "no data are named"), ("nowhere", "there is no nowhere"), (".", "no file in . ends in .csv")],
)
def test_data_that_are_not_there_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataMissing, match=says):
        readers.csv(features=["a"], target="y")(source, TRAIN)


def test_too_few_rows_for_a_part(tmp_path: Path) -> None:
    with pytest.raises(DataCorrupt, match="no samples for test are left"):
        readers.csv(features=["a"], target="y")(written(tmp_path, numbers(2)), TEST)


def test_parquet_reads_as_csv_does(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {
            "y": [True, False, True],
            "a": [1.5, None, 3],
            "kind": ["x", None, "w"],
            "n": [1, 2, -9],
            "when": pd.Timestamp("2026-12-01"),
        }
    )
    frame.to_parquet(tmp_path / "table.parquet")
    declared: dict[str, Any] = {
        "features": ["n", "kind", "a"],
        "target": "y",
        "categories": {"kind": ["w", "x"]},
        "missing": {"n": [-9]},
        "fill": {"a": 0, "kind": None, "n": 7},
        "test": None,
    }
    samples = readers.parquet(**declared)(str(tmp_path), TRAIN)
    assert samples.inputs.tolist() == [[1, 0, 1, 1.5], [2, 0, 0, 0], [7, 1, 0, 3]]
    assert samples.targets.tolist() == [1, 0, 1]
    with pytest.raises(DataCorrupt, match="row 1: 'when' is '2026-12-01', and no number"):
        readers.parquet(features=["when"], target="y", test=None)(str(tmp_path), TRAIN)
    (tmp_path / "table.parquet").write_bytes(b"PAR1 and no more PAR1")
    with pytest.raises(DataCorrupt, match="is no Parquet file"):
        readers.parquet(**declared)(str(tmp_path), TRAIN)


def test_npz_gives_the_arrays_as_stored(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
    np.savez_compressed(tmp_path / "data.npz", x=pixels, y=np.arange(6, dtype=np.uint8))
    load = readers.npz(inputs="x", targets="y", test=None)
    samples = load(str(tmp_path / "data.npz"), TRAIN)
    assert np.array_equal(samples.inputs, pixels)
    assert (samples.inputs.dtype, samples.targets.dtype) == (np.uint8, np.int64)
    with pytest.raises(DataCorrupt, match="has no array 'z'; it has x, y"):
        readers.npz(inputs="z", targets="y")(str(tmp_path), TRAIN)


class Evil:
    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("from tests.client.learning.test_readers import Evil; Evil.ran = True",))


def test_no_pickle_is_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", inputs=np.array([Evil(), Evil()], object), targets=np.zeros(2))
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Evil()))
    with zipfile.ZipFile(tmp_path / "raw.npz", "w") as archive:
        archive.writestr("inputs.npy", pickle.dumps(Evil()))
        archive.writestr("targets.npy", pickle.dumps(Evil()))
    for name in ("objects", "bare", "raw"):
        with pytest.raises(
            DataCorrupt, match=rf"{name}\.npz(: the inputs are no array| is no NPZ file of numbers)"
        ):
            readers.npz()(str(tmp_path), Part("train", name))
    assert not Evil.ran


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"inputs": np.zeros((3, 2)), "targets": np.zeros(2)}, "3 inputs and 2 targets"),
        ({"inputs": np.zeros((0, 2)), "targets": np.zeros(0)}, "has no samples"),
        ({"inputs": np.array(["a"]), "targets": np.zeros(1)}, "the inputs are <U1"),
        ({"inputs": np.zeros(()), "targets": np.zeros(1)}, r"the inputs are float64 of shape \(\)"),
    ],
)
def test_arrays_that_are_no_samples_are_refused(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(DataCorrupt, match=f"data.npz.*{says}"):
        readers.npz()(str(tmp_path), TRAIN)


def picture(path: Path, size: tuple[int, int] = (4, 3), colour: tuple[int, int, int] = (10, 20, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_a_folder_for_each_class_of_images(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "cats" / f"{number}.png")
        picture(tmp_path / "dogs" / f"{number}.bmp", colour=(number, 0, 0))
    load = readers.images(classes=["birds", "cats", "dogs"], size=(4, 3), test=0.25)
    train, test = load(str(tmp_path), TRAIN), load(str(tmp_path), TEST)
    assert train.inputs.shape == (6, 3, 3, 4)
    assert (train.inputs.dtype, len(test)) == (np.uint8, 2)
    assert sorted([*train.targets, *test.targets]) == [1] * 4 + [2] * 4
    assert train.inputs[train.targets == 1][0, :, 0, 0].tolist() == [10, 20, 30]
    grey = readers.images(classes=["cats", "dogs"], size=(4, 3), mode="L", test=None)
    assert grey(str(tmp_path), TRAIN).inputs.shape == (8, 1, 3, 4)


def test_images_of_a_part_and_of_folders_for_training_and_tests(tmp_path: Path) -> None:
    picture(tmp_path / "north" / "train" / "cats" / "1.png")
    picture(tmp_path / "north" / "test" / "dogs" / "1.png")
    load = readers.images(classes=["cats", "dogs"], size=(4, 3), files=("train", "test"))
    assert load(str(tmp_path), Part("train", "north")).targets.tolist() == [0]
    assert load(str(tmp_path), Part("test", "north")).targets.tolist() == [1]


def test_images_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    load = readers.images(classes=["cats"], size=(4, 3))
    with pytest.raises(DataMissing, match="there is no folder"):
        load(str(tmp_path / "none"), TRAIN)
    with pytest.raises(DataMissing, match="has no images in folders cats"):
        load(str(tmp_path), TRAIN)
    picture(tmp_path / "cats" / "1.png", size=(5, 3))
    with pytest.raises(DataCorrupt, match=r"1\.png has 5 x 3 pixels, and 4 x 3 are declared"):
        load(str(tmp_path), TRAIN)
    (tmp_path / "cats" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(DataCorrupt, match=r"1\.png is no image that can be read"):
        load(str(tmp_path), TRAIN)
    picture(tmp_path / "cats" / "1.png")
    whole = (tmp_path / "cats" / "1.png").read_bytes()
    (tmp_path / "cats" / "1.png").write_bytes(whole[:45])
    with pytest.raises(DataCorrupt, match=r"1\.png is no image that can be read"):
        load(str(tmp_path), TRAIN)
    (tmp_path / "dogs").mkdir()
    with pytest.raises(DataCorrupt, match="has a folder 'dogs', which is none of the classes cats"):
        load(str(tmp_path), TRAIN)


def test_a_data_set_of_torchvision_in_its_folder(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for kind, count in (("train", 3), ("t10k", 2)):
        pixels = np.full((count, 28, 28), count, np.uint8)
        header = struct.pack(">BBBBIII", 0, 0, 8, 3, count, 28, 28)
        (raw / f"{kind}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        labels = struct.pack(">BBBBI", 0, 0, 8, 1, count) + bytes(range(count))
        (raw / f"{kind}-labels-idx1-ubyte").write_bytes(labels)
    load = readers.torchvision("MNIST")
    train, test = load(str(tmp_path), TRAIN), load(str(tmp_path), TEST)
    assert (train.inputs.shape, test.inputs.shape) == ((3, 1, 28, 28), (2, 1, 28, 28))
    assert (train.inputs.dtype, int(train.inputs[0, 0, 0, 0])) == (np.uint8, 3)
    assert train.targets.tolist() == [0, 1, 2]
    with pytest.raises(DataMissing, match="MNIST has no part 'north'"):
        load(str(tmp_path), Part("train", "north"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("CIFAR10", "does not hold CIFAR10: Dataset not found or corrupted"),
        ("MNISTS", "torchvision has no data set 'MNISTS'"),
        ("os", "torchvision has no data set 'os'"),
        ("FakeData", "FakeData has no division into training and tests"),
    ],
)
def test_a_data_set_of_torchvision_that_cannot_be_had_is_missing(
    tmp_path: Path, name: str, says: str
) -> None:
    with pytest.raises(DataMissing, match=says):
        readers.torchvision(name)(str(tmp_path), TRAIN)


def test_a_data_set_that_hugging_face_saved(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {
        "tokens": [[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 1]],
        "a": [0.5, 1, 2, 3],
        "b": [1, 2, 3, 4],
        "text": ["no", "numbers", "at", "all"],
        "ragged": [[1], [1, 2], [1], [1]],
        "label": [0, 1, 0, 1],
    }
    whole = datasets.Dataset.from_dict(rows)
    whole.save_to_disk(tmp_path / "whole")
    datasets.DatasetDict({"train": whole, "test": whole.select([2])}).save_to_disk(tmp_path / "split")
    tokens = readers.hugging_face(inputs="tokens", target="label", test=0.25)
    assert tokens(str(tmp_path), Part("train", "whole")).inputs.shape == (3, 3)
    assert tokens(str(tmp_path), Part("test", "split")).inputs.tolist() == [[7, 8, 9]]
    assert tokens(str(tmp_path / "split"), TRAIN).inputs.dtype == np.int64
    table = readers.hugging_face(inputs=["b", "a"], target="label")
    assert table(str(tmp_path / "split"), TRAIN).inputs.tolist() == [[1, 0.5], [2, 1], [3, 2], [4, 3]]
    for inputs, says in (
        ("nothing", "column 'nothing' is lacking"),
        ("text", "holds str and no numbers"),
        ("ragged", "different lengths"),
    ):
        with pytest.raises(DataCorrupt, match=says):
            readers.hugging_face(inputs=inputs, target="label")(str(tmp_path / "whole"), TRAIN)
    with pytest.raises(DataMissing, match="has no split 'valid'; it has train, test"):
        readers.hugging_face(inputs="a", target="label", splits=("train", "valid"))(
            str(tmp_path / "split"), TEST
        )
    with pytest.raises(DataMissing, match=r"there is no part '\.\./x'"):
        tokens(str(tmp_path), Part("train", "../x"))
    (tmp_path / "empty").mkdir()
    with pytest.raises((DataCorrupt, DataMissing), match="empty"):
        tokens(str(tmp_path / "empty"), TRAIN)


def test_images_that_hugging_face_saved(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pictures = [np.full((3, 4, 3), value, np.uint8) for value in (1, 2)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    datasets.Dataset.from_dict({"image": pictures, "label": [0, 1]}, features=features).save_to_disk(tmp_path)
    samples = readers.hugging_face(inputs="image", target="label", test=None)(str(tmp_path), TRAIN)
    assert isinstance(samples, Samples)
    assert samples.inputs.shape == (2, 3, 3, 4)
    assert samples.inputs[:, 0, 0, 0].tolist() == [1, 2]
