"""What the expression language accepts, refuses and computes."""

from __future__ import annotations

import ast
import math
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from toolcatalog.core.expressions import (
    MAX_LENGTH,
    Condition,
    Expression,
    ExpressionError,
    compile_condition,
    compile_expression,
)

COMPILERS = (compile_expression, compile_condition)
FUNCTIONS = "abs, ceil, floor, log, log10, log2, max, min, round, sqrt"
ALLOWED = (
    f"allowed are numbers, variables, + - * / // % **, parentheses and the functions {FUNCTIONS}"
    "; in conditions also < <= > >= == !=, and, or, not, true, false"
)
ONE_VALUE = "parentheses hold one value, and a comma stands only between the arguments of a function"
TOO_DEEP = "too deep: at most 50 operations or parentheses may enclose or follow one another"


def value_of(text: str, **variables: Any) -> float:
    return compile_expression(text).evaluate(variables)


def holds(text: str, **variables: Any) -> bool:
    return compile_condition(text).evaluate(variables)


def refusal(act: Callable[[], object]) -> tuple[str, int | None]:
    """Return the message and the column of the error that `act` raises."""
    with pytest.raises(ExpressionError) as caught:
        act()
    return str(caught.value), caught.value.column


def refused_estimate(text: str) -> tuple[str, int | None]:
    return refusal(lambda: compile_expression(text))


def refused_condition(text: str) -> tuple[str, int | None]:
    return refusal(lambda: compile_condition(text))


# -- What is computed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50 + 0.02 * file_count", 52.0),
        ("1000 * file_count * log2(N)", 300000.0),
        ("7", 7.0),
        ("  2 *\t3  ", 6.0),
        ("2 ** 3 ** 2", 512.0),
        ("-2 ** 2", -4.0),
        ("(1 + 2) * 3 - 4 / 8", 8.5),
        ("-7 // 2 + -7 % 3", -2.0),
        ("+N - -N", 16.0),
        (".5 + 1. + 1e3 + 2.5E-1", 1001.75),
        ("00.5 + 0 + 00e1", 0.5),
        ("log(N, 2) + log10(1000) + log(1)", 6.0),
        ("sqrt(N + 1) + abs(-3)", 6.0),
        ("min(3, N, 1) + max(N, 2,)", 9.0),
        ("ceil(N / 3) + floor(N / 3)", 5.0),
        ("round(2.5) + round(N / 3, 2) + round(1234, -2)", 1204.67),
        ("True_ + _ + match", 24.0),
    ],
)
def test_an_estimate_is_computed_as_python_computes_it(text: str, expected: float) -> None:
    variables = {"N": 8, "file_count": 100, "True_": 8, "_": 8.0, "match": 8, "unused": "ignored"}
    result = value_of(text, **variables)
    assert result == pytest.approx(expected, rel=1e-15)
    assert type(result) is float


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("N > 1000 and file_size_kb >= 10", False),
        ("N > 1000 or file_size_kb >= 10", True),
        ("not N > 1000", True),
        ("1 < N <= 8 < file_size_kb", True),
        ("1 < N < 8", False),
        ("N == 8 and N != 9 and N < 9", True),
        ("true", True),
        ("FALSE or (True)", True),
        ("not true or N < 0", False),
        ("(N > 1) and not (N > 2 and False)", True),
    ],
)
def test_a_condition_yields_true_or_false(text: str, expected: bool) -> None:
    assert holds(text, N=8, file_size_kb=10) is expected


def test_a_condition_stops_early_so_that_a_guard_protects_what_follows() -> None:
    assert holds("N != 0 and 10 / N > 2", N=0) is False
    assert holds("N == 0 or 10 / N > 2", N=0) is True
    assert holds("1 < N < 10 / (N - 1)", N=1) is False


def test_a_compiled_text_tells_its_text_and_variables() -> None:
    estimate, condition = compile_expression(" a + b * a + 0 * log(c)"), compile_condition("a > b")
    assert (estimate.text, estimate.variables) == (" a + b * a + 0 * log(c)", frozenset("abc"))
    assert (condition.text, condition.variables) == ("a > b", frozenset("ab"))


@pytest.mark.parametrize("compiled", [compile_expression("a"), compile_condition("a > 1")])
def test_a_compiled_text_is_frozen(compiled: Expression | Condition) -> None:
    with pytest.raises(AttributeError):
        compiled.text = "b"


def test_equal_texts_give_equal_estimates_and_need_no_second_compilation() -> None:
    first = compile_expression("a + 12345")
    assert compile_expression("a + 12345") is first
    assert compile_expression.__wrapped__("a + 12345") == first


def test_any_mapping_holds_variables() -> None:
    class Doubling(Mapping[str, float]):
        def __getitem__(self, name: str) -> float:
            return {"a": 2.0}[name]

        def __iter__(self) -> Iterator[str]:
            return iter(["a"])

        def __len__(self) -> int:
            return 1

    assert compile_expression("a * 2").evaluate(Doubling()) == 4.0
    assert compile_expression("a * 2").evaluate(MappingProxyType({"a": 3})) == 6.0


def test_a_text_of_the_greatest_length_is_accepted() -> None:
    assert MAX_LENGTH == 500
    assert value_of("1".ljust(500)) == 1.0


def test_fifty_levels_are_accepted() -> None:
    assert value_of("(" * 50 + "1" + ")" * 50) == 1.0
    assert value_of("-" * 50 + "N", N=1) == 1.0
    assert value_of("+".join(["N"] * 51), N=1) == 51.0
    assert holds("not " * 50 + "true") is True


def test_many_parentheses_side_by_side_are_not_deep() -> None:
    assert value_of(f"max({', '.join(['(N)'] * 60)})", N=2) == 2.0


# -- What is refused when written


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("1 / (2 - 2)", 'division by zero in "1 / (2 - 2)"', 1),
        ("N + 1 // 0", 'division by zero in "1 // 0"', 5),
        ("  1 % 0", 'division by zero in "1 % 0"', 3),
        ("0 ** -1", 'division by zero in "0 ** -1"', 1),
        ("9 ** 9 ** 9", 'too large: "9 ** 9 ** 9" is beyond 1e308', 1),
        ("1e999", 'too large: "1e999" is beyond 1e308', 1),
        ("min(5, 1e308 * 10)", 'too large: "1e308 * 10" is beyond 1e308', 8),
        ("1" * 400, f'too large: "{"1" * 59}…" is beyond 1e308', 1),
        ("1e308 // 1e-308", 'too large: "1e308 // 1e-308" is beyond 1e308', 1),
        ("log(0) * N", 'no real number is the result of "log(0)"', 1),
        ("sqrt(-1)", 'no real number is the result of "sqrt(-1)"', 1),
        ("(-8) ** 0.5", 'no real number is the result of "(-8) ** 0.5"', 1),
    ],
)
def test_a_constant_part_without_a_result_is_refused_when_written(
    compiler: Callable[[str], object], text: str, message: str, column: int
) -> None:
    assert refusal(lambda: compiler(text)) == (message, column)


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", f"empty text: {ALLOWED}", None),
        (" \t ", f"empty text: {ALLOWED}", None),
        ("N" * 501, "too long: 501 characters, and at most 500 are allowed", None),
        ("0x1F", '"0x1F" in column 1 is not a number: write it as 1000, 0.02 or 1e6', 1),
        ("N + 1_000", '"1_000" in column 5 is not a number: write it as 1000, 0.02 or 1e6', 5),
        ("1j", '"1j" in column 1 is not a number: write it as 1000, 0.02 or 1e6', 1),
        ("007", '"007" in column 1 is not a number: write it as 1000, 0.02 or 1e6', 1),
        ("1.2.3", '"1.2.3" in column 1 is not a number: write it as 1000, 0.02 or 1e6', 1),
        ("1and 2", '"1and" in column 1 is not a number: write it as 1000, 0.02 or 1e6', 1),
        ("0,02 * N", '"02" in column 3 is not a number: write it as 1000, 0.02 or 1e6', 3),
        ("0x" + "1" * 90, f'"0x{"1" * 57}…" in column 1 is not a number: write it as 1000, 0.02 or 1e6', 1),
        ("N + class", '"class" in column 5 is a reserved word and cannot name a variable', 5),
        ("lambda: 1", '"lambda" in column 1 is a reserved word and cannot name a variable', 1),
        ("(N for N in M)", '"for" in column 4 is a reserved word and cannot name a variable', 4),
        ("1 if N else 2", '"if" in column 3 is a reserved word and cannot name a variable', 3),
        ("None", '"None" in column 1 is a reserved word and cannot name a variable', 1),
        ("N\n+ 1", 'line break in column 2: write all on one line (in YAML, ">-" joins lines)', 2),
        ("N\r", 'line break in column 2: write all on one line (in YAML, ">-" joins lines)', 2),
        ("größe", '"ö" in column 3 is not allowed: only ASCII characters are, in names too', 3),
        ("\u2115 + 1", '"\u2115" in column 1 is not allowed: only ASCII characters are, in names too', 1),
        ("\uff12", '"\uff12" in column 1 is not allowed: only ASCII characters are, in names too', 1),
        (
            "N\u202e",
            "character U+202E in column 2 is not allowed: only ASCII characters are, in names too",
            2,
        ),
        ("\ud800", "character U+D800 in column 1 is not allowed: only ASCII characters are, in names too", 1),
        ("N\0", f"character U+0000 in column 2 is not allowed: {ALLOWED}", 2),
        ("N # pages", f'"#" in column 3 is not allowed: {ALLOWED}', 3),
        ("'a'", f'"\'" in column 1 is not allowed: {ALLOWED}', 1),
        ('f"{N}"', f"'\"' in column 2 is not allowed: {ALLOWED}", 2),
        ("__import__('os')", f'"\'" in column 12 is not allowed: {ALLOWED}', 12),
        ("N.real", f'"." in column 2 is not allowed: {ALLOWED}', 2),
        ("N[0]", f'"[" in column 2 is not allowed: {ALLOWED}', 2),
        ("N := 1", f'":" in column 3 is not allowed: {ALLOWED}', 3),
        ("~N", f'"~" in column 1 is not allowed: {ALLOWED}', 1),
        ("N \\", f'"\\" in column 3 is not allowed: {ALLOWED}', 3),
        (
            "max(N, default=1)",
            '"=" in column 15 is not allowed: values are compared with "==", and arguments have no names',
            15,
        ),
        ("!N", '"!" in column 1 is not allowed: write "not", or "!=" to compare', 1),
        ("N && M", '"&" in column 3 is not allowed: write "and"', 3),
        ("N || M", '"|" in column 3 is not allowed: write "or"', 3),
        ("N ^ 2", '"^" in column 3 is not allowed: write "**" for a power', 3),
    ],
)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_what_is_not_of_the_language_is_refused(
    compiler: Callable[[str], object], text: str, message: str, column: int | None
) -> None:
    assert refusal(lambda: compiler(text)) == (message, column)


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("N M", 'an operator is missing before "M" in column 3', 3),
        (" max(N M)", 'an operator is missing before "M" in column 8', 8),
        ("N not M", 'an operator is missing before "not" in column 3', 3),
        ("1 +", 'a value is missing at the end, after "+"', 4),
        ("max(", 'a value is missing at the end, after "("', 5),
        ("N > 1 and", 'a value is missing at the end, after "and"', 10),
        ("* 2", 'a value is missing before "*" in column 1', 1),
        ("(N +) * 2", 'a value is missing before ")" in column 5', 5),
        ("max(1,, 2)", 'a value is missing before "," in column 7', 7),
        ("1 + not N", 'a value is missing before "not" in column 5', 5),
        ("N <> 1", 'a value is missing before ">" in column 4', 4),
        ("N -> 1", 'a value is missing before ">" in column 4', 4),
        ("max(N, **M, *K)", 'a value is missing before "**" in column 8', 8),
        ("min() + (N", '"(" in column 9 is never closed', 9),
        ("(N > 1) and N > 2)", '")" in column 18 closes no "("', 18),
    ],
)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_misplaced_tokens_are_refused_with_what_is_missing(
    compiler: Callable[[str], object], text: str, message: str, column: int
) -> None:
    assert refusal(lambda: compiler(text)) == (message, column)


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("1 + lg(2)", f'unknown function "lg": known are {FUNCTIONS}; did you mean "log"?', 5),
        ("SQRT(2)", f'unknown function "SQRT": known are {FUNCTIONS}; did you mean "sqrt"?', 1),
        ("xyz(1)", f'unknown function "xyz": known are {FUNCTIONS}', 1),
        ("__import__(1)", f'unknown function "__import__": known are {FUNCTIONS}', 1),
        ("2 (3)", '"2" is not a function: write "*" to multiply', 1),
        ("abs(N)(N)", '"abs(N)" is not a function: write "*" to multiply', 1),
        ("N + log", '"log" is a function and no variable: write "log(...)"', 5),
        ("sqrt()", '"sqrt" takes 1 argument, not 0', 1),
        ("log(1, 2, 3)", '"log" takes 1 or 2 arguments, not 3', 1),
        ("min(N)", '"min" takes at least 2 arguments, not 1', 1),
        ("max(1, *N)", '"max(1, *N)" is not allowed: "*" and "**" stand between two values', 1),
        ("max(**N)", '"max(**N)" is not allowed: "*" and "**" stand between two values', 1),
        ("round(N, 16)", "the digits of round must be a whole number from -15 to 15, not 16", 10),
        ("round(N, 0 - 16)", "the digits of round must be a whole number from -15 to 15, not -16", 10),
        ("round(N, 1.5)", "the digits of round must be a whole number from -15 to 15, not 1.5", 10),
        ("1 << 2", f'"1 << 2" is not allowed: {ALLOWED}', 1),
        (
            "()",
            f'"()" is not a number: {ONE_VALUE}',
            1,
        ),
        (
            "1 + (1, N)",
            f'"(1, N)" is not a number: {ONE_VALUE}',
            5,
        ),
        ("1 + (N > 2)", 'a number is needed, but "N > 2" is true or false', 6),
        ("abs(not N)", 'a number is needed, but "not N" is true or false', 5),
        ("abs(N and 1)", 'a number is needed, but "N and 1" is true or false', 5),
        ("1 + True", 'a number is needed, but "True" is true or false', 5),
        ("1 + false", 'a number is needed, but "false" is true or false', 5),
    ],
)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_what_cannot_stand_for_a_number_is_refused(
    compiler: Callable[[str], object], text: str, message: str, column: int
) -> None:
    assert refusal(lambda: compiler(text)) == (message, column)


@pytest.mark.parametrize("text", ["N > 1", "N > 1 and M > 2", "not N", "true", "FALSE"])
def test_a_condition_is_no_estimate(text: str) -> None:
    assert refused_estimate(text) == (f'a number is needed, but "{text}" is true or false', 1)


@pytest.mark.parametrize(
    ("text", "part", "column"),
    [("N + 1", "N + 1", 1), ("N > 1 and M", "M", 11), ("not 1", "1", 5), ("true or abs(N)", "abs(N)", 9)],
)
def test_an_estimate_is_no_condition(text: str, part: str, column: int) -> None:
    message = f'"{part}" is a number, not a condition: compare it with < <= > >= == or !='
    assert refused_condition(text) == (message, column)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("(" * 250, 51),
        ("(" * 51 + "1" + ")" * 51, 51),
        ("-" * 250 + "N", 52),
        ("-" * 499 + "N", 52),
        ("2**" * 160 + "2", 151),
        ("+".join(["N"] * 52), 1),
        ("sqrt(" * 80 + "N" + ")" * 80, 255),
        ("max(1," * 51 + "1" + ")" * 51, 304),
    ],
)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_deep_nesting_is_refused(compiler: Callable[[str], object], text: str, column: int) -> None:
    assert refusal(lambda: compiler(text)) == (TOO_DEEP, column)


def test_deep_negation_is_refused() -> None:
    assert refused_condition("not " * 120 + "true") == (TOO_DEEP, 205)


@pytest.mark.parametrize("failure", [RecursionError, MemoryError])
def test_a_text_that_exhausts_the_parser_is_refused(
    failure: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_arguments: object, **_options: object) -> None:
        raise failure

    monkeypatch.setattr(ast, "parse", exhausted)
    assert refused_estimate("N + 54321") == (TOO_DEEP, None)


# -- What is refused at evaluation


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("1 + 10 / N", 'division by zero in "10 / N"', 5),
        ("1 % N", 'division by zero in "1 % N"', 1),
        ("N ** -1", 'division by zero in "N ** -1"', 1),
        ("log(8, N + 1)", 'division by zero in "log(8, N + 1)"', 1),
        ("log2(N)", 'no real number is the result of "log2(N)"', 1),
        ("sqrt(N - 1)", 'no real number is the result of "sqrt(N - 1)"', 1),
        ("(N - 8) ** 0.5", 'no real number is the result of "(N - 8) ** 0.5"', 1),
        ("9 ** (N + 999)", 'too large: "9 ** (N + 999)" is beyond 1e308', 1),
        ("min(1, 1e308 * (N + 10))", 'too large: "1e308 * (N + 10)" is beyond 1e308', 8),
        ("1 / ((N + 1e308) * 10)", 'too large: "(N + 1e308) * 10" is beyond 1e308', 6),
        ("round(2, N + 16)", "the digits of round must be a whole number from -15 to 15, not 16", 10),
    ],
)
def test_a_part_without_a_result_is_refused_at_evaluation(text: str, message: str, column: int) -> None:
    assert refusal(lambda: value_of(text, N=0)) == (message, column)
    assert refusal(lambda: holds(f"{text} > 0", N=0)) == (message, column)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (True, "must be a number, not bool"),
        ("12", "must be a number, not str"),
        (None, "must be a number, not NoneType"),
        ([1], "must be a number, not list"),
        (1j, "must be a number, not complex"),
        (math.inf, "must be a finite number, not inf"),
        (-math.inf, "must be a finite number, not -inf"),
        (math.nan, "must be a finite number, not nan"),
        (10**400, "is beyond 1e308"),
    ],
)
def test_a_variable_that_is_no_finite_number_is_refused_by_name(value: Any, problem: str) -> None:
    assert refusal(lambda: value_of("1 + pages", pages=value)) == (f'variable "pages" {problem}', None)
    assert refusal(lambda: holds("true or pages > 1", pages=value)) == (f'variable "pages" {problem}', None)


def test_of_several_bad_variables_the_first_in_the_alphabet_is_named() -> None:
    message = 'variable "a" must be a number, not str'
    assert refusal(lambda: value_of("f + e + d + c + b + a", **dict.fromkeys("fedcba", "x"))) == (
        message,
        None,
    )


def test_missing_variables_are_all_named() -> None:
    assert refusal(lambda: value_of("pages + N", N=1)) == ('missing variable "pages"', None)
    message = 'missing variables "N", "b", "c", "d", "pages"'
    assert refusal(lambda: holds("true or pages + d > c + N + b")) == (message, None)


# -- Properties

NAMESPACE = {
    "N": 3.0,
    "pages": 0.25,
    "abs": abs,
    "ceil": lambda value: float(math.ceil(value)),
    "floor": lambda value: float(math.floor(value)),
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": lambda value, digits=0: float(round(value, int(digits))),
    "sqrt": math.sqrt,
}
VARIABLES = {"N": 3.0, "pages": 0.25}


def python_value(text: str) -> float | None:
    """Compute a generated text with Python itself; none where that gives no finite real number."""
    try:
        result = eval(text, dict(NAMESPACE))
    except (ArithmeticError, ValueError):
        return None
    return result if isinstance(result, float) and math.isfinite(result) else None


def computed(text: str, *parts: tuple[str, float | None]) -> tuple[str, float | None]:
    """Pair a text with its value, which depends on a value for every part of it."""
    return text, None if any(value is None for _, value in parts) else python_value(text)


LEAVES = st.one_of(
    st.sampled_from(["N", "pages", "0.0", "1.0", "2.0"]),
    st.integers(0, 10**6).map(lambda number: f"{number}.0"),
    st.floats(min_value=0, allow_nan=False, allow_infinity=False).map(repr),
).map(lambda text: (text, python_value(text)))
TREES = st.recursive(
    LEAVES,
    lambda tree: st.one_of(
        st.builds(
            lambda left, sign, right: computed(f"({left[0]}) {sign} ({right[0]})", left, right),
            tree,
            st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]),
            tree,
        ),
        st.builds(lambda sign, part: computed(f"{sign}({part[0]})", part), st.sampled_from("+-"), tree),
        st.builds(
            lambda name, part: computed(f"{name}({part[0]})", part),
            st.sampled_from(["abs", "ceil", "floor", "log", "log10", "log2", "round", "sqrt"]),
            tree,
        ),
        st.builds(
            lambda name, one, two: computed(f"{name}({one[0]}, {two[0]})", one, two),
            st.sampled_from(["log", "max", "min"]),
            tree,
            tree,
        ),
        st.builds(
            lambda part, digits: computed(f"round({part[0]}, {digits})", part), tree, st.integers(-15, 15)
        ),
    ),
    max_leaves=8,
).filter(lambda tree: len(tree[0]) <= MAX_LENGTH)


@settings(deadline=None, max_examples=300)
@given(TREES)
def test_evaluation_agrees_with_python_on_generated_trees(tree: tuple[str, float | None]) -> None:
    text, expected = tree
    if expected is None:
        refusal(lambda: value_of(text, **VARIABLES))
    else:
        assert value_of(text, **VARIABLES) == expected


# At most five operands: Python would let an infinite intermediate result pass, and five cannot give one.
OPERANDS = st.builds(
    "{}{}".format, st.sampled_from(["", "-", "+", "--"]), st.sampled_from(["1.0", "2.0", "N", "9.0"])
)
SIGNS = st.sampled_from([" + ", " - ", "*", "/", " // ", "%", "**"])


@settings(deadline=None, max_examples=300)
@given(OPERANDS, st.lists(st.tuples(SIGNS, OPERANDS), max_size=4))
def test_precedence_agrees_with_python(first: str, rest: list[tuple[str, str]]) -> None:
    text = first + "".join(sign + operand for sign, operand in rest)
    expected = python_value(text)
    if expected is None:
        refusal(lambda: value_of(text, **VARIABLES))
    else:
        assert value_of(text, **VARIABLES) == expected


COMPARED = st.lists(st.sampled_from(["N", "pages", "3.0", "0.5 * 6"]), min_size=2, max_size=4).flatmap(
    lambda operands: st.lists(
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        min_size=len(operands) - 1,
        max_size=len(operands) - 1,
    ).map(lambda signs: " ".join(part for pair in zip(operands, [*signs, ""], strict=True) for part in pair))
)
CONDITIONS = st.recursive(
    COMPARED | st.sampled_from(["True", "False"]),
    lambda part: st.one_of(
        st.builds("({} and {})".format, part, part),
        st.builds("{} or {}".format, part, part),
        st.builds("not {}".format, part),
    ).map(lambda text: f"({text})"),
    max_leaves=8,
).filter(lambda text: len(text) <= MAX_LENGTH)


@settings(deadline=None, max_examples=200)
@given(CONDITIONS)
def test_conditions_agree_with_python(text: str) -> None:
    assert holds(text, **VARIABLES) is eval(text, dict(NAMESPACE))


def settle(text: str) -> None:
    """Compile and evaluate a text both ways, where any error but ExpressionError is a failure."""
    for compiler, result in ((compile_expression.__wrapped__, float), (compile_condition.__wrapped__, bool)):
        message, column = "", None
        try:
            compiled = compiler(text)
            assert type(compiled.evaluate(dict.fromkeys(compiled.variables, 2.5))) is result
        except ExpressionError as error:
            message, column = str(error), error.column
        assert len(message) < 700
        assert "\n" not in message
        assert column is None or 1 <= column <= len(text) + 1


@settings(deadline=None, max_examples=300)
@given(st.text())
@example("1if 2else 3")
@example("\\N{BULLET}")
@example("f'{")
@example("\x0c1")
@example("\ufeff1")
def test_any_text_compiles_or_is_refused(text: str) -> None:
    settle(text)


WORDS = (
    "N pages x1 log round max min sqrt foo and or not true False None if else for in is lambda yield await é"
)
NUMBERS = "1 0 2.5 1e300 .5 007 0x1 1_0 5j"
MARKS = "+ - * / // % ** ( ) , < <= > >= == != = ! : . [ ] { } ' \" # \\ @ ~ & | ^ := ->"
TOKENS = [*WORDS.split(), *NUMBERS.split(), *MARKS.split(), "\n", "\t", "\0"]


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(TOKENS), max_size=40), st.sampled_from(["", " "]))
def test_any_sequence_of_tokens_compiles_or_is_refused(tokens: list[str], between: str) -> None:
    settle(between.join(tokens))


LANGUAGE = "1 2.5 N log round max ( ( ) ) , + - * / // % ** < >= == and or not true"


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(LANGUAGE.split()), min_size=1, max_size=25).map(" ".join))
def test_any_sequence_of_the_languages_own_tokens_compiles_or_is_refused(text: str) -> None:
    settle(text)


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(["(", "-", "not ", "2**", "max(1,", "abs(", "(1+", "N<(", "N+", "log(-"]),
    st.integers(1, 250),
    st.sampled_from(["N", "", "N N", ")", "N > 1", "\0"]),
)
def test_any_depth_compiles_or_is_refused(opening: str, times: int, middle: str) -> None:
    settle(opening * times + middle)
    settle(opening * times + middle + ")" * times * opening.count("("))


# -- Bounds


def seconds(act: Callable[[], object]) -> float:
    """Return the shortest of five times: other processes only ever lengthen one."""

    def once() -> float:
        start = time.perf_counter()
        act()
        return time.perf_counter() - start

    return min(once() for _ in range(5))


@pytest.mark.parametrize(
    "text",
    [
        f"max({','.join(['N'] * 247)})",
        f"max({','.join(['N**N'] * 98)})",
        f"max({','.join(['9**N'] * 98)})",
        f"round({'7' * 300} % N, 15)",
        "**".join(["N"] * 51),
        "+".join(["log(N,2)"] * 50),
        "(" * 50 + "+".join(["N"] * 51) + ")" * 50,
    ],
)
def test_the_longest_texts_are_compiled_and_evaluated_within_bounds(text: str) -> None:
    assert len(text) <= MAX_LENGTH
    estimate = compile_expression.__wrapped__(text)
    assert seconds(lambda: compile_expression.__wrapped__(text)) < 0.02
    assert seconds(lambda: estimate.evaluate({"N": 1.01})) < 0.005


def test_a_tower_of_powers_fails_at_once() -> None:
    assert seconds(lambda: refused_estimate("**".join("9" * 51))) < 0.02
    tower = compile_expression("**".join("N" * 51))
    assert seconds(lambda: refusal(lambda: tower.evaluate({"N": 9}))) < 0.005


def test_the_memory_of_compiled_texts_is_bounded() -> None:
    assert [compiler.cache_info().maxsize for compiler in COMPILERS] == [512, 512]
