"""Adapters of Hugging Face models, on tiny ones that are made here, with weights at random."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("peft")
pytest.importorskip("transformers")

import torch
import transformers
from quorumlearn.learning import (
    DataCorrupt,
    DataMissing,
    ModelError,
    Part,
    Samples,
    TrainingError,
    WorkloadError,
    digest_of,
    flatten,
)
from quorumlearn.learning.peft_workload import AdapterSettings, AdapterWorkload, definition
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = [
    *("[PAD]", "[UNK]", "win", "cash", "now", "free", "prize", "call"),
    *("hello", "see", "you", "at", "lunch", "tomorrow", "mum", "thanks"),
]
SPAM, HAM = WORDS[2:8], WORDS[8:]
CLASSES = {"labels": "ham spam", "length": 8, "learning_rate": 0.02, "batch_size": 8, "epochs": 3}
TEXTS = {"task_type": "CAUSAL_LM", "targets": "c_attn", "length": 8, "learning_rate": 0.02, "batch_size": 8}


def tokenizer_into(folder: Path) -> None:
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))


def bert(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
    )
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer_into(folder)
    return folder


def gpt2(folder: Path, **saving: object) -> Path:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_embd=16, n_layer=2, n_head=2, n_positions=16, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder, **saving)
    tokenizer_into(folder)
    return folder


def messages(count: int, seed: int = 0) -> str:
    drawn = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        label, words = ("spam", SPAM) if number % 2 else ("ham", HAM)
        lines.append(f"{label}\t{' '.join(drawn.choice(words, 4))} {number}")
    return "\n".join(lines)


def built(base: Path, settings: Mapping[str, object]) -> AdapterWorkload:
    found = definition("own", {"base": str(base)}, base.parent)
    return found.build(AdapterSettings.model_validate(settings))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("adapters")
    bert(made / "bert")
    gpt2(made / "gpt2")
    (made / "sms.tsv").write_text(messages(200))
    return made


def test_shapes_are_read_without_torch_or_the_base(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from quorumlearn.learning.peft_workload import AdapterSettings, definition\n"
        f"own = definition('own', {{'base': 'bert'}}, Path({str(folder)!r}))\n"
        "own = own.build(AdapterSettings(labels='ham spam'))\n"
        "print(len(own.shapes), sorted(own.fixed), len(own.initial_model(1)))\n"
        "print([name for name in ('torch', 'transformers', 'peft') if name in sys.modules])\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "10 ['base', 'tokenizer'] 10\n[]\n"


def test_the_public_model_is_what_peft_trains(folder: Path) -> None:
    own = built(folder / "bert", CLASSES)
    assert own.blocks == ("adapter", "head")
    assert own.shapes["adapter.0.attention.self.query.lora_A.weight"] == (4, 16)
    assert own.shapes["adapter.1.attention.self.value.lora_B.weight"] == (16, 4)
    assert own.shapes["head.weight"] == (2, 16)
    own.warm_up(training=True)  # holds the shapes to PEFT's
    lm = built(folder / "gpt2", TEXTS)
    assert lm.blocks == ("adapter",)
    assert lm.shapes == {
        f"adapter.{layer}.attn.c_attn.lora_{which}.weight": shape
        for layer in (0, 1)
        for which, shape in (("A", (4, 16)), ("B", (48, 4)))
    }
    lm.warm_up(training=True)


def test_texts_become_samples(folder: Path) -> None:
    own = built(folder / "bert", CLASSES)
    train, test = (
        own.load(str(folder / "sms.tsv"), Part("train")),
        own.load(str(folder / "sms.tsv"), Part("test")),
    )
    assert len(train) + len(test) == 200 and 20 < len(test) < 60
    assert train.inputs.shape[1] == 8 and (train.inputs[:, 5:] == -1).all()
    assert {int(one) for one in np.unique(train.targets)} == {0, 1}
    assert len(own.load(str(folder / "sms.tsv"), Part("train", "first=7"))) == 7
    for row, label in zip(train.inputs[:20], train.targets[:20], strict=True):
        assert WORDS[row[0]] in (SPAM if label else HAM)
    with pytest.raises(WorkloadError, match="write first=N"):
        own.load(str(folder / "sms.tsv"), Part("train", "half"))
    with pytest.raises(DataMissing, match="name a TSV or JSONL"):
        own.load(None, Part("train"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.tsv", "ham\thello\nno tab here\n", "line 2 of .* no tab"),
        ("a.tsv", "ham\t \n", "line 1 of .* the text is empty"),
        ("a.tsv", "\thello\n", "line 1 of .* the label is empty"),
        ("a.tsv", "", "no texts for training"),
        ("a.jsonl", '{"text": "hello", "label": "ham"}\n[]\n', "line 2 of .* no JSON object"),
        ("a.jsonl", '{"label": "ham"}\n', "line 1 of .* no `text`"),
        ("a.jsonl", '{"text": "hello", "label": null}\n', "line 1 of .* no `label`"),
        (
            "a.tsv",
            "".join(f"egg\thello {i}\n" for i in range(20)),
            "the label 'egg'; the task's are ham, spam",
        ),
    ],
)
def test_texts_that_are_none(folder: Path, tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    own = built(folder / "bert", CLASSES)
    with pytest.raises(DataCorrupt, match=says):
        own.load(str(tmp_path / name), Part("train"))
        own.load(str(tmp_path / name), Part("test"))


def test_a_folder_holds_both_parts(folder: Path, tmp_path: Path) -> None:
    lines = [
        json.dumps({"text": "hello you", "label": "ham"}),
        json.dumps({"text": "win cash", "label": "spam"}),
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    (tmp_path / "test.tsv").write_text("spam\tfree prize\n")
    own = built(folder / "bert", CLASSES)
    assert len(own.load(str(tmp_path), Part("train"))) == 2
    assert own.load(str(tmp_path), Part("test")).targets.tolist() == [1]


def test_adapters_learn_and_the_base_stays(folder: Path) -> None:
    own = built(folder / "bert", CLASSES)
    train, test = (
        own.load(str(folder / "sms.tsv"), Part("train")),
        own.load(str(folder / "sms.tsv"), Part("test")),
    )
    model = own.initial_model(1)
    before = flatten(model)
    score = own.evaluate(model, test)
    result = own.train(model, train, seed=1)
    assert result.steps == 3 * -(-len(train) // 8)
    better = own.evaluate(result.model, test)
    assert better.value > max(0.9, score.value) and better.loss < score.loss
    assert (flatten(model) == before).all()
    assert own.evaluate(model, test).loss == score.loss, "what another model left is gone"
    again, other = (own.train(model, train, seed=seed).model for seed in (1, 2))
    assert (flatten(again) == flatten(result.model)).all()
    assert (flatten(other) != flatten(result.model)).any()


def test_a_language_model_becomes_less_perplexed(folder: Path) -> None:
    own = built(folder / "gpt2", TEXTS)
    train, test = (
        own.load(str(folder / "sms.tsv"), Part("train")),
        own.load(str(folder / "sms.tsv"), Part("test")),
    )
    model = own.initial_model(1)
    before = own.evaluate(model, test)
    after = own.evaluate(own.train(model, train, seed=1).model, test)
    assert own.metric.lower_is_better
    assert after.value < before.value
    assert before.value == pytest.approx(np.exp(before.loss))


def test_padding_changes_no_loss(folder: Path) -> None:
    own = built(folder / "bert", CLASSES)
    data = own.load(str(folder / "sms.tsv"), Part("train", "first=20"))
    model = own.train(own.initial_model(1), data, seed=1).model
    wide = np.full((20, 12), -1, dtype=np.int64)
    wide[:, :8] = data.inputs
    one = own.evaluate(model, data).loss
    assert own.evaluate(model, Samples(wide, data.targets)).loss == pytest.approx(one, abs=1e-6)


def test_a_base_that_differs_has_another_digest(folder: Path, tmp_path: Path) -> None:
    def digest(base: Path) -> str:
        return digest_of(built(base, CLASSES), ("adapter", "head"))

    one = digest(bert(tmp_path / "one"))
    assert one == digest(folder / "bert")
    assert digest(bert(tmp_path / "two", seed=1)) != one
    words = tmp_path / "one" / "tokenizer.json"
    words.write_text(words.read_text().replace("tomorrow", "yesterday"))
    assert digest(tmp_path / "one") != one


def test_a_base_in_pieces(tmp_path: Path) -> None:
    whole, pieces = (
        built(gpt2(tmp_path / "whole"), TEXTS),
        built(gpt2(tmp_path / "pieces", max_shard_size="8KB"), TEXTS),
    )
    assert len(list((tmp_path / "pieces").glob("*.safetensors"))) > 1
    assert whole.shapes == pieces.shapes
    data = Samples(np.arange(2, 10).reshape(2, 4), np.arange(2, 10).reshape(2, 4))
    model = whole.initial_model(1)
    assert whole.evaluate(model, data).loss == pieces.evaluate(model, data).loss


def test_bases_that_will_not_do(folder: Path, tmp_path: Path) -> None:
    def says(base: Path, settings: Mapping[str, object] = CLASSES) -> str:
        with pytest.raises(WorkloadError) as refusal:
            own = built(base, settings)
            digest_of(own, own.blocks)
        return str(refusal.value)

    assert "has no model.safetensors" in says(tmp_path)
    assert "no matrix" in says(folder / "bert", {**CLASSES, "targets": "c_attn"})
    assert "there are dense, key, " in says(folder / "bert", {**CLASSES, "targets": "c_attn"})
    broken = bert(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"\0" * 100)
    assert "is no safetensors file" in says(broken)
    (bert(tmp_path / "lost") / "tokenizer.json").unlink()
    assert "has no tokenizer.json" in says(tmp_path / "lost")
    pickled = bert(tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    assert "safetensors and no pickle" in says(pickled)
    index = gpt2(tmp_path / "index", max_shard_size="8KB") / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../bert/model.safetensors"}}))
    assert "names no safetensors files of its folder" in says(tmp_path / "index", TEXTS)
    with pytest.raises(WorkloadError, match=r"basis.*there are base, tokenizer and version"):
        definition("own", {"base": "x", "basis": 1}, tmp_path)


def test_adapters_where_the_files_do_not_say(folder: Path) -> None:
    """A language model's file has no matrix of its own for the last layer, which is the embedding's."""
    own = built(folder / "gpt2", {**TEXTS, "targets": "wte"})
    with pytest.raises(WorkloadError, match="not where its files say"):
        own.warm_up(training=False)


def test_data_and_models_that_do_not_fit(folder: Path) -> None:
    own = built(folder / "bert", CLASSES)
    model = own.initial_model(1)
    tokens = np.ones((2, 4), dtype=np.int64)
    for data, says in (
        (Samples(tokens[:0], np.zeros(0, np.int64)), "no samples"),
        (Samples(tokens.astype(np.float32), np.zeros(2, np.int64)), "whole numbers"),
        (Samples(-tokens, np.zeros(2, np.int64)), "one token at least"),
        (Samples(tokens, np.array([0, 2])), "one of 0 to 1"),
    ):
        with pytest.raises(TrainingError, match=says):
            own.train(model, data, seed=1)
    with pytest.raises(ModelError):
        own.train({"head.bias": model["head.bias"]}, Samples(tokens, np.zeros(2, np.int64)), seed=1)
    wild = built(folder / "bert", {**CLASSES, "learning_rate": 10.0})
    huge = {name: np.full_like(one, 1e30) for name, one in model.items()}
    with pytest.raises(TrainingError, match=r"lower learning_rate, 10\.0"):
        wild.train(huge, Samples(tokens, np.array([0, 1])), seed=1)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "labels takes two words at least"),
        ({"labels": "ham ham"}, "labels takes two words at least"),
        ({"labels": "ham spam ham"}, "names a class twice"),
        ({"labels": "ham spam", "dp_clip": 1.0, "dp_noise": 1.0}, "do not train privately yet"),
        ({"labels": "ham spam", "targets": "que/ry"}, "targets"),
    ],
)
def test_settings_that_will_not_do(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        AdapterSettings.model_validate(settings)
