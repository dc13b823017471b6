"""Convolutions in float64, for which torch has a slow path only: images cut into strips, and matrix products over them.

A strip is as wide as the kernel and as high as the image, (height, kw, channels) in one run of memory: the windows of a column of outputs
lie in it one below the other, overlapping, and a matrix product reads (or, backward, adds to) them where they are. That takes a kh-th of
the memory of a row for each window.

The products' sums differ in their last bits from one processor to the other, as torch's own do; the grid takes that away.

Source: Cho, Brand, "MEC: Memory-efficient Convolution for Deep Neural Network", https://arxiv.org/abs/1706.06873.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_AT_ONCE = 1 << 20
"""Numbers in the strips that are worked on together: 8 megabytes, which caches hold."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """How a kernel goes over an image: all pairs are (height, width); `before` and `after` are zeros around the image, and
    `dilation` is of the width only."""

    kernel: Pair
    stride: Pair
    dilation: int
    before: Pair
    after: Pair

    def outputs(self, size: Pair) -> Pair:
        """How many windows there are of an image of this size."""
        reach = self.kernel[0] - 1, self.dilation * (self.kernel[1] - 1)
        high, wide = (
            (size[one] + self.before[one] + self.after[one] - reach[one] - 1) // self.stride[one] + 1
            for one in (0, 1)
        )
        return high, wide

    def lines(self, high: int, height: int, channels: int) -> Iterator[tuple[slice, slice]]:
        """For each line of outputs: where its windows lie in a strip, and which part of the kernel that is. What of a window lies above or
        below the image is left out."""
        row = self.kernel[1] * channels
        for line in range(high):
            top = line * self.stride[0] - self.before[0]
            first, end = min(max(top, 0), height), max(min(top + self.kernel[0], height), 0)
            end = max(first, end)
            yield slice(first * row, end * row), slice((first - top) * row, (end - top) * row)

    def whole(self, high: int, height: int) -> tuple[range, list[int]]:
        """The lines of which every window lies wholly in the image, and the others."""
        tops = [line * self.stride[0] - self.before[0] for line in range(high)]
        inside = [line for line, top in enumerate(tops) if top >= 0 and top + self.kernel[0] <= height]
        whole = range(inside[0], inside[-1] + 1) if inside else range(0)
        return whole, [line for line in range(high) if line not in whole]


def convolved(images: Tensor, weight: Tensor, bias: Tensor | None, windows: Windows) -> Tensor:
    """`torch.conv2d` of images (n, c, h, w) and weight (o, c, kh, kw), without groups."""
    found: Tensor = _Convolution.apply(images, weight, bias, windows)
    return found


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, windows: Windows) -> Tensor:
        padded = _padded(images, windows)
        high, wide = windows.outputs((images.shape[2], images.shape[3]))
        count, channels = len(images), len(weight)
        flat = weight.permute(0, 2, 3, 1).reshape(channels, -1)
        lines = list(windows.lines(high, images.shape[2], padded.shape[3]))
        whole, edges = windows.whole(high, images.shape[2])
        out = padded.new_empty((high, channels, count * wide))
        chunks = list(_chunks(padded, wide * windows.kernel[1]))
        for start, end in chunks:
            strips = _strips(padded[start:end], windows, wide)
            here = out[:, :, start * wide : end * wide]
            if whole:
                rows = _rows(strips, lines, whole)
                kernels = flat.expand(len(whole), *flat.shape)
                if len(chunks) == 1:
                    torch.bmm(kernels, rows.transpose(1, 2), out=here[whole.start : whole.stop])
                else:
                    here[whole.start : whole.stop] = torch.bmm(kernels, rows.transpose(1, 2))
            for line in edges:
                of_strip, of_kernel = lines[line]
                torch.mm(flat[:, of_kernel], strips[:, of_strip].t(), out=here[line])
        if bias is not None:
            out += bias[:, None]
        ctx.save_for_backward(flat, strips if len(chunks) == 1 else padded)
        ctx.windows, ctx.size, ctx.shape = windows, padded.shape, weight.shape
        ctx.lines, ctx.whole, ctx.edges, ctx.chunks = lines, whole, edges, chunks
        return out.view(high, channels, count, wide).permute(2, 1, 0, 3).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        flat, kept = ctx.saved_tensors
        windows: Windows = ctx.windows
        of_images, of_weight, of_bias = ctx.needs_input_grad[:3]
        _, channels, high, wide = gradient.shape
        outer = gradient.permute(2, 0, 3, 1).reshape(high, -1, channels)
        summed = torch.zeros_like(flat)
        folded = flat.new_zeros(ctx.size) if of_images else None
        for start, end in ctx.chunks:
            part = outer[:, start * wide : end * wide]
            if of_weight:
                strips = kept if len(ctx.chunks) == 1 else _strips(kept[start:end], windows, wide)
                if ctx.whole:
                    rows = _rows(strips, ctx.lines, ctx.whole)
                    summed.addbmm_(part[ctx.whole.start : ctx.whole.stop].transpose(1, 2), rows)
                for line in ctx.edges:
                    of_strip, of_kernel = ctx.lines[line]
                    summed[:, of_kernel].addmm_(part[line].t(), strips[:, of_strip])
            if folded is not None:
                here = folded[start:end]
                changes = flat.new_zeros(
                    (len(here) * wide, here.shape[1] * windows.kernel[1] * here.shape[3])
                )
                for line, (of_strip, of_kernel) in enumerate(ctx.lines):
                    changes[:, of_strip].addmm_(part[line], flat[:, of_kernel])
                _fold(changes, here, windows, wide)
        o, c, kh, kw = ctx.shape
        return (
            None if folded is None else _unpadded(folded, windows),
            summed.view(o, kh, kw, c).permute(0, 3, 1, 2) if of_weight else None,
            outer.sum((0, 1)) if of_bias else None,
            None,
        )


def _padded(images: Tensor, windows: Windows) -> Tensor:
    """Images as (n, height, width, channels), with zeros at their left and right."""
    left, right = windows.before[1], windows.after[1]
    images = images.permute(0, 2, 3, 1)
    if not left and not right:
        return images.contiguous()
    count, height, width, channels = images.shape
    padded = images.new_zeros((count, height, left + width + right, channels))
    padded[:, :, left : left + width] = images
    return padded


def _unpadded(padded: Tensor, windows: Windows) -> Tensor:
    """The images again, (n, c, h, w)."""
    return padded[:, :, windows.before[1] : padded.shape[2] - windows.after[1]].permute(0, 3, 1, 2)


def _strips(padded: Tensor, windows: Windows, wide: int) -> Tensor:
    """The strip of each column of outputs of each image: (n * wide, height * kw * channels)."""
    image, row, column, _ = padded.stride()
    view = padded.as_strided(
        (len(padded), wide, padded.shape[1], windows.kernel[1], padded.shape[3]),
        (image, windows.stride[1] * column, row, windows.dilation * column, 1),
        padded.storage_offset(),
    )
    return view.reshape(len(padded) * wide, -1)


def _rows(strips: Tensor, lines: Sequence[tuple[slice, slice]], whole: range) -> Tensor:
    """The windows of lines that lie wholly in the image, as a view of the strips, in which they overlap: (lines, n * wide, kh * kw * c)."""
    first = lines[whole.start][0]
    step = lines[whole.start + 1][0].start - first.start if len(whole) > 1 else 1
    shape = (len(whole), len(strips), first.stop - first.start)
    return strips.as_strided(shape, (step, strips.stride(0), 1), strips.storage_offset() + first.start)


def _fold(changes: Tensor, folded: Tensor, windows: Windows, wide: int) -> None:
    """Add strips to the pixels that they cover: the transpose of `_strips`. Columns of a strip that no neighbouring strip covers in the
    same place are added together."""
    height, channels, kw = folded.shape[1], folded.shape[3], windows.kernel[1]
    parts = changes.view(len(folded), wide, height, kw, channels)
    together = windows.stride[1] if windows.dilation == 1 else 1
    image, row, column, _ = folded.stride()
    for first in range(0, kw, together):
        across = min(together, kw - first)
        target = folded.as_strided(
            (len(folded), wide, height, across, channels),
            (image, windows.stride[1] * column, row, column, 1),
            folded.storage_offset() + first * windows.dilation * column,
        )
        target += parts[:, :, :, first : first + across]


def _chunks(padded: Tensor, columns: int) -> Iterator[tuple[int, int]]:
    """Ranges of images whose strips are few enough; `columns` of an image are in its strips."""
    images, height, _, channels = padded.shape
    at_once = max(1, _AT_ONCE // max(1, height * columns * channels))
    for start in range(0, images, at_once):
        yield start, min(start + at_once, images)
