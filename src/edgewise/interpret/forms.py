"""What was found out about a function's form, as values that print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgewise.interpret.identities import Finding


@dataclass(frozen=True)
class Node:
    """kind: "input", "combination" (text: of its two children, as "{0} - {1}"), "curve" (an unknown
    function of one child), "function" (of several), "sum" or "product" (text: a constant added)."""

    kind: str
    text: str = ""
    children: tuple[Node, ...] = ()

    def __str__(self) -> str:
        return self.write(iter(range(1, 1000)))

    def write(self, numbers: Iterator[int]) -> str:
        """As a formula with unknown functions f1, f2, ... in the order of reading."""
        if self.kind == "input":
            return self.text
        if self.kind in ("curve", "function"):
            name = f"f{next(numbers)}"
            return f"{name}({', '.join(child.write(numbers) for child in self.children)})"
        parts = [child.write(numbers) for child in self.children]
        if self.kind == "combination":
            held = [
                f"({part})" if child.kind == "combination" else part
                for part, child in zip(parts, self.children, strict=True)
            ]
            return self.text.format(*held)
        if self.kind == "sum":
            return " + ".join(parts)
        factors = "*".join(
            f"({part})" if child.kind == "sum" or (child.kind == "product" and child.text) else part
            for part, child in zip(parts, self.children, strict=True)
        )
        return f"{self.text} + {factors}" if self.text else factors

    def lines(self, indent: int = 0) -> list[str]:
        """The tree, a line a node, children further right."""
        if self.kind == "input":
            word = self.text
        elif self.kind == "combination":
            word = self.text.format(*("." * len(self.children)))
        else:
            word = {"curve": "a function of", "function": "a function together of"}.get(
                self.kind, self.kind + (f", and {self.text}" if self.text else "")
            )
        return [
            "  " * indent + word,
            *(line for child in self.children for line in child.lines(indent + 1)),
        ]


@dataclass(frozen=True)
class Structure:
    """tree: what was found. findings: the tests made on the way that hold, with names of the inputs as
    they stood then. error: of the function, rms. ``str`` gives the formula with unknown functions and
    the tree."""

    tree: Node
    findings: tuple[tuple[Finding, tuple[str, ...]], ...]
    error: float

    def __str__(self) -> str:
        return "\n".join([str(self.tree), "", *self.tree.lines()])
