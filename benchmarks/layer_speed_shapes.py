"""The shapes of layer_speed.py: what is measured, the goals, and the work by counting.

Letters: B batch, I in, O out, G intervals, k degree, K = G + k functions an edge.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

DEGREE = 3
FLOAT = 4  # bytes; all is measured in float32


@dataclass(frozen=True)
class Shape:
    """A layer (two widths) or a network (more), with the ratios that are asked of it.

    goal: seconds of edgewise / seconds of the MLP, at most. least: rival -> seconds of the rival /
    seconds of edgewise, at least. Both forward + backward. None or absent: nothing is asked.
    """

    batch: int
    width: tuple[int, ...]
    grid: int
    goal: float | None = None
    least: tuple[tuple[str, float], ...] = ()
    note: str = ""

    @property
    def name(self) -> str:
        return ",".join(map(str, (self.batch, *self.width, self.grid)))

    @property
    def is_layer(self) -> bool:
        return len(self.width) == 2

    @property
    def input_gradient(self) -> bool:
        """A layer stands inside a network; a network's inputs are data."""
        return self.is_layer

    @property
    def size(self) -> int:
        return self.grid + DEGREE

    @property
    def edges(self) -> int:
        return sum(a * b for a, b in zip(self.width, self.width[1:], strict=False))

    @property
    def hidden(self) -> int:
        """Hidden nodes of the MLP in -> h -> out with as many weights: K + 1 an edge."""
        return round(self.edges * (self.size + 1) / (self.width[0] + self.width[-1]))

    def to_dict(self) -> dict:
        return asdict(self) | {"name": self.name, "hidden": self.hidden}


def shape_from(given: dict) -> Shape:
    """The inverse of to_dict, which has been through JSON."""
    return Shape(
        batch=given["batch"],
        width=tuple(given["width"]),
        grid=given["grid"],
        goal=given["goal"],
        least=tuple((name, value) for name, value in given["least"]),
        note=given["note"],
    )


def rivals(pykan: float, inkan: float | None = None) -> tuple[tuple[str, float], ...]:
    return (("pykan", pykan), *((("inkan", inkan),) if inkan else ()))


SHAPES = (
    Shape(1024, (64, 64), 5, 0.55, rivals(25, 2.2)),
    Shape(1024, (256, 256), 5, 0.55, rivals(80, 2.2)),
    Shape(1024, (784, 64), 5, 0.6, rivals(80, 2.2)),
    Shape(4096, (64, 64), 20, 0.2, rivals(80, 3.0)),
    Shape(1024, (256, 256), 20, 0.22, rivals(80, 3.0)),
    Shape(4096, (64, 64), 50, 0.1, rivals(80)),
    Shape(1000, (2, 5, 1), 5, note="a network of scientific size; no input gradient"),
    Shape(
        100,
        (1000, 1000, 1),
        5,
        note="the task of KAN-benchmarking, with its MLP of 10 hidden nodes for each of ours, "
        "ReLU inside and sigmoid at the end; no input gradient",
    ),
)
SHORT = Shape(256, (16, 16), 5, note="small, to see that all works; its times say nothing")


def multiply_adds(shape: Shape) -> dict[str, int]:
    """Least multiply-adds of a forward and backward pass.

    A sample and edge: k + 1 of the spline and 1 of the residual forward, twice that backward; the
    MLP of equal parameters needs K + 1 forward and twice that backward.
    """
    each = shape.batch * shape.edges
    spline = DEGREE + 2
    return {
        "edgewise forward": each * spline,
        "edgewise backward": each * 2 * spline,
        "mlp forward": each * (shape.size + 1),
        "mlp backward": each * 2 * (shape.size + 1),
    }


def least_bytes(shape: Shape) -> int:
    """Bytes that a layer's step must move once: x, c, y forward; x, g, c, dx, dc backward."""
    values = shape.edges * (shape.size + 1)
    I, O = shape.width[0], shape.width[-1]
    return FLOAT * (shape.batch * (I + O) + values + shape.batch * (2 * I + O) + 2 * values)


def tensor_bytes(shape: Shape) -> dict[str, int]:
    """What a dense basis and a dense layer of edges would take, in the largest layer."""
    pairs = list(zip(shape.width, shape.width[1:], strict=False))
    return {
        "B,I,K": FLOAT * shape.batch * shape.size * max(I for I, _ in pairs),
        "B,I,O": FLOAT * shape.batch * max(I * O for I, O in pairs),
    }
