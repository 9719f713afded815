"""Pages quote files of the packs as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parents[3]
_QUOTE = re.compile(
    r"^(?P<indent> *)`(?P<path>shared/[^`\n]+)`:\n\n(?P=indent)```[a-z]+\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


def quotes(page: Path) -> Iterator[tuple[str, str]]:
    """(path, text) of each block of code below a line that is a file's path and a colon."""
    for found in _QUOTE.finditer(page.read_text()):
        yield found["path"], dedent(found["text"])


QUOTED = [
    pytest.param(path, text, id=f"{page.stem}: {Path(path).name}")
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for path, text in quotes(page)
]


def test_pages_quote_files() -> None:
    assert QUOTED


@pytest.mark.parametrize(("path", "text"), QUOTED)
def test_a_quoted_file_is_quoted_as_it_is(path: str, text: str) -> None:
    assert text == (ROOT / path).read_text()
