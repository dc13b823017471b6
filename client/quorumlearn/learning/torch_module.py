"""A user's module, built once a process: what travels of it, how it begins, and a fresh copy for each training.

Rules:
1. The user's function is called once, with the global generators set by a fixed number: whoever has the same code and the same torch has
   the same frozen parameters, even where these are drawn.
2. The model of a seed is what the function would give with the generators set by the seed. If it drew nothing, that is the same model
   for every seed. If the `reset_parameters` of its layers repeat what it drew, they are run on a copy. Otherwise it is called again.
3. Trainings and scorings work on copies: whatever a module keeps beside its tensors begins alike each time.
"""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from quorumlearn.learning.errors import ModelError, WorkloadError
from quorumlearn.learning.model import Model, shapes_of
from quorumlearn.learning.own_code import own_code
from quorumlearn.learning.torch_tensors import Layout, changed, frozen_digest, layout_of, read, write
from quorumlearn.learning.turns import Draws
from quorumlearn.learning.workload import TrainingConfig

_FIXED = 0
_PURPOSE = "initial model"


def takes_settings(workload: str, model: Callable[..., Any]) -> bool:
    """Whether a user's function or class of a module wants the settings; WorkloadError if it wants anything else."""
    if isinstance(model, nn.Module) or not callable(model):
        raise WorkloadError(
            f"{workload}: the model is a {type(model).__name__}; give the class, or a function that makes the module"
        )
    try:
        parameters = list(inspect.signature(model).parameters.values())
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wanted = [
        one
        for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if len(wanted) > 1 or any(one.kind not in positional for one in wanted):
        names = ", ".join(one.name for one in wanted)
        raise WorkloadError(
            f"{workload}: the model takes {names}; it may take the settings and nothing more, so give a function"
        )
    return bool(wanted) or any(one.name == "settings" and one.kind in positional for one in parameters[:1])


class BuiltModule:
    """The one module of a workload and its settings. Nothing is built before it is asked for."""

    def __init__(self, workload: str, model: Callable[..., Any], settings: TrainingConfig | None) -> None:
        """`settings`: what the user's function is called with; None: nothing."""
        self._workload = workload
        self._model = model
        self._settings = settings
        self._lock = threading.RLock()
        self._module: nn.Module | None = None
        self._layout: Layout | None = None
        self._frozen: str | None = None
        self._drew = False
        self._resets = False
        self._initial: tuple[int, Model] | None = None
        self.times_built = 0

    @property
    def module(self) -> nn.Module:
        """The module as it was built, which nobody may change. ModelError if it cannot be."""
        with self._lock:
            if self._module is None:
                self._build()
            assert self._module is not None
            return self._module

    @property
    def layout(self) -> Layout:
        """What travels."""
        _ = self.module
        assert self._layout is not None
        return self._layout

    @property
    def frozen(self) -> str | None:
        """SHA-256 of what stays, None if nothing does."""
        _ = self.module
        return self._frozen

    def initial_model(self, seed: int) -> Model:
        """The model that this seed begins with, as copies."""
        with self._lock:
            if self._initial is None or self._initial[0] != seed:
                self._initial = seed, self._begun(seed)
            return {name: tensor.copy() for name, tensor in self._initial[1].items()}

    def copy(self, model: Model, device: str) -> nn.Module:
        """A module of its own with this model in it, on `device`. ModelError if the model is another's."""
        if shapes_of(model) != dict(self.layout.shapes):
            raise ModelError(f"the model has not the tensors of {self._workload}")
        module = self._copied()
        write(module, self.layout, model)
        with own_code(self._workload, f"moving the module to {device}", "choose another device", ModelError):
            return module.to(device)

    def _copied(self) -> nn.Module:
        way_out = "a module must let copy.deepcopy copy it"
        with own_code(self._workload, "copying the module", way_out, ModelError):
            return copy.deepcopy(self.module)

    def _build(self) -> None:
        module, draws = self._made(_FIXED)
        layout = layout_of(self._workload, module)
        self._frozen = frozen_digest(self._workload, module, layout)
        self._initial = _FIXED, read(self._workload, module, layout)
        self._module, self._layout, self._drew = module, layout, draws.drawn
        self._resets = self._drew and self._same(_FIXED)

    def _made(self, seed: int) -> tuple[nn.Module, Draws]:
        draws = Draws(seed, _PURPOSE)
        given = () if self._settings is None else (self._settings,)
        with draws.turn(), own_code(self._workload, "making the module", "correct the model", ModelError):
            module = self._model(*given)
        self.times_built += 1
        if not isinstance(module, nn.Module):
            raise ModelError(f"{self._workload}: the model gave a {type(module).__name__}, and no nn.Module")
        return module, draws

    def _begun(self, seed: int) -> Model:
        built = self.module
        if not self._drew:
            return read(self._workload, built, self.layout)
        if self._resets:
            return read(self._workload, self._reset(seed), self.layout)
        module, _ = self._made(seed)
        if layout_of(self._workload, module) != self.layout:
            raise ModelError(
                f"{self._workload}: the model gave other tensors when it was made again; it may depend on the settings only"
            )
        return read(self._workload, module, self.layout)

    def _reset(self, seed: int) -> nn.Module:
        module = self._copied()
        with Draws(seed, _PURPOSE).turn():
            for part in module.modules():
                reset = getattr(part, "reset_parameters", None)
                if callable(reset):
                    reset()
        return module

    def _same(self, seed: int) -> bool:
        """Whether resetting the layers gives what the function gave with this seed: if so once, then for every seed."""
        try:
            module = self._reset(seed)
            again = read(self._workload, module, self.layout)
        except Exception:  # noqa: BLE001 - the user's own reset_parameters may need more than nothing; then the function is called again
            return False
        first = read(self._workload, self.module, self.layout)
        return changed(module, self.module, self.layout) is None and all(
            torch.equal(torch.from_numpy(first[name]), torch.from_numpy(again[name])) for name in first
        )
