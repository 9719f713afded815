"""The places of values in a YAML text: the line of each key, and the keys that stand twice in one mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import yaml

Path = Sequence[str | int]


class YamlSource:
    """A YAML text as a tree of nodes, which know their lines. Lines count from 1.

    Raises yaml.YAMLError for a text that is not YAML.
    """

    def __init__(self, text: str) -> None:
        self._root: Any = yaml.compose(text, Loader=yaml.CSafeLoader)

    def line(self, path: Path) -> int:
        """The line of the last part of a path that the text has. A path is keys of mappings and places in lists."""
        node, line = self._root, 1
        for part in path:
            found = self._step(node, part)
            if found is None:
                break
            line, node = found
        return line

    def first_line(self, path: Path) -> int:
        """The line on which the text of a value begins: the line after its `|` or `>`, or else the value's own line."""
        node: Any = self._root
        for part in path:
            found = self._step(node, part)
            if found is None:
                return self.line(path)
            _, node = found
        return int(node.start_mark.line) + (2 if getattr(node, "style", None) in ("|", ">") else 1)

    def below(self, path: Path, words: Sequence[str]) -> int:
        """The line of the first key or text below a path that is one of the words; the path's own line without one."""
        node: Any = self._root
        for part in path:
            found = self._step(node, part)
            if found is None:
                return self.line(path)
            _, node = found
        for word in words:
            for line, value in _scalars(node):
                if value.casefold() == word.casefold():
                    return line
        return self.line(path)

    def repeated(self) -> list[tuple[int, str, int]]:
        """The keys that stand twice in one mapping: the line of the second, the key, the line of the first."""
        return sorted(_repeated(self._root))

    def dates(self) -> list[tuple[int, str]]:
        """The values that YAML takes for dates, with their lines."""
        return [(line, value) for line, value, tag in _tagged(self._root) if tag.endswith(":timestamp")]

    @staticmethod
    def _step(node: Any, part: str | int) -> tuple[int, Any] | None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    return key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            return node.value[part].start_mark.line + 1, node.value[part]
        return None


def _scalars(node: Any) -> Iterator[tuple[int, str]]:
    for line, value, _ in _tagged(node):
        yield line, value


def _tagged(node: Any) -> Iterator[tuple[int, str, str]]:
    """The line, the text and the tag of each key and each value below a node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key.start_mark.line + 1, str(key.value), str(key.tag)
            yield from _tagged(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _tagged(value)
    elif isinstance(node, yaml.ScalarNode):
        yield node.start_mark.line + 1, str(node.value), str(node.tag)


def _repeated(node: Any) -> Iterator[tuple[int, str, int]]:
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in first:
                yield line, name, first[name]
            first.setdefault(name, line)
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value)


@lru_cache(maxsize=64)  # contracts are read for every file that lands, and change with a deployment only
def repeated_keys(text: str) -> tuple[str, ...]:
    """What is wrong with the keys of a YAML text, a sentence each. YAML itself would keep the last value silently."""
    return tuple(
        f"line {line}: {key!r} stands there twice, first in line {first}; keep one of the two"
        for line, key, first in YamlSource(text).repeated()
    )


def named_path(raw: object, location: Path) -> str:
    """A path into a YAML value as people read it: an item of a list is called by its name, counted from 1 without one.

    `features.6.unit` becomes `features.visits_12m.unit`.
    """
    parts, value = [], raw
    for part in location:
        if isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
            name = value.get("name", value.get("family")) if isinstance(value, Mapping) else None
            parts.append(str(name) if name else f"item {part + 1}")
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
            parts.append(str(part))
        else:
            parts.append(str(part))
    return ".".join(parts) or "top"


def nearest(name: str, known: Sequence[str]) -> str:
    """`did you mean …?` with the most similar known name, else the list of the known names."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(sorted(known)) or 'none'}"


def has_aliases(text: str) -> bool:
    """Whether a YAML text repeats a part by an alias (`*name`). A few aliases can stand for billions of values.

    Raises yaml.YAMLError for a text that is no YAML.
    """
    return any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.CSafeLoader))
