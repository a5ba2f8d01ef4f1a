"""The one KAN layer: a learnable function of one variable on every edge, sums on the nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edgewise import bases
from edgewise.bases import Basis
from edgewise.errors import InputError, ShapeError
from edgewise.kernels import native
from edgewise.kernels.residual import RESIDUALS
from edgewise.nn.starts import STARTS


class EdgeFunction(Protocol):
    """What a symbolic edge needs of a primitive: its name, value and derivative, all in torch."""

    @property
    def name(self) -> str: ...
    @property
    def torch(self) -> Callable[[Tensor], Tensor]: ...
    @property
    def derivative(self) -> Callable[[Tensor], Tensor]: ...


class KANLayer(nn.Module):
    """y_o = sum_i phi_oi(x_i), with a curve on every edge.

    ::

        phi_oi(x) = mask_oi [w_b,oi b(x) + w_s,oi sum_k coef_oik B_k(x)] + s_oi(x)
        s_oi(x)   = c f(a x + b) + d     on symbolic edges, else 0

    x: (..., I) -> y: (..., O), leading dimensions of any number, as nn.Linear.

    Parameters: ``coef`` (O, I, K), ``scale_base`` w_b (O, I), ``scale_spline`` w_s (O, I),
    ``symbolic_affine`` (O, I, 4) with [a, b, c, d]. Buffers: ``mask`` (O, I), ``symbolic_code``
    (O, I) where n > 0 stands for ``primitives[n - 1]``, and the basis's tensors (``grid``); those
    that ``basis.shape_names`` lists, rows of numbers an input, are parameters.

    basis: a family's name or a Basis. base: "silu", "identity" or "zero". start: "noise", "glorot" or
    "power", see ``nn.starts``. noise: the size of the curves at the start "noise", for splines the
    standard deviation of their coefficients; 0.1 in the paper. generator: for a start that can be
    repeated. Raises ShapeError when the last dimension of x is not I.

    Reference: Liu et al., *KAN: Kolmogorov-Arnold Networks* (2024), eq. 2.10-2.12.
    """

    mask: Tensor
    symbolic_code: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        basis: str | Basis = "bspline",
        *,
        base: str = "silu",
        start: str = "noise",
        noise: float = 0.1,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        if base not in RESIDUALS:
            raise InputError(f"base is {base!r}; expected one of {sorted(RESIDUALS)}.")
        if start not in STARTS:
            raise InputError(f"start is {start!r}; expected one of {sorted(STARTS)}.")
        bases.base.check_count("in_features", in_features, 0)
        bases.base.check_count("out_features", out_features, 0)
        self.in_features, self.out_features = in_features, out_features
        self.basis, self.base, self.start = bases.make(basis), base, start
        self.primitives: tuple[EdgeFunction, ...] = ()
        factory: dict[str, Any] = {"dtype": dtype or torch.get_default_dtype(), "device": device}
        hold(self, self.basis, in_features, **factory)
        O, I, K = out_features, in_features, self.basis.size
        self.coef = nn.Parameter(torch.empty(O, I, K, **factory))
        self.scale_base = nn.Parameter(torch.empty(O, I, **factory))
        self.scale_spline = nn.Parameter(torch.ones(O, I, **factory))
        self.symbolic_affine = nn.Parameter(torch.zeros(O, I, 4, **factory))
        self.register_buffer("mask", torch.ones(O, I, **factory))
        self.register_buffer("symbolic_code", torch.zeros(O, I, dtype=torch.int64, device=device))
        self.reset_parameters(noise, generator)

    def reset_parameters(
        self, noise: float = 0.1, generator: torch.Generator | None = None
    ) -> None:
        """Draw the start anew: coef and w_b as ``start`` says, w_s = 1, the basis's own shapes."""
        if self.coef.is_meta:
            return  # nothing to draw into
        with torch.no_grad():
            if self.shapes:
                factory = {"dtype": self.coef.dtype, "device": self.coef.device}
                first = self.basis.tensors(self.in_features, **factory)
                for name, shape in self.shapes.items():
                    shape.copy_(first[name])
            STARTS[self.start](self, noise, generator)
            self.scale_spline.fill_(1.0)
            self.symbolic_affine.zero_()

    @property
    def basis_tensors(self) -> dict[str, Tensor]:
        """The basis's tensors held by this layer."""
        return {name: getattr(self, name) for name in self.basis.tensor_names}

    @property
    def shapes(self) -> dict[str, nn.Parameter]:
        """Those of the basis's tensors that training moves, (I, P) each; none for most families."""
        held = {name: getattr(self, name) for name in self.basis.shape_names}
        return {name: shape for name, shape in held.items() if shape.requires_grad}

    @property
    def live(self) -> Tensor:
        """(O, I) bool: edges that are on, numeric or symbolic."""
        return (self.mask != 0) | (self.symbolic_code != 0)

    @property
    def symbolic(self) -> Tensor:
        """(O, I) bool: edges that carry a symbol and no spline."""
        return (self.mask == 0) & (self.symbolic_code != 0)

    def features(self, x: Tensor, order: int = 0) -> Tensor:
        """[B_1..B_K, b] or first derivatives: (B, I) -> (B, I, K+1); 0 at inputs of no spline."""
        used = (self.mask != 0).any(0)
        if native.eager(used) and not bool(used.any()):
            return x.new_zeros(*x.shape, self.basis.size + 1)
        # an input that no spline reads may be infinite, and 0 times infinity is not 0
        x = torch.where(used, x, 0.0)
        base = RESIDUALS[self.base][order](x)
        return torch.cat(
            [self.basis.features(x, self.basis_tensors, order), base[..., None]], dim=-1
        )

    def weights(self) -> Tensor:
        """What multiplies the features, masked and scaled: (O, I, K+1)."""
        curves = self.coef * (self.scale_spline * self.mask)[..., None]
        return torch.cat([curves, (self.scale_base * self.mask)[..., None]], dim=-1)

    def symbolic_values(self, x: Tensor, order: int = 0) -> list[tuple[Tensor, Tensor, Tensor]]:
        """For each primitive in use: (o, i, values): indices (E,) and s_oi(x) as (B, E)."""
        groups = []
        for n, primitive in enumerate(self.primitives, start=1):
            o, i = (self.symbolic_code == n).nonzero(as_tuple=True)
            a, b, c, d = self.symbolic_affine[o, i].unbind(-1)
            u = a * x[:, i] + b
            value = c * primitive.torch(u) + d if order == 0 else c * a * primitive.derivative(u)
            groups.append((o, i, value))
        return groups

    def forward(self, x: Tensor) -> Tensor:
        x = checked(x, self.in_features, self.coef.dtype)
        flat = self._rows(x)
        scales = self.scale_spline, self.scale_base
        y = self.basis.mix(flat, self.basis_tensors, self.coef, *scales, self.mask, self.base)
        if self.primitives:
            for o, _, values in self.symbolic_values(flat):
                y = y.index_add(1, o, values)
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], self.out_features)

    def _rows(self, x: Tensor) -> Tensor:
        """x (..., I) as (B, I)."""
        # the count is spelt out: -1 is ambiguous when there are no inputs
        return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), self.in_features)

    def edges(self, x: Tensor, order: int = 0) -> Tensor:
        """Every edge's value (order 0) or derivative (order 1): x (B, I) -> (B, O, I)."""
        x = checked(x, self.in_features, self.coef.dtype)
        if x.ndim != 2:
            raise ShapeError(
                f"edges takes x of shape (B, {self.in_features}), not {tuple(x.shape)}."
            )
        phi = bases.curves(self.features(x, order), self.weights())
        for o, i, values in self.symbolic_values(x, order):
            phi = phi.index_put((slice_of(phi), o, i), values, accumulate=True)
        return phi

    def fix_symbolic(
        self, o: int, i: int, primitive: EdgeFunction, affine: tuple[float, float, float, float]
    ) -> None:
        """Put c f(a x + b) + d on the edge from i to o and switch its spline off."""
        names = [p.name for p in self.primitives]
        if primitive.name not in names:
            self.primitives = (*self.primitives, primitive)
            names.append(primitive.name)
        with torch.no_grad():
            self.symbolic_code[o, i] = names.index(primitive.name) + 1
            self.symbolic_affine[o, i] = self.symbolic_affine.new_tensor(affine)
            self.mask[o, i] = 0.0

    def unfix_symbolic(self, o: int, i: int) -> None:
        """Take the symbol off and switch the edge's spline on again; a dead edge stays dead."""
        if self.symbolic_code[o, i] == 0:
            return
        with torch.no_grad():
            self.symbolic_code[o, i] = 0
            self.symbolic_affine[o, i] = 0.0
            self.mask[o, i] = 1.0

    @torch.no_grad()
    def switch_off(self, edges: Tensor | tuple[int, int]) -> None:
        """Take curve and symbol off the edges, in place: (O, I) bool, or the one edge (o, i)."""
        self.mask[edges] = 0.0
        self.symbolic_code[edges] = 0
        self.symbolic_affine[edges] = 0.0

    def set_basis(self, basis: Basis, tensors: dict[str, Tensor], coef: Tensor) -> None:
        """Replace the basis, its tensors and the coefficients, in place."""
        self.basis = basis
        for name, tensor in {**tensors, "coef": coef}.items():
            old = getattr(self, name)
            if not isinstance(old, nn.Parameter):
                setattr(self, name, tensor)
            elif tensor.shape == old.shape:
                with torch.no_grad():
                    old.copy_(tensor)
            else:
                new = nn.Parameter(tensor.detach().clone(), requires_grad=old.requires_grad)
                setattr(self, name, new)

    @torch.no_grad()
    def update_grid(self, x: Tensor) -> None:
        """Let ranges and knots follow the inputs x (..., I), in place; the curves stay as well as their
        functions allow."""
        old = self.basis_tensors
        new = self.basis.adapt(self._rows(checked(x, self.in_features, self.coef.dtype)), old)
        self.set_basis(self.basis, new, bases.moved(self.basis, old, self.coef, self.basis, new))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *others: Any) -> None:
        codes = state.get(f"{prefix}symbolic_code")
        count = int(codes.max()) if codes is not None and codes.numel() else 0
        if count > len(self.primitives):
            raise InputError(
                f"The state uses {count} functions on symbolic edges; this layer knows "
                f"{len(self.primitives)}. Set layer.primitives to those of the layer that it came "
                "from, in the same order, or use edgewise.save and edgewise.load."
            )
        super()._load_from_state_dict(state, prefix, *others)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, basis={self.basis}, base={self.base!r}"


def hold(module: nn.Module, basis: Basis, in_features: int, **factory: Any) -> None:
    """Give a module the basis's tensors for I inputs: trained shapes as parameters, others as buffers."""
    for name, tensor in basis.tensors(in_features, **factory).items():
        if name in basis.shape_names:
            module.register_parameter(name, nn.Parameter(tensor))
        else:
            module.register_buffer(name, tensor)


def checked(x: Tensor, in_features: int, dtype: torch.dtype) -> Tensor:
    """x (..., I) of any float dtype in ``dtype``, or a ShapeError."""
    if not isinstance(x, Tensor):
        raise ShapeError(
            f"The input is a {type(x).__name__}; expected a torch.Tensor (..., {in_features})."
        )
    if x.shape[-1:] != (in_features,):
        raise ShapeError(f"The input has shape {tuple(x.shape)}; expected (..., {in_features}).")
    if not x.is_floating_point():
        raise ShapeError(f"The input has dtype {x.dtype}; expected floats, e.g. x.double().")
    return x.to(dtype)


def slice_of(phi: Tensor) -> Tensor:
    """Row indices (B, 1) that broadcast against edge indices in ``index_put``."""
    return torch.arange(phi.shape[0], device=phi.device)[:, None]
