"""The arithmetic of docs/why/scale.md, whose tables name the inputs, and a formula beside each result.

`.venv/bin/python -m tests.bench.arithmetic customers=20_000_000` prints the results for inputs of your own. With
`--write` the results on the page are written anew, from the page's inputs.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/why/scale.md"
_INPUT = re.compile(r"^\| `(?P<name>\w+)` \| (?P<value>[\d,.]+) \|", re.MULTILINE)
_RESULT = re.compile(
    r"^(?P<head>\| `(?P<name>\w+)` \| `(?P<formula>[^`]+)` \| )(?P<value>[^|]*?)(?P<tail> \|)", re.MULTILINE
)
_SIGNS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_CALLS: Mapping[str, Callable[..., float]] = {"ceil": math.ceil, "min": min, "max": max}


def inputs(page: str) -> dict[str, float]:
    """Return the inputs that the page names, in the page's units."""
    return {found["name"]: float(found["value"].replace(",", "")) for found in _INPUT.finditer(page)}


def results(page: str, given: Mapping[str, float]) -> dict[str, float]:
    """Return the results of the page's formulas, in order; a formula may name inputs and the results above it.

    Raises KeyError for a name that is neither, and ValueError for what is no arithmetic.
    """
    known = dict(given)
    for found in _RESULT.finditer(page):
        known[found["name"]] = _value(ast.parse(found["formula"], mode="eval").body, known)
    return {name: value for name, value in known.items() if name not in given}


def rewritten(page: str) -> str:
    """Return the page with each result as its formula gives it."""
    found = results(page, inputs(page))
    return _RESULT.sub(lambda row: f"{row['head']}{shown(found[row['name']])}{row['tail']}", page)


def shown(value: float) -> str:
    """Return a number with three significant digits: 1,230,000 and 0.0123."""
    rounded = float(f"{value:.3g}")
    if abs(rounded) >= 100:
        return f"{rounded:,.0f}"
    return f"{rounded:.10f}".rstrip("0").rstrip(".")


def _value(node: ast.expr, known: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return known[name]
        case ast.BinOp(left=left, op=sign, right=right):
            return float(_SIGNS[type(sign)](_value(left, known), _value(right, known)))
        case ast.Call(func=ast.Name(id=name), args=parts) if name in _CALLS:
            return float(_CALLS[name](*(_value(part, known) for part in parts)))
    raise ValueError(f"{ast.unparse(node)}: expected numbers, names, + - * /, {', '.join(_CALLS)}")


def main(arguments: list[str]) -> int:
    """Print the results for inputs given as name=value, or write the page anew."""
    page = PAGE.read_text()
    if arguments == ["--write"]:
        PAGE.write_text(rewritten(page))
        return 0
    given = inputs(page)
    for one in arguments:
        name, _, value = one.partition("=")
        if name not in given or not value:
            print(f"{one}: expected name=value, of {', '.join(given)}", file=sys.stderr)
            return 2
        given[name] = float(value)
    for name, result in results(page, given).items():
        print(f"{name:<24}{shown(result):>16}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
