"""The mistakes of a pack's files about lists: rules.yaml, and the destinations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from propensity.kernel.spec import load_yaml
from propensity.pack.domain.destination_spec import Destination, DestinationColumn
from propensity.pack.domain.list_rules import DESTINATIONS, RULES_FILE, ListRules
from propensity.pack.domain.mistakes import Mistake, PackFiles, named_as_file, validated
from propensity.pack.domain.yaml_source import nearest


@dataclass(slots=True)
class ListFiles:
    """The files about lists, as far as they can be read. `mistakes` says what could not be read, or does not fit."""

    rules: ListRules = field(default_factory=ListRules)
    destinations: dict[str, Destination] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


def read_lists(pack: PackFiles) -> ListFiles:
    """Read rules.yaml and the destinations of a pack that `read_pack` read, and note each mistake.

    A file that is no YAML is among the mistakes of the pack.
    """
    found, before = ListFiles(), len(pack.mistakes)
    for file in sorted(pack.sources):
        folder, _, name = file.removesuffix(".yaml").rpartition("/")
        if file != RULES_FILE and folder != DESTINATIONS:
            continue
        try:
            raw = load_yaml(pack.files[file])
        except yaml.YAMLError:
            continue
        if not isinstance(raw, dict):
            continue
        if file == RULES_FILE:
            found.rules = validated(pack, file, ListRules, raw) or found.rules
        elif (destination := validated(pack, file, Destination, raw)) is not None:
            named_as_file(pack, file, ("name",), destination.name, name)
            found.destinations[name] = destination
    # what was noted here is told once, with the rest of the mistakes about lists
    found.mistakes, pack.mistakes[before:] = pack.mistakes[before:], []
    found.mistakes += _models(pack, found.rules)
    if pack.info and all(name in pack.contracts for name in pack.names("contracts")):
        for name, destination in found.destinations.items():
            found.mistakes += _destination(pack, f"{DESTINATIONS}/{name}.yaml", destination, pack.info.entity)
    return found


def _models(pack: PackFiles, rules: ListRules) -> Iterator[Mistake]:
    known = pack.names("models")
    for number, rule in enumerate(rules.rules):
        for nth, model in enumerate(rule.models):
            if model not in known:
                said = f"rule {rule.name}: models: no model {model!r}; {nearest(model, known)}"
                line = pack.sources[RULES_FILE].line(("rules", number, "models", nth))
                yield Mistake(RULES_FILE, line, said, "Correct the name, or write the model.")


def _destination(pack: PackFiles, file: str, destination: Destination, entity: str) -> Iterator[Mistake]:
    source = pack.sources[file]
    for number, column in enumerate(destination.columns):
        problem = _source(pack, column, entity)
        if problem is not None:
            yield Mistake(file, source.line(("columns", number, "source")), f"{column.name}: {problem[0]}", problem[1])
        if column.hash and column.value is not None:
            said = f"{column.name}: hash of a fixed value, which is the same in each row"
            yield Mistake(file, source.line(("columns", number, "hash")), said, "Remove hash, or name a source.")
    channel = destination.channel
    if channel is not None and not any(channel in channels for channels in _channels(pack)):
        known = sorted({channel for channels in _channels(pack) for channel in channels})
        said = f"channel: {channel}, but no contract has a column with a consent for it, so nobody could be exported"
        remedy = f"Give the column the custom property consent, or write one of {', '.join([*known, 'null'])}."
        yield Mistake(file, source.line(("channel",)), said, remedy)


def _channels(pack: PackFiles) -> Iterator[tuple[str, ...]]:
    for contract in pack.contracts.values():
        for column in contract.columns:
            if column.consent is not None:
                yield column.consent.channels


def _source(pack: PackFiles, column: DestinationColumn, entity: str) -> tuple[str, str] | None:
    """What is wrong with a column's source, and the remedy; None where it can be read."""
    if column.table is None:
        return None
    contract = pack.contracts.get(column.table)
    if contract is None:
        said = f"source: no dataset {column.table!r}; {nearest(column.table, [*_states(pack), 'score'])}"
        return said, "Correct the name, or take the dataset into pack.yaml."
    names = [known.name for known in contract.columns]
    if column.column not in names:
        said = f"source: {column.table} has no column {column.column!r}; {nearest(column.column, names)}"
        return said, "Correct the name."
    if contract.kind != "state":
        said = f"source: {column.table} is an event dataset, and only a state has one row of now per customer"
        return said, f"Read one of {', '.join(_states(pack)) or 'the states; the pack has none'}."
    if entity not in names:
        return f"source: {column.table} has no column {entity}, so its rows are nobody's", "Read another dataset."
    return None


def _states(pack: PackFiles) -> list[str]:
    return [name for name, contract in sorted(pack.contracts.items()) if contract.kind == "state"]
