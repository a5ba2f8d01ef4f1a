"""What convolutions of functions share: channels expanded to maps of the basis, weights, ranges."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from edgewise import bases
from edgewise.bases import Basis
from edgewise.bases.base import check_count
from edgewise.errors import InputError, ShapeError
from edgewise.kernels.residual import RESIDUALS, full_precision
from edgewise.nn.layer import KANLayer, hold
from edgewise.nn.starts import moments

Sizes = int | Sequence[int]


class Kernels(nn.Module):
    """What a convolution and its transpose share: the expansion of the channels and the weights.

    Shape letters: N images, C channels in, O out, K functions of the basis, F = K + 1 with b beside
    them (K where base is "zero"), g groups, n the number of places in the kernel.
    """

    dims: ClassVar[int]
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        dilation: Sizes,
        groups: int,
        bias: bool,
        basis: str | Basis,
        base: str,
        noise: float,
        generator: torch.Generator | None,
        dtype: torch.dtype | None,
        device: torch.device | str | None,
    ) -> None:
        super().__init__()
        if base not in RESIDUALS:
            raise InputError(f"base is {base!r}; expected one of {sorted(RESIDUALS)}.")
        check_count("groups", groups, 1)
        for name, count in (("in_channels", in_channels), ("out_channels", out_channels)):
            check_count(name, count, 1)
            if count % groups:
                raise InputError(f"{name} is {count}; expected a multiple of groups = {groups}.")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = sizes_of("kernel_size", kernel_size, self.dims, 1)
        self.stride = sizes_of("stride", stride, self.dims, 1)
        self.dilation = sizes_of("dilation", dilation, self.dims, 1)
        self.basis, self.base = bases.make(basis), base
        factory: dict[str, Any] = {"dtype": dtype or torch.get_default_dtype(), "device": device}
        hold(self, self.basis, in_channels, **factory)
        self.weight = nn.Parameter(torch.empty(self._weight_shape(), **factory))
        self.register_parameter(
            "bias", nn.Parameter(torch.zeros(out_channels, **factory)) if bias else None
        )
        self.reset_parameters(noise, generator)

    @property
    def n_functions(self) -> int:
        """F, the number of maps that a channel is expanded to."""
        return self.basis.size + (self.base != "zero")

    @property
    def basis_tensors(self) -> dict[str, Tensor]:
        """The basis's tensors, one row a channel."""
        return {name: getattr(self, name) for name in self.basis.tensor_names}

    @property
    @abstractmethod
    def reach(self) -> float:
        """The number of edges that end at a place of a map that goes out."""

    @abstractmethod
    def _weight_shape(self) -> tuple[int, ...]: ...

    @abstractmethod
    def _edges(self, weight: Tensor) -> Tensor:
        """The weights channel by channel: (O/g n, C, F)."""

    @abstractmethod
    def _from_edges(self, edges: Tensor) -> Tensor:
        """The inverse of ``_edges``."""

    @torch.no_grad()
    def reset_parameters(
        self, noise: float = 0.1, generator: torch.Generator | None = None
    ) -> None:
        """Draw the start anew: normal weights, so that variance passes the layer; bias 0.

        Values spread evenly over a channel's range, of variance h^2/3, come out with this variance. The
        curves' share of the standard deviation is ``noise`` times b's (all of it without b), for faint
        curves generalise better. Functions share theirs by 1/(m0_k + m1_k), the means of B_k^2 and
        (h B_k')^2 over the range, as in ``edgewise.nn.starts``. What shapes them is the basis's own again.
        """
        if self.weight.is_meta:
            return  # nothing to draw into
        factory: dict[str, Any] = {"dtype": self.weight.dtype, "device": self.weight.device}
        first = self.basis.tensors(self.in_channels, **factory)
        for name in self.basis.shape_names:
            getattr(self, name).copy_(first[name])
        of = moments(self)
        variance = of.half[:, None] ** 2 / (3 * self.reach)
        part = 1.0 if self.base == "zero" else noise**2 / (1 + noise**2)
        std = part * variance * of.share / (of.share * of.values).sum(1, keepdim=True)
        if self.base != "zero":
            std = torch.cat([std, (1 - part) * variance / of.base[:, None]], dim=1)
        edges = torch.empty_like(self._edges(self.weight)).normal_(generator=generator)
        self.weight.copy_(self._from_edges(edges * std.sqrt().to(edges.dtype)))
        if self.bias is not None:
            self.bias.zero_()

    def expand(self, x: Tensor) -> Tensor:
        """Every channel's maps B_1 .. B_K and b: (N, C, *sizes) -> (N, C F, *sizes), channels last."""
        last = x.movedim(1, -1)
        flat = last.reshape(math.prod(last.shape[:-1]), self.in_channels)
        with full_precision(x):
            maps = self.basis.expand(flat, self.basis_tensors)
            if self.base != "zero":
                maps = torch.cat([maps, RESIDUALS[self.base][0](flat)[..., None]], dim=-1)
        return maps.reshape(*last.shape[:-1], self.in_channels * self.n_functions).movedim(-1, 1)

    @torch.no_grad()
    def update_grid(self, x: Tensor) -> None:
        """Let the ranges and knots follow the inputs x, in place; the curves stay as well as they can."""
        x = self._seen(self._batched(x)).movedim(1, 0).flatten(1).T
        old = {name: tensor.double() for name, tensor in self.basis_tensors.items()}
        new = self.basis.adapt(x.double(), old)
        edges, K = self._edges(self.weight).double(), self.basis.size
        curves = bases.moved(self.basis, old, edges[..., :K], self.basis, new)
        for name, tensor in new.items():
            getattr(self, name).copy_(tensor)
        self.weight.copy_(self._from_edges(torch.cat([curves, edges[..., K:]], dim=-1)))

    def _seen(self, x: Tensor) -> Tensor:
        """What the edges see of x."""
        return x

    def _batched(self, x: Tensor) -> Tensor:
        """x as (N, C, *sizes) in the weights' dtype, or a ShapeError."""
        sizes = "".join(f", {letter}" for letter in "DHW"[3 - self.dims :])
        wanted = f"(N, {self.in_channels}{sizes}) or ({self.in_channels}{sizes})"
        if not isinstance(x, Tensor):
            raise ShapeError(f"The input is a {type(x).__name__}; expected a tensor {wanted}.")
        if x.ndim == self.dims + 1:
            x = x[None]
        if x.ndim != self.dims + 2 or x.shape[1] != self.in_channels:
            raise ShapeError(f"The input has shape {tuple(x.shape)}; expected {wanted}.")
        if not x.is_floating_point():
            raise ShapeError(f"The input has dtype {x.dtype}; expected floats, e.g. x.float().")
        return x.to(self.weight.dtype)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, dilation={self.dilation}, groups={self.groups}, "
            f"bias={self.bias is not None}, basis={self.basis}, base={self.base!r}"
        )


@torch.no_grad()
def update_grids(model: nn.Module, x: Tensor) -> None:
    """Let every KAN layer and convolution in a torch model follow its inputs when x runs through.

    In place, in the order in which they are called, so that each sees what the updated ones before it
    give; their curves stay as well as their functions allow. One that is called several times follows
    its last inputs. Normalisations between them do what they do in the model's mode (train or eval).
    """

    hooks = [
        part.register_forward_pre_hook(lambda layer, given: layer.update_grid(given[0]))
        for part in model.modules()
        if isinstance(part, Kernels | KANLayer)
    ]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()


def sizes_of(name: str, value: Sizes, dims: int, least: int) -> tuple[int, ...]:
    """One number a dimension, from one for all or as many as there are dimensions."""
    sizes = tuple(value) if isinstance(value, Sequence) else (value,) * dims
    if len(sizes) != dims:
        raise InputError(f"{name} is {value!r}; expected a number or {dims} of them.")
    for size in sizes:
        check_count(name, size, least)
    return sizes
