"""Convolutions whose kernels hold functions: every weight of a kernel is a curve of one variable."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from edgewise.bases import Basis
from edgewise.errors import InputError
from edgewise.nn.channels import Kernels, Sizes, sizes_of

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Kernels):
    """y_o[p] = bias_o + sum_c sum_j phi_ocj(x_c[stride p + dilation j - padding]), j over the kernel.

    ::

        phi_ocj(x) = w_b,ocj b(x) + sum_k coef_ocjk B_k(x)

    x: (N, C, *sizes) or (C, *sizes) -> y: (N, O, *sizes'), the sizes and every argument as in torch's
    convolution of the same dimension. Computed as one convolution of the expanded channels, so that a
    basis function is evaluated once a value: y = conv(expand(x), weight), with ``weight``
    (O, C/g F, *kernel_size) holding [coef_1 .. coef_K, w_b] of a channel side by side.

    padding: an edge that looks at a padded place sees what ``padding_mode`` says, 0 by default, and
    contributes phi(0), which need not be 0. pad_basis=True pads the expanded maps with zeros instead,
    so that such edges contribute nothing (padding_mode "zeros" only).
    basis: a family's name or a Basis; its tensors have a row a channel. base: b, "silu", "identity" or
    "zero" (none). noise: how large the curves start, against w_b b. generator: for a start that can be
    repeated.
    Memory: the expanded maps, F numbers a value of x, are kept for the backward pass.
    Raises InputError for arguments and ShapeError for inputs that do not fit.

    Reference: Bodner et al., *Convolutional Kolmogorov-Arnold Networks* (2024).
    """

    _convolve: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        basis: str | Basis = "bspline",
        base: str = "silu",
        pad_basis: bool = False,
        noise: float = 0.1,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        geometry = in_channels, out_channels, kernel_size, stride, dilation, groups, bias
        super().__init__(*geometry, basis, base, noise, generator, dtype, device)
        if padding_mode not in _PADDING_MODES:
            raise InputError(f"padding_mode is {padding_mode!r}; expected one of {_PADDING_MODES}.")
        if pad_basis and padding_mode != "zeros":
            raise InputError(
                f"pad_basis=True pads with zeros, but padding_mode is {padding_mode!r}; leave one out."
            )
        self.padding = (
            padding if isinstance(padding, str) else sizes_of("padding", padding, self.dims, 0)
        )
        self.padding_mode, self.pad_basis = padding_mode, pad_basis
        self._margins = self._both_sides()

    def _both_sides(self) -> list[int]:
        """The padding as torch.nn.functional.pad takes it: last dimension first, before and after."""
        if self.padding == "same":
            if set(self.stride) != {1}:
                raise InputError(
                    f"padding is 'same' and stride {self.stride}; expected stride 1, or padding as numbers."
                )
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            pairs = [(total // 2, total - total // 2) for total in totals]
        elif self.padding == "valid":
            pairs = [(0, 0)] * self.dims
        elif isinstance(self.padding, str):
            raise InputError(f"padding is {self.padding!r}; expected numbers, 'same' or 'valid'.")
        else:
            pairs = [(size, size) for size in self.padding]
        return [size for pair in reversed(pairs) for size in pair]

    @property
    def reach(self) -> float:
        return self.in_channels // self.groups * math.prod(self.kernel_size)

    def _weight_shape(self) -> tuple[int, ...]:
        C = self.in_channels // self.groups
        return self.out_channels, C * self.n_functions, *self.kernel_size

    def _edges(self, weight: Tensor) -> Tensor:
        g, F, n = self.groups, self.n_functions, math.prod(self.kernel_size)
        parts = weight.reshape(g, self.out_channels // g, self.in_channels // g, F, n)
        return parts.permute(1, 4, 0, 2, 3).reshape(-1, self.in_channels, F)

    def _from_edges(self, edges: Tensor) -> Tensor:
        g, F, n = self.groups, self.n_functions, math.prod(self.kernel_size)
        parts = edges.reshape(self.out_channels // g, n, g, self.in_channels // g, F)
        return parts.permute(2, 0, 3, 4, 1).reshape(self._weight_shape())

    def _seen(self, x: Tensor) -> Tensor:
        return x if self.pad_basis else self._padded(x, self.padding_mode)

    def _padded(self, x: Tensor, mode: str) -> Tensor:
        if not any(self._margins):
            return x
        return functional.pad(x, self._margins, "constant" if mode == "zeros" else mode)

    def forward(self, x: Tensor) -> Tensor:
        given, x = x, self._batched(x)
        maps = self.expand(self._seen(x))
        if self.pad_basis:
            maps = self._padded(maps, "zeros")
        where = {"stride": self.stride, "dilation": self.dilation, "groups": self.groups}
        y = self._convolve(maps, self.weight, self.bias, **where)
        return y if given.ndim == x.ndim else y[0]

    def extra_repr(self) -> str:
        mode = "" if self.padding_mode == "zeros" else f", padding_mode={self.padding_mode!r}"
        over = ", pad_basis=True" if self.pad_basis else ""
        return f"{super().extra_repr()}, padding={self.padding!r}{mode}{over}"


class KANConv1d(_Convolution):
    __doc__ = _Convolution.__doc__
    dims = 1
    _convolve = staticmethod(functional.conv1d)


class KANConv2d(_Convolution):
    __doc__ = _Convolution.__doc__
    dims = 2
    _convolve = staticmethod(functional.conv2d)


class KANConv3d(_Convolution):
    __doc__ = _Convolution.__doc__
    dims = 3
    _convolve = staticmethod(functional.conv3d)
