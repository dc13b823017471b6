"""What torch computes for a module in a portable training: its calls are looked at as they are made, and some are answered here.

Rules:
1. Convolutions in float64 are `convolution`'s.
2. What draws is lent a stream of (seed, step, number of the draw) that is the same everywhere: dropout of every kind, `rand`, `randn`,
   their `_like`, and `bernoulli`. What draws from torch's generator in another way is found by `Draws`, which looks at the generator.
3. What computes with floating point in less than float64 is refused, for its last bits are coarser than the grid takes away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode, resolve_name

from quorumlearn.learning.errors import WorkloadError
from quorumlearn.learning.exact import convolution
from quorumlearn.learning.exact.streams import words

_WHOLE = {torch.float64, torch.complex128}
_SPREAD = (torch.linspace, torch.logspace)
_UNFILLED = (torch.empty, torch.empty_like, torch.empty_strided, torch.Tensor.new_empty)


class PortableOperations(TorchFunctionMode):
    """Active while a module and its loss are called; `at` says for which step."""

    def __init__(self, workload: str, seed: bytes) -> None:
        super().__init__()
        self._workload = workload
        self._seed = seed
        self._purpose = ""
        self._drawn = 0
        self._answers: Mapping[Any, Callable[..., Tensor | None]] = {
            torch.conv2d: _conv2d,
            torch.conv1d: _conv1d,
            functional.dropout: self._dropout,
            torch.dropout: self._dropout,
            functional.dropout1d: self._feature_dropout,
            functional.dropout2d: self._feature_dropout,
            functional.dropout3d: self._feature_dropout,
            functional.alpha_dropout: self._alpha_dropout,
            functional.feature_alpha_dropout: self._feature_alpha_dropout,
            torch.rand: self._rand,
            torch.randn: self._randn,
            torch.rand_like: self._rand_like,
            torch.randn_like: self._randn_like,
            torch.bernoulli: self._bernoulli,
        }

    def at(self, step: int) -> PortableOperations:
        """This, for the next call of the module."""
        self._purpose = f"draws of step {step}"
        self._drawn = 0
        return self

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        answer = self._answers.get(func)
        if answer is not None:
            found = answer(*args, **given)
            if found is not None:
                return found
        found = func(*args, **given)
        if func in _UNFILLED and found.is_floating_point():
            found.fill_(math.nan)  # what is read before it is written shows as numbers that are not finite
        if isinstance(found, Tensor) and found.dtype not in _WHOLE and found.is_floating_point():
            self._refuse_coarse(func, found.dtype, args, given)
        return found

    def _refuse_coarse(
        self, func: Any, dtype: torch.dtype, args: Sequence[Any], given: Mapping[str, Any]
    ) -> None:
        """A constant, or whole numbers as floating point, is exact in any type."""
        from_floats = any(
            isinstance(one, Tensor) and (one.is_floating_point() or one.is_complex())
            for one in (*args, *given.values())
        )
        if from_floats or func in _SPREAD:
            raise WorkloadError(
                f"{self._workload}: {resolve_name(func) or func} gives {dtype}; a portable training computes in float64, so have the "
                "module compute in its parameters' type"
            )

    def _words(self, count: int) -> NDArray[np.uint64]:
        self._drawn += 1
        return words(self._seed, self._purpose, self._drawn, count)

    def _kept(self, shape: Sequence[int], probability: float, like: Tensor) -> Tensor:
        """1 with this probability, otherwise 0."""
        count = int(np.prod(shape, dtype=np.int64))
        drawn = self._words((count + 1) // 2).view(np.uint32)[:count]
        kept = drawn < np.uint64(round(probability * 2**32))
        return torch.from_numpy(kept.astype(np.float64).reshape(tuple(shape))).to(like.device, like.dtype)

    def _uniform(self, shape: Sequence[int]) -> NDArray[np.float64]:
        """Odd multiples of 2^-53 between 0 and 1."""
        count = int(np.prod(shape, dtype=np.int64))
        odd = 2 * (self._words(count) >> np.uint64(12)).astype(np.float64) + 1
        return (odd * 2.0**-53).reshape(tuple(shape))

    def _dropout(
        self,
        input: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
        *,
        train: bool = True,
    ) -> Tensor | None:
        return self._dropped(input, input.shape, p, training and train, inplace)

    def _feature_dropout(
        self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor | None:
        return self._dropped(input, _features(input), p, training, inplace)

    def _dropped(
        self, input: Tensor, shape: Sequence[int], p: float, training: bool, inplace: bool
    ) -> Tensor | None:
        if not training or not 0 < p < 1:
            return None  # nothing is drawn
        kept = self._kept(shape, 1 - p, input) / (1 - p)
        return input.mul_(kept) if inplace else input * kept

    def _alpha_dropout(
        self, input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
    ) -> Tensor | None:
        return self._alpha_dropped(input, input.shape, p, training, inplace)

    def _feature_alpha_dropout(
        self, input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
    ) -> Tensor | None:
        return self._alpha_dropped(input, _features(input), p, training, inplace)

    def _alpha_dropped(
        self, input: Tensor, shape: Sequence[int], p: float, training: bool, inplace: bool
    ) -> Tensor | None:
        """Klambauer et al., https://arxiv.org/abs/1706.02515, with torch's constant."""
        if not training or not 0 < p < 1:
            return None
        alpha = 1.7580993408473766
        scale = math.sqrt((1 - p) * (1 + p * alpha * alpha))
        kept = self._kept(shape, 1 - p, input)
        found = (input * kept - alpha * (1 - kept) + alpha * p) / scale
        return input.copy_(found) if inplace else found

    def _rand(self, *size: Any, **given: Any) -> Tensor:
        return self._filled(self._uniform(_size(size, given)), given)

    def _randn(self, *size: Any, **given: Any) -> Tensor:
        return self._filled(self._normal(_size(size, given)), given)

    def _rand_like(self, input: Tensor, **given: Any) -> Tensor:
        return self._filled(
            self._uniform(input.shape), {"dtype": input.dtype, "device": input.device, **given}
        )

    def _randn_like(self, input: Tensor, **given: Any) -> Tensor:
        return self._filled(
            self._normal(input.shape), {"dtype": input.dtype, "device": input.device, **given}
        )

    def _bernoulli(self, input: Tensor, *rest: Any, **given: Any) -> Tensor | None:
        if rest or given or not input.is_floating_point():
            return None
        drawn = torch.from_numpy(self._uniform(input.shape)).to(input.device)
        return (drawn < input).to(input.dtype)

    def _normal(self, shape: Sequence[int]) -> NDArray[np.float64]:
        """Box and Muller: https://doi.org/10.1214/aoms/1177706645. Its last bits are the library's, as those of every sum are."""
        radius: NDArray[np.float64] = np.sqrt(-2 * np.log(self._uniform(shape)))
        radius *= np.cos(2 * np.pi * self._uniform(shape))
        return radius

    def _filled(self, values: NDArray[np.float64], given: Mapping[str, Any]) -> Tensor:
        wanted = given.get("dtype") or torch.get_default_dtype()
        if wanted != torch.float64:
            # 24 bits, which every type but half precision holds: no rounding that could fall on either side
            values = np.floor(values * 2**24) / 2**24
        made = torch.from_numpy(values).to(given.get("device") or "cpu", wanted)
        return made.requires_grad_(bool(given.get("requires_grad")))


def _features(input: Tensor) -> tuple[int, ...]:
    return (*input.shape[:2], *(1 for _ in input.shape[2:]))


def _size(size: Sequence[Any], given: Mapping[str, Any]) -> Sequence[int]:
    wanted: Sequence[Any] = given.get("size", size)
    return tuple(wanted[0]) if len(wanted) == 1 and not isinstance(wanted[0], int) else wanted


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    kernel, dilated = (weight.shape[-2], weight.shape[-1]), _pair(dilation)
    if (
        groups != 1
        or input.dim() != 4
        or input.dtype != torch.float64
        or not input.numel()
        or dilated[0] != 1
    ):
        return None  # torch's own way is exact too, and slower
    before, after = _zeros(padding, kernel, dilated)
    windows = convolution.Windows(kernel, _pair(stride), dilated[1], before, after)
    return convolution.convolved(input, weight, bias, windows)


def _conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    """A row of pixels is an image of height 1."""
    if groups != 1 or input.dim() != 3 or input.dtype != torch.float64 or not input.numel():
        return None
    kernel, dilated = (1, weight.shape[2]), (1, _pair(dilation)[1])
    before, after = _zeros(padding, (weight.shape[2], weight.shape[2]), (dilated[1], dilated[1]))
    windows = convolution.Windows(kernel, (1, _pair(stride)[1]), dilated[1], (0, before[1]), (0, after[1]))
    return convolution.convolved(input[:, :, None], weight[:, :, None], bias, windows)[:, :, 0]


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return int(value[0]), int(value[-1])


def _zeros(
    padding: Any, kernel: tuple[int, int], dilation: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Zeros before and after an image, as torch has them: with `same` the odd one is after."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        whole = [dilation[one] * (kernel[one] - 1) for one in (0, 1)]
        before = whole[0] // 2, whole[1] // 2
        return before, (whole[0] - before[0], whole[1] - before[1])
    pair = _pair(padding)
    return pair, pair
