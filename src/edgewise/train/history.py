"""What happened during a fit, as a value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class History:
    """One row a step, of Adam one in ten: step, train_loss, test_loss (None without test data),
    penalty, seconds.

    Losses are roots of the mean square for ``loss_name`` "rmse", else the loss itself; ``events``
    holds (step, text) for what changed on the way (grids, restarts, solvers); ``metrics`` the
    user's own, and train_accuracy and test_accuracy of cross-entropy. Rows can be read by name, as
    ``history["train_loss"]``.
    """

    loss_name: str = "rmse"
    step: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    test_loss: list[float | None] = field(default_factory=list)
    penalty: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    events: list[tuple[int, str]] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> list:
        return self.metrics[name] if name in self.metrics else getattr(self, name)

    def __len__(self) -> int:
        return len(self.step)

    def __iter__(self) -> Iterator[str]:
        return iter(["step", "train_loss", "test_loss", "penalty", "seconds", *self.metrics])

    @property
    def accuracy(self) -> str:
        """The last row's accuracy as text: "99.1%", with test rows "99.1%, test 97.0%"; else ""."""
        parts = (("", "train_accuracy"), ("test ", "test_accuracy"))
        seen = [
            f"{part}{100 * rows[-1]:.1f}%"
            for part, name in parts
            if (rows := self.metrics.get(name))
        ]
        return ", ".join(seen)

    def __repr__(self) -> str:
        if not self.step:
            return "History(empty)"
        test = self.test_loss[-1]
        shown = "" if test is None else f", test {self.loss_name} {test:.3g}"
        shown += f", accuracy {self.accuracy}" if self.accuracy else ""
        return (
            f"History({len(self)} steps, {self.seconds[-1]:.1f} s: "
            f"train {self.loss_name} {self.train_loss[-1]:.3g}{shown})"
        )
