"""Text to sympy by a parser of our own: nothing in the text is ever run."""

import difflib
import re
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

import sympy

from ..errors import FormulaError
from .evaluate import symbol
from .parse_limits import Limit, check_exp, check_power, check_result
from .primitives import PRIMITIVES

LENGTH = 10_000
DEPTH = 100
DIGITS = 40

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|`(?P<quoted>[^`\n]+)`"
    r"|(?P<operator>\*\*|[-+*/^(),−×·])"
)
_SAME = {"^": "**", "−": "-", "×": "*", "·": "*"}
_FUNCTIONS = {
    name: getattr(sympy, name)
    for name in (
        "sin cos tan sec csc cot asin acos atan sinh cosh tanh sech csch coth asinh acosh atanh "
        "exp sqrt cbrt Abs sign"
    ).split()
} | {
    "ln": sympy.log,
    "arcsin": sympy.asin,
    "arccos": sympy.acos,
    "arctan": sympy.atan,
    "arcsinh": sympy.asinh,
    "arccosh": sympy.acosh,
    "arctanh": sympy.atanh,
    "abs": sympy.Abs,
    "sgn": sympy.sign,
    "log10": lambda u: sympy.log(u) / sympy.log(10),
    "log2": lambda u: sympy.log(u) / sympy.log(2),
    "gaussian": PRIMITIVES["gaussian"].sympy,
}
_OF_TWO = {"atan2": sympy.atan2, "log": lambda u, base: sympy.log(u) / sympy.log(base)}
_OF_MANY = {"max": sympy.Max, "Max": sympy.Max, "min": sympy.Min, "Min": sympy.Min}
_CONSTANTS = {"pi": sympy.pi, "π": sympy.pi, "e": sympy.E, "E": sympy.E}
_UNKNOWN = re.compile(r"[^\W\d_](_?\d+)?")
_NOT_FINITE = {"nan", "NaN", "inf", "oo", "zoo"}


def parse(
    text: str,
    names: Iterable[str] | None = None,
    positive: Iterable[str] = (),
    unknown: bool = False,
) -> sympy.Expr:
    """Read a formula such as ``2*sin(pi*x)^2 + `period (years)`/3``.

    Numbers (2, 0.5, 1e-3), variables, + - * / ^ ** and parentheses, functions (sin, arctan, log,
    sqrt, abs, sign, max, ..., and the registered primitives), the constants pi and e. A power
    binds tighter than a minus before it, and to the right: -x^2 = -(x^2), 2^3^2 = 2^(3^2).

    Args:
        text: at most 10,000 characters, parentheses at most 100 deep.
        names: the variables there are; any other name is an error. None takes every name that is
            no function and no constant as a variable. A variable may be called pi or e.
        positive: variables known to be positive, for which sympy simplifies further.
        unknown: whether f(...), of one letter and perhaps a number, is an unknown function, and
            any name that is not among ``names`` a variable all the same.

    Returns:
        The expression; whole numbers are exact, decimals are the float64 nearest to them.

    Raises:
        FormulaError: with the position in the text, what was expected there, and a caret.
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula is text, not {type(text).__name__}")
    if len(text) > LENGTH:
        raise FormulaError(f"the formula has {len(text):,} characters; at most {LENGTH:,} are read")
    known = None if names is None else tuple(names)
    return _Parser(text, known, frozenset(positive), unknown).read()


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Parser:
    """Recursive descent: sum, product, sign, power, atom; `k` is the token that comes next."""

    def __init__(
        self,
        text: str,
        names: tuple[str, ...] | None,
        positive: frozenset[str],
        unknown: bool = False,
    ) -> None:
        self.text = text
        self.unknown = unknown
        self.names = names
        self.positive = positive
        self.k = 0
        self.depth = 0
        self.tokens = self._tokens()

    def fail(self, message: str, at: int) -> NoReturn:
        start = max(0, at - 50)
        line = self.text[start : at + 30].translate({ord(c): " " for c in "\n\r\t\v\f"})
        raise FormulaError(f"{message} (position {at + 1})\n    {line}\n    {' ' * (at - start)}^")

    def _tokens(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self.text):
            found = _TOKEN.match(self.text, at)
            if found is None:
                self.fail(f"the character {self.text[at]!r} has no meaning in a formula", at)
            kind = str(found.lastgroup)
            word = found[kind]
            if kind == "name" and not word.isidentifier():
                self.fail(f"{word[:40]!r} is not a name; write powers as x^2", at)
            if kind != "space":
                tokens.append(_Token(kind, _SAME.get(word, word), at))
            at = found.end()
        tokens.append(_Token("end", "", len(self.text)))
        return tokens

    def read(self) -> sympy.Expr:
        result = self._sum()
        token = self.tokens[self.k]
        if token.text == ")":
            self.fail("a ')' has no '(' before it", token.at)
        if token.kind != "end":
            self.fail(f"an operator is missing before {token.text[:40]!r}, such as *", token.at)
        return result

    def _take(self, *operators: str) -> _Token | None:
        token = self.tokens[self.k]
        if token.kind == "operator" and token.text in operators:
            self.k += 1
            return token
        return None

    def _make(self, at: int, head: type | object, *args: sympy.Expr) -> sympy.Expr:
        """head(*args), where limits keep sympy from computing numbers without end."""
        try:
            return check_result(head(*args))  # type: ignore[operator]
        except Limit as error:
            self.fail(str(error), at)

    def _sum(self) -> sympy.Expr:
        at = self.tokens[self.k].at
        terms = [self._product()]
        while sign := self._take("+", "-"):
            term = self._product()
            terms.append(term if sign.text == "+" else self._make(sign.at, sympy.Mul, -1, term))
        return terms[0] if len(terms) == 1 else self._make(at, sympy.Add, *terms)

    def _product(self) -> sympy.Expr:
        at = self.tokens[self.k].at
        factors = [self._signed()]
        while sign := self._take("*", "/"):
            factor = self._signed()
            if sign.text == "/":
                factor = self._power_of(sign.at, factor, sympy.S.NegativeOne)
            factors.append(factor)
        return factors[0] if len(factors) == 1 else self._make(at, sympy.Mul, *factors)

    def _signed(self) -> sympy.Expr:
        negative, at = False, self.tokens[self.k].at
        while sign := self._take("+", "-"):
            negative ^= sign.text == "-"
        value = self._power()
        return self._make(at, sympy.Mul, -1, value) if negative else value

    def _power(self) -> sympy.Expr:
        base = self._atom()
        sign = self._take("**")
        if sign is None:
            return base
        self._deeper(sign.at)
        exponent = self._signed()
        self.depth -= 1
        return self._power_of(sign.at, base, exponent)

    def _power_of(self, at: int, base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
        try:
            check_power(base, exponent)
        except Limit as error:
            self.fail(str(error), at)
        return self._make(at, sympy.Pow, base, exponent)

    def _deeper(self, at: int) -> None:
        self.depth += 1
        if self.depth > DEPTH:
            self.fail(f"the formula is nested more than {DEPTH} deep", at)

    def _atom(self) -> sympy.Expr:
        token = self.tokens[self.k]
        self.k += 1
        if token.kind == "number":
            return self._number(token)
        if token.kind == "quoted":
            return self._variable(token)
        if token.kind == "name":
            following = self.tokens[self.k]
            called = following.kind == "operator" and following.text == "("
            return self._call(token) if called else self._variable(token)
        if token.text == "(":
            return self._arguments(token, several=False)[0]
        if token.kind == "end":
            self.fail("the formula ends where a number, a name or '(' is expected", token.at)
        self.fail(f"a number, a name or '(' is expected, but {token.text!r} came", token.at)

    def _arguments(self, opening: _Token, several: bool) -> list[sympy.Expr]:
        """What stands between parentheses; the opening one is behind us."""
        self._deeper(opening.at)
        values = [self._sum()]
        while several and self._take(","):
            values.append(self._sum())
        if not self._take(")"):
            token = self.tokens[self.k]
            what = "the end" if token.kind == "end" else repr(token.text[:40])
            at = opening.at if token.kind == "end" else token.at
            self.fail(f"a ')' or an operator is expected, but {what} came", at)
        self.depth -= 1
        return values

    def _number(self, token: _Token) -> sympy.Expr:
        mantissa = re.split("[eE]", token.text)[0]
        if len(mantissa) > DIGITS or len(token.text) > DIGITS + 6:
            self.fail(f"a number has more than {DIGITS} digits", token.at)
        if token.text.isdecimal():
            return sympy.Integer(int(token.text))
        value = float(token.text)
        if value == float("inf") or (value == 0 and mantissa.strip("0.")):
            self.fail(f"{token.text} is beyond the range of float64", token.at)
        return sympy.Float(value)

    def _variable(self, token: _Token) -> sympy.Expr:
        name = token.text
        declared = self.names is not None and name in self.names
        if not declared and token.kind == "name":
            if name in _CONSTANTS:
                return _CONSTANTS[name]
            if _arity(name) is not None:
                self.fail(f"the function {name!r} needs '(' and an argument", token.at)
            if name in _NOT_FINITE:
                self.fail(f"{name!r} is not a finite number", token.at)
        if self.names is not None and not declared and not self.unknown:
            self.fail(f"unknown name {name[:40]!r}; {_suggest(name, self.names)}", token.at)
        return symbol(name, positive=name in self.positive)

    def _call(self, token: _Token) -> sympy.Expr:
        name, arity = token.text, _arity(token.text)
        if arity is None and self.unknown and _UNKNOWN.fullmatch(name):
            self.k += 1
            return sympy.Function(name, real=True)(*self._arguments(self.tokens[self.k - 1], True))
        if arity is None:
            known = [*_FUNCTIONS, *_OF_TWO, *_OF_MANY, *PRIMITIVES]
            hint = _suggest(name, [word for word in known if word.isidentifier()])
            self.fail(f"unknown function {name[:40]!r}; {hint}", token.at)
        opening = self.tokens[self.k]
        self.k += 1
        values = self._arguments(opening, several=True)
        if not arity[0] <= len(values) <= arity[1]:
            self.fail(f"{name!r} takes {arity[0]} argument, but {len(values)} came", token.at)
        return self._apply(token, values)

    def _apply(self, token: _Token, values: list[sympy.Expr]) -> sympy.Expr:
        name, at = token.text, token.at
        if name in ("sqrt", "cbrt"):
            return self._power_of(at, values[0], sympy.Rational(1, 2 if name == "sqrt" else 3))
        if name == "log" and len(values) == 1:
            return self._make(at, sympy.log, values[0])
        if name == "exp":
            try:
                check_exp(values[0])
            except Limit as error:
                self.fail(str(error), at)
        table = _FUNCTIONS | _OF_TWO | _OF_MANY
        return self._make(at, table.get(name) or PRIMITIVES[name].sympy, *values)


def _arity(name: str) -> tuple[int, int] | None:
    """Least and largest number of arguments, or None for what is no function."""
    if name == "log":
        return 1, 2
    if name in _OF_TWO:
        return 2, 2
    if name in _OF_MANY:
        return 2, LENGTH
    known = name in _FUNCTIONS or (name in PRIMITIVES and name != "x")
    return (1, 1) if known else None


def _suggest(name: str, known: Iterable[str]) -> str:
    words = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, words, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"known are {', '.join(map(repr, words[:12]))}{', ...' if len(words) > 12 else ''}"
