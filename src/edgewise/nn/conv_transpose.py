"""Transposed convolutions with functions for weights: maps that grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from edgewise.bases import Basis
from edgewise.errors import InputError
from edgewise.nn.channels import Kernels, Sizes, sizes_of


class _Transposed(Kernels):
    """The transpose of a convolution with functions for weights: every value of x is spread by curves.

    ::

        y_o[stride p + dilation j - padding] += phi_coj(x_c[p]),    j over the kernel; then + bias_o

    x: (N, C, *sizes) or (C, *sizes) -> y: (N, O, *sizes'), the sizes and every argument as in torch's
    transposed convolution of the same dimension, ``output_size`` in the call included. A place of y
    that nothing is spread to is bias_o. With ``weight`` (C F, O/g, *kernel_size) it is the adjoint of
    the convolution on the expanded maps: y = conv_transpose(expand(x), weight).
    basis, base, noise, generator and memory as in the convolution.
    """

    _convolve: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        *,
        basis: str | Basis = "bspline",
        base: str = "silu",
        noise: float = 0.1,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        geometry = in_channels, out_channels, kernel_size, stride, dilation, groups, bias
        super().__init__(*geometry, basis, base, noise, generator, dtype, device)
        if padding_mode != "zeros":
            raise InputError(f"padding_mode is {padding_mode!r}; a transpose takes 'zeros' only.")
        self.padding_mode = padding_mode
        self.padding = sizes_of("padding", padding, self.dims, 0)
        self.output_padding = sizes_of("output_padding", output_padding, self.dims, 0)

    @property
    def reach(self) -> float:
        places = math.prod(self.kernel_size) / math.prod(self.stride)
        return self.in_channels / self.groups * max(places, 1.0)

    def _weight_shape(self) -> tuple[int, ...]:
        O = self.out_channels // self.groups
        return self.in_channels * self.n_functions, O, *self.kernel_size

    def _edges(self, weight: Tensor) -> Tensor:
        return weight.reshape(self.in_channels, self.n_functions, -1).permute(2, 0, 1)

    def _from_edges(self, edges: Tensor) -> Tensor:
        return edges.permute(1, 2, 0).reshape(self._weight_shape())

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        given, x = x, self._batched(x)
        y = self._convolve(
            *(self.expand(x), self.weight, self.bias, self.stride, self.padding),
            *(self._surplus(x, output_size), self.groups, self.dilation),
        )
        return y if given.ndim == x.ndim else y[0]

    def _surplus(self, x: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """``output_padding``, or the one that gives ``output_size``."""
        if output_size is None:
            return self.output_padding
        wanted = tuple(output_size)[-self.dims :]
        least = tuple(
            (size - 1) * s - 2 * p + d * (k - 1) + 1
            for size, s, p, d, k in zip(
                *(x.shape[2:], self.stride, self.padding, self.dilation, self.kernel_size),
                strict=True,
            )
        )
        surplus = tuple(size - low for size, low in zip(wanted, least, strict=False))
        if len(surplus) != self.dims or not all(
            0 <= extra < max(s, d)
            for extra, s, d in zip(surplus, self.stride, self.dilation, strict=True)
        ):
            raise InputError(
                f"output_size is {tuple(output_size)}; expected sizes from {least} on, each by less than "
                f"stride {self.stride} or dilation {self.dilation} more."
            )
        return surplus

    def extra_repr(self) -> str:
        return (
            f"{super().extra_repr()}, padding={self.padding}, output_padding={self.output_padding}"
        )


class KANConvTranspose1d(_Transposed):
    __doc__ = _Transposed.__doc__
    dims = 1
    _convolve = staticmethod(functional.conv_transpose1d)


class KANConvTranspose2d(_Transposed):
    __doc__ = _Transposed.__doc__
    dims = 2
    _convolve = staticmethod(functional.conv_transpose2d)


class KANConvTranspose3d(_Transposed):
    __doc__ = _Transposed.__doc__
    dims = 3
    _convolve = staticmethod(functional.conv_transpose3d)
