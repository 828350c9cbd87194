"""The language of estimates (`50 + 0.02 * file_count`) and of policy conditions (`N > 1000 and pages >= 10`).

Texts come from files and clients that nobody vouches for. Here they are checked, turned into closures and
evaluated: text is never handed to `eval`, `exec` or a compile step, and all arithmetic is on floats, so
that `9 ** 9 ** 9` fails at once. What a result means (seconds, money, a policy) must not be known here.

Syntax and precedence are Python's. A text passes four gates: its length, its tokens (`_check_tokens`),
Python's parser, and a whitelist of nodes (`_Builder`).
"""

from __future__ import annotations

import ast
import difflib
import keyword
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

MAX_LENGTH = 500
# Building and evaluating take at most three Python frames per level: far from the recursion limit of 1000.
_MAX_DEPTH = 50
_MAX_QUOTE = 60
_MAX_DIGITS = 15


class ExpressionError(ValueError):
    """Say in one sentence why a text or a variable is refused; `column` counts from 1."""

    def __init__(self, message: str, column: int | None = None) -> None:
        super().__init__(message)
        self.column = column


_Values = Mapping[str, float]
_Number = Callable[[_Values], float]
_Truth = Callable[[_Values], bool]
_Operand = float | _Number


class _Function(NamedTuple):
    """A function of the language, with the least and the most arguments it takes."""

    run: Callable[..., float]
    least: int
    most: int | None

    def arity(self) -> str:
        """Describe the number of arguments: "1 argument", "1 or 2 arguments"."""
        if self.most is None:
            return f"at least {self.least} arguments"
        return "1 argument" if self.most == self.least else f"{self.least} or {self.most} arguments"


class _Place(NamedTuple):
    """A part of a text, for messages."""

    text: str
    column: int

    def __str__(self) -> str:
        short = self.text if len(self.text) <= _MAX_QUOTE else f"{self.text[: _MAX_QUOTE - 1]}…"
        return f'"{short}"'


def _power(base: float, exponent: float) -> float:
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError("complex")  # noqa: TRY004 - as math.sqrt(-1) does
    return float(result)


def _floor(value: float) -> float:
    return float(math.floor(value))


def _ceil(value: float) -> float:
    return float(math.ceil(value))


def _round(value: float, digits: float = 0.0) -> float:
    return round(value, int(digits))


_FUNCTIONS = {
    "abs": _Function(abs, 1, 1),
    "ceil": _Function(_ceil, 1, 1),
    "floor": _Function(_floor, 1, 1),
    "log": _Function(math.log, 1, 2),
    "log10": _Function(math.log10, 1, 1),
    "log2": _Function(math.log2, 1, 1),
    "max": _Function(max, 2, None),
    "min": _Function(min, 2, None),
    "round": _Function(_round, 1, 2),
    "sqrt": _Function(math.sqrt, 1, 1),
}
_ARITHMETIC: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_SIGNS: dict[type[ast.AST], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_COMPARISONS: dict[type[ast.AST], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_TRUTH_WORDS = {"true": True, "false": False}
_TOO_DEEP = f"too deep: at most {_MAX_DEPTH} operations or parentheses may enclose or follow one another"
_NAMES = ", ".join(_FUNCTIONS)
_ALLOWED = (
    f"allowed are numbers, variables, + - * / // % **, parentheses and the functions {_NAMES}"
    "; in conditions also < <= > >= == !=, and, or, not, true, false"
)

# The tokens are checked before Python's parser sees them. What it would warn of ("1and 2", "\d" in a string)
# or accept beyond the language (0x1F, 1_000, 1j, comments, normalised identifiers) never reaches it, so no
# warning has to be silenced, which `warnings.catch_warnings` could not do safely among threads.
_RESERVED = "|".join(sorted(set(keyword.kwlist) - {"and", "or", "not", "True", "False"}))
_NUMBER_TOKEN = r"(?!0\d+(?![\d.eE]))(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])"
_WORD_TOKEN = rf"(?!(?:{_RESERVED})\b)[A-Za-z_]\w*"
_SIGN_TOKEN = r"\*\*|//|<=|>=|==|!=|[-+*/%()<>,]"
_TOKEN_OR_BLANK = re.compile(rf"[ \t]+|{_NUMBER_TOKEN}|{_WORD_TOKEN}|{_SIGN_TOKEN}", re.ASCII)
_TOKEN = re.compile(rf"(?P<name_or_number>{_NUMBER_TOKEN}|{_WORD_TOKEN})|{_SIGN_TOKEN}", re.ASCII)
_MISREAD = re.compile(r"(?P<number>\.?\d[\w.]*)|(?P<word>[A-Za-z_]\w*)", re.ASCII)
_HINTS = {
    "=": 'values are compared with "==", and arguments have no names',
    "!": 'write "not", or "!=" to compare',
    "&": 'write "and"',
    "|": 'write "or"',
    "^": 'write "**" for a power',
}


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What estimates and conditions share."""

    text: str
    variables: frozenset[str]

    def _read(self, variables: Mapping[str, float]) -> dict[str, float]:
        """Pick the variables that are used, as floats."""
        missing = self.variables - variables.keys()
        if missing:
            names = ", ".join(f'"{name}"' for name in sorted(missing))
            raise ExpressionError(f"missing variable{'s' * (len(missing) > 1)} {names}")
        # Sorted, so that of two bad values the same one is named each time.
        return {name: _real(name, variables[name]) for name in sorted(self.variables)}


@dataclass(frozen=True, slots=True)
class Expression(_Compiled):
    """A checked estimate; `text` is as it was written."""

    _code: _Number = field(repr=False, compare=False)

    def evaluate(self, variables: Mapping[str, float]) -> float:
        """Compute the number; variables that the text does not use are ignored.

        Raises:
            ExpressionError: a variable is missing or not a finite number, or a part has no finite real value.
        """
        return self._code(self._read(variables))


@dataclass(frozen=True, slots=True)
class Condition(_Compiled):
    """A checked condition; `text` is as it was written."""

    _code: _Truth = field(repr=False, compare=False)

    def evaluate(self, variables: Mapping[str, float]) -> bool:
        """Tell whether the condition holds; `and`, `or` and chains stop early, as in Python.

        Every variable of the text is needed all the same, so that a missing one shows at once.

        Raises:
            ExpressionError: a variable is missing or not a finite number, or a part has no finite real value.
        """
        return self._code(self._read(variables))


# Stored estimates are evaluated again and again, and an evaluation takes a sixth of a compilation's time.
# Bounded, as clients send texts too: 2 kB each as a rule, 100 kB at the worst.
@lru_cache(maxsize=512)
def compile_expression(text: str) -> Expression:
    """Check an estimate and prepare its evaluation.

    Raises:
        ExpressionError: for everything that is wrong whatever the variables are, such as `1 / 0`.
    """
    builder = _Builder(text)
    code = _code(builder.number(builder.root, 0))
    return Expression(text, frozenset(builder.variables), code)


@lru_cache(maxsize=512)
def compile_condition(text: str) -> Condition:
    """Check a condition and prepare its evaluation.

    Raises:
        ExpressionError: as for `compile_expression`; also where the text yields a number.
    """
    builder = _Builder(text)
    code = builder.truth(builder.root, 0)
    return Condition(text, frozenset(builder.variables), code)


def _real(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ExpressionError(f'variable "{name}" must be a number, not {type(value).__name__}')
    try:
        number = float(value)
    except OverflowError:
        raise ExpressionError(f'variable "{name}" is beyond 1e308') from None
    if not math.isfinite(number):
        raise ExpressionError(f'variable "{name}" must be a finite number, not {number}')
    return number


# -- Reading: from a text to a syntax tree


def _check_length(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"too long: {len(text)} characters, and at most {MAX_LENGTH} are allowed")
    if not text.strip(" \t"):
        raise ExpressionError(f"empty text: {_ALLOWED}")


def _check_tokens(text: str) -> None:
    end = 0
    while found := _TOKEN_OR_BLANK.match(text, end):
        end = found.end()
    if end < len(text):
        raise _foreign(text, end)


def _foreign(text: str, at: int) -> ExpressionError:
    """Say what is wrong with the first token that is not of the language."""
    char, column = text[at], at + 1
    where = f"in column {column}"
    misread = _MISREAD.match(text, at)
    if misread and misread["number"]:
        reason = f"{_Place(misread[0], column)} {where} is not a number: write it as 1000, 0.02 or 1e6"
    elif misread:
        reason = f'"{misread[0]}" {where} is a reserved word and cannot name a variable'
    elif char in "\r\n":
        reason = f'line break {where}: write all on one line (in YAML, ">-" joins lines)'
    elif not char.isascii():
        reason = f"{_shown(char)} {where} is not allowed: only ASCII characters are, in names too"
    else:
        reason = f"{_shown(char)} {where} is not allowed: {_HINTS.get(char, _ALLOWED)}"
    return ExpressionError(reason, column)


def _shown(char: str) -> str:
    if not char.isprintable():
        return f"character U+{ord(char):04X}"
    return "'\"'" if char == '"' else f'"{char}"'


def _check_parentheses(text: str) -> None:
    """Bound the nesting that leaves no trace in the tree."""
    depth = 0
    for column, char in enumerate(text, 1):
        depth += (char == "(") - (char == ")")
        if depth > _MAX_DEPTH:
            raise ExpressionError(_TOO_DEEP, column)


def _parse(text: str) -> ast.expr:
    try:
        # Python takes leading blanks for an indent.
        return ast.parse(text.lstrip(" \t"), mode="eval").body
    except SyntaxError:
        # Python's own words are about the whole of Python ("Maybe you meant '==' or ':='?").
        raise _misplaced(text) from None
    except (RecursionError, MemoryError):
        raise ExpressionError(_TOO_DEEP) from None


def _misplaced(text: str) -> ExpressionError:
    """Say where tokens that are each allowed do not follow one another."""
    wants_value, previous, opened = True, "", [0]
    for match in _TOKEN.finditer(text):
        token, column = match[0], match.start() + 1
        starts_value = bool(match["name_or_number"]) and token not in ("and", "or")
        missing = _missing_before(
            token, starts_value=starts_value, wants_value=wants_value, previous=previous
        )
        if missing:
            return ExpressionError(f'{missing} is missing before "{token}" in column {column}', column)
        if token == "(":
            opened.append(column)
        elif token == ")" and opened.pop() == 0:
            return ExpressionError(f'")" in column {column} closes no "("', column)
        wants_value = token == "not" or not (starts_value or token == ")")
        previous = token
    if opened[-1] and not wants_value:
        return ExpressionError(f'"(" in column {opened[-1]} is never closed', opened[-1])
    return ExpressionError(f'a value is missing at the end, after "{previous}"', len(text) + 1)


def _missing_before(token: str, *, starts_value: bool, wants_value: bool, previous: str) -> str:
    """Name what must come between two tokens; empty if nothing must."""
    if starts_value and not wants_value:
        return "an operator"
    # `not` binds weaker than arithmetic and comparisons: "1 + not N" is no Python.
    stray_not = token == "not" and previous not in ("", "(", ",", "and", "or", "not")
    stands_alone = starts_value or token in "+-(" or (previous, token) == ("(", ")")
    return "a value" if stray_not or (wants_value and not stands_alone) else ""


# -- Building: from a syntax tree to closures


def _code(operand: _Operand) -> _Number:
    """Make a closure of a constant; closures stay as they are."""
    return (lambda values: operand) if isinstance(operand, float) else operand


def _apply(run: Callable[..., float], place: _Place, *arguments: float) -> float:
    """Compute one operation, with an error that names its place in the text."""
    try:
        result = run(*arguments)
    except ZeroDivisionError:
        raise ExpressionError(f"division by zero in {place}", place.column) from None
    except OverflowError:
        result = math.inf
    except ValueError:
        raise ExpressionError(f"no real number is the result of {place}", place.column) from None
    # Not only the end result: min(1e308 * N, 5) would hide that a part of it has no value.
    if not math.isfinite(result):
        raise ExpressionError(f"too large: {place} is beyond 1e308", place.column)
    return result


def _whole_digits(digits: float, place: _Place) -> float:
    if not (digits.is_integer() and abs(digits) <= _MAX_DIGITS):
        bounds = f"a whole number from -{_MAX_DIGITS} to {_MAX_DIGITS}"
        raise ExpressionError(f"the digits of round must be {bounds}, not {digits:g}", place.column)
    return digits


class _Builder:
    """Turns one text into closures; constant parts are computed at once and stay plain floats."""

    def __init__(self, text: str) -> None:
        _check_length(text)
        _check_tokens(text)
        if text.count("(") > _MAX_DEPTH:
            _check_parentheses(text)
        self.root = _parse(text)
        self.variables: set[str] = set()
        self._text = text
        self._shift = len(text) - len(text.lstrip(" \t"))

    def number(self, node: ast.expr, depth: int) -> _Operand:
        """Build what yields a number."""
        self._check_depth(node, depth)
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return _apply(float, self._place(node), value)
            case ast.Name() if node.id.lower() not in _TRUTH_WORDS:
                return self._variable(node)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                operands = [self.number(node.left, depth + 1), self.number(node.right, depth + 1)]
                return self._join(node, _ARITHMETIC[type(node.op)], operands)
            case ast.UnaryOp() if type(node.op) in _SIGNS:
                return self._join(node, _SIGNS[type(node.op)], [self.number(node.operand, depth + 1)])
            case ast.Call():
                return self._call(node, depth)
        raise self._not_a_number(node)

    def truth(self, node: ast.expr, depth: int) -> _Truth:
        """Build what yields true or false."""
        self._check_depth(node, depth)
        match node:
            case ast.BoolOp():
                combine = all if isinstance(node.op, ast.And) else any
                parts = [self.truth(value, depth + 1) for value in node.values]
                return lambda values: combine(part(values) for part in parts)
            case ast.UnaryOp(op=ast.Not()):
                part = self.truth(node.operand, depth + 1)
                return lambda values: not part(values)
            case ast.Compare() if all(type(op) in _COMPARISONS for op in node.ops):
                return self._comparison(node, depth)
        return self._truth_word(node, depth)

    def _comparison(self, node: ast.Compare, depth: int) -> _Truth:
        first, *others = (_code(self.number(each, depth + 1)) for each in (node.left, *node.comparators))
        links = [(_COMPARISONS[type(op)], other) for op, other in zip(node.ops, others, strict=True)]

        def holds(values: _Values) -> bool:
            left = first(values)
            for compare, other in links:
                right = other(values)
                if not compare(left, right):
                    return False
                left = right
            return True

        return holds

    def _truth_word(self, node: ast.expr, depth: int) -> _Truth:
        place = self._place(node)
        if place.text.lower() in _TRUTH_WORDS:
            word = _TRUTH_WORDS[place.text.lower()]
            return lambda values: word
        # What is wrong in it comes before that it is no condition.
        self.number(node, depth)
        raise self._error(node, f"{place} is a number, not a condition: compare it with < <= > >= == or !=")

    def _variable(self, node: ast.Name) -> _Number:
        if node.id in _FUNCTIONS:
            raise self._error(node, f'"{node.id}" is a function and no variable: write "{node.id}(...)"')
        self.variables.add(node.id)
        return operator.itemgetter(node.id)

    def _call(self, node: ast.Call, depth: int) -> _Operand:
        function = self._function(node)
        operands = [self.number(argument, depth + 1) for argument in node.args]
        if function.run is _round and len(operands) == 2:
            operands[1] = self._digits(node.args[1], operands[1])
        return self._join(node, function.run, operands)

    def _function(self, node: ast.Call) -> _Function:
        """Find the function that is called and check the number of its arguments."""
        if not isinstance(node.func, ast.Name):
            raise self._error(node, f'{self._place(node.func)} is not a function: write "*" to multiply')
        name, count = node.func.id, len(node.args)
        function = _FUNCTIONS.get(name)
        if function is None:
            raise self._error(node, _unknown_function(self._place(node.func)))
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            reason = f'{self._place(node)} is not allowed: "*" and "**" stand between two values'
            raise self._error(node, reason)
        if count < function.least or (function.most is not None and count > function.most):
            raise self._error(node, f'"{name}" takes {function.arity()}, not {count}')
        return function

    def _digits(self, node: ast.expr, operand: _Operand) -> _Operand:
        place = self._place(node)
        if isinstance(operand, float):
            return _whole_digits(operand, place)
        return lambda values: _whole_digits(operand(values), place)

    def _join(self, node: ast.expr, run: Callable[..., float], operands: list[_Operand]) -> _Operand:
        """Apply an operation: at once if all operands are constant."""
        place = self._place(node)
        constants = [operand for operand in operands if isinstance(operand, float)]
        if len(constants) == len(operands):
            return _apply(run, place, *constants)
        codes = [_code(operand) for operand in operands]
        return lambda values: _apply(run, place, *[code(values) for code in codes])

    def _not_a_number(self, node: ast.expr) -> ExpressionError:
        place = self._place(node)
        if isinstance(node, (ast.Compare, ast.BoolOp, ast.UnaryOp)) or place.text.lower() in _TRUTH_WORDS:
            return self._error(node, f"a number is needed, but {place} is true or false")
        if isinstance(node, ast.Tuple):
            hint = "parentheses hold one value, and a comma stands only between the arguments of a function"
            return self._error(node, f"{place} is not a number: {hint}")
        return self._error(node, f"{place} is not allowed: {_ALLOWED}")

    def _check_depth(self, node: ast.expr, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise self._error(node, _TOO_DEEP)

    def _place(self, node: ast.expr) -> _Place:
        start, end = node.col_offset + self._shift, (node.end_col_offset or 0) + self._shift
        return _Place(self._text[start:end], start + 1)

    def _error(self, node: ast.expr, message: str) -> ExpressionError:
        return ExpressionError(message, self._place(node).column)


def _unknown_function(place: _Place) -> str:
    near = difflib.get_close_matches(place.text.lower(), _FUNCTIONS, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f"unknown function {place}: known are {_NAMES}{hint}"
