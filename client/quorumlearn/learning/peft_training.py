"""Training and scoring of adapters, with torch, transformers and PEFT, which only who does it imports.

Rules:
1. a base is loaded once a process for each form of adapters, and one training or scoring at a time uses it: it holds whose adapters it was
   given last, and takes new ones before each use;
2. nothing is drawn but the order of the samples, from the seed; dropout is off in training, too. The base does not change;
3. batches are cut to their longest text, and tokens beyond a text's end are masked;
4. weights come from safetensors in the folder, and nothing from the Hub; no code of a model is run.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read as the libraries are imported

import numpy as np
import peft
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from quorumlearn.learning.base_model import Geometry, short_names
from quorumlearn.learning.data import Samples
from quorumlearn.learning.determinism import generator, repeatable
from quorumlearn.learning.errors import TrainingError, WorkloadError
from quorumlearn.learning.model import Model
from quorumlearn.learning.scores import Score, accuracy, perplexity
from quorumlearn.learning.workload import OnStep, TrainingConfig, TrainResult

_SCORING_BATCH = 64
_IGNORED = -100


@dataclass(frozen=True, eq=False)
class Loaded:
    """A base with adapters in it; `adapters` are their parameters by the names that the ledger has for them."""

    model: nn.Module
    adapters: Mapping[str, nn.Parameter]
    turn: threading.Lock = field(default_factory=threading.Lock)


def warm_up(geometry: Geometry, *, training: bool) -> None:
    """Load the base and, for training, what torch imports at the first step of an optimiser."""
    _loaded(geometry)
    if training:
        parameter = torch.zeros(1, requires_grad=True)
        torch.optim.AdamW([parameter]).step()


def train(
    geometry: Geometry,
    config: TrainingConfig,
    model: Model,
    data: Samples,
    *,
    seed: int,
    on_step: OnStep | None,
) -> TrainResult:
    """See `Workload.train`."""
    loaded = _loaded(geometry)
    with loaded.turn, repeatable():
        own = _given(loaded, model)
        optimiser = torch.optim.AdamW(
            list(own.values()), lr=config.learning_rate, betas=(config.momentum, 0.999), weight_decay=0.0
        )
        total, steps, losses = config.steps(len(data)), 0, 0.0
        for _ in range(config.epochs):
            losses = 0.0
            order = torch.randperm(len(data), generator=generator(seed, f"epoch from step {steps}"))
            for batch in torch.split(order, config.batch_size):
                optimiser.zero_grad()
                each = _losses(loaded, own, data, batch.numpy())[0]
                each.mean().backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                steps += 1
                losses += float(each.sum().item())
                if not math.isfinite(losses):
                    raise _diverged(config, steps, total)
                if on_step is not None:
                    on_step(steps, total)
        trained = {name: one.detach().numpy().copy() for name, one in own.items()}
    if not all(np.isfinite(one).all() for one in trained.values()):
        raise _diverged(config, total, total)
    return TrainResult(
        {name: trained[name] for name in sorted(trained)}, steps, len(data), losses / len(data)
    )


def evaluate(geometry: Geometry, model: Model, data: Samples) -> Score:
    """See `Workload.evaluate`: the part of texts told right, or the perplexity of texts."""
    loaded = _loaded(geometry)
    losses, right = np.empty(len(data)), np.zeros(len(data), dtype=bool)
    with loaded.turn, repeatable(), torch.no_grad():
        own = _given(loaded, model)
        for batch in _by_length(data):
            each, told = _losses(loaded, own, data, batch)
            losses[batch] = each.numpy()
            if told is not None:
                right[batch] = told.numpy() == data.targets[batch]
    if geometry.task_type == "SEQ_CLS":
        return accuracy(right, float(losses.mean()))
    return perplexity(losses)


def _losses(
    loaded: Loaded, own: Mapping[str, Tensor], data: Samples, batch: NDArray[np.int64]
) -> tuple[Tensor, Tensor | None]:
    """Each text's loss in nats (b,), of its label or its tokens' mean; and the classes that the model tells (b,), if it tells any."""
    tokens = data.inputs[batch]
    tokens = tokens[:, : max(1, int((tokens >= 0).sum(axis=1).max()))]
    ids = torch.from_numpy(np.maximum(tokens, 0).astype(np.int64))
    mask = torch.from_numpy((tokens >= 0).astype(np.int64))
    out = loaded.model(input_ids=ids, attention_mask=mask)
    if "head.weight" not in own:
        wanted = ids[:, 1:].masked_fill(mask[:, 1:] == 0, _IGNORED)
        logits = out.logits[:, :-1].float().transpose(1, 2)
        each = functional.cross_entropy(logits, wanted, ignore_index=_IGNORED, reduction="none")
        return each.sum(dim=1) / (wanted != _IGNORED).sum(dim=1).clamp(min=1), None
    states, weight = out.last_hidden_state.float(), mask.unsqueeze(-1).float()
    pooled = (states * weight).sum(dim=1) / weight.sum(dim=1)
    logits = functional.linear(pooled, own["head.weight"], own["head.bias"])
    targets = torch.from_numpy(data.targets[batch].astype(np.int64))
    return functional.cross_entropy(logits, targets, reduction="none"), logits.argmax(dim=1)


def _by_length(data: Samples) -> Iterator[NDArray[np.int64]]:
    """Batches of texts that are about as long as each other."""
    order = np.argsort((data.inputs >= 0).sum(axis=1), kind="stable")
    for start in range(0, len(order), _SCORING_BATCH):
        yield order[start : start + _SCORING_BATCH]


def _given(loaded: Loaded, model: Model) -> dict[str, Tensor]:
    """Put a model's adapters into the base: what is to be trained, by its names, a head included."""
    own: dict[str, Tensor] = {}
    for name, values in model.items():
        if name in loaded.adapters:
            parameter = loaded.adapters[name]
            with torch.no_grad():
                parameter.copy_(torch.tensor(values))
            parameter.grad = None
            own[name] = parameter
        else:
            own[name] = torch.tensor(values, dtype=torch.float32, requires_grad=True)
    return own


@lru_cache(maxsize=4)
def _loaded(geometry: Geometry) -> Loaded:
    """The base with adapters. WorkloadError if it cannot be loaded, or PEFT puts adapters elsewhere than the files' headers say."""
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    base = geometry.base
    kind = transformers.AutoModel if geometry.task_type == "SEQ_CLS" else transformers.AutoModelForCausalLM
    try:
        model = kind.from_pretrained(
            base.folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype="auto"
        )
        adapted = peft.get_peft_model(
            model,
            peft.LoraConfig(
                r=geometry.rank,
                lora_alpha=geometry.alpha,
                target_modules=list(geometry.targets),
                lora_dropout=0.0,
                fan_in_fan_out=base.inputs_first(),
            ),
        )
    except Exception as error:
        raise WorkloadError(
            f"{base.name}: the base {base.folder} cannot be loaded: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    adapted.eval()
    found = {name: one for name, one in adapted.named_parameters() if one.requires_grad}
    modules = {name: name.removeprefix("base_model.model.").rsplit(".", 3)[0] for name in found}
    short = short_names(sorted(set(modules.values())))
    adapters = {f"adapter.{short[modules[n]]}.{n.rsplit('.', 3)[1]}.weight": one for n, one in found.items()}
    if {name: tuple(one.shape) for name, one in adapters.items()} != dict(geometry.shapes):
        raise WorkloadError(
            f"{base.name}: the adapters of {base.folder} are not where its files say; targets {' '.join(geometry.targets)} must "
            "name linear layers of the model that is loaded, and no others"
        )
    return Loaded(adapted, adapters)


def _diverged(config: TrainingConfig, step: int, total: int) -> TrainingError:
    return TrainingError(
        f"training diverged at step {step} of {total}: lower learning_rate, {config.learning_rate}"
    )
