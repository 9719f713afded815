"""check_pack: tell every mistake of a pack's files at once, with file, line and remedy, before a deployment.

The queries run on tables without rows, so that the engine tells names and types, and no data is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from propensity.identity.domain.identity_rules import FILE, parse_identity
from propensity.ingest.domain.landing_keys import Landed
from propensity.ingest.files.checking import check_contract
from propensity.kernel.errors import ContractError, PackError, SqlError
from propensity.kernel.sql_text import quote
from propensity.operations.check_lists import read_lists
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.definition import Definition, DefinitionQuery
from propensity.pack.domain.feature_spec import Feature, FeatureGroup
from propensity.pack.domain.list_rules import RULES_FILE, ListRules
from propensity.pack.domain.mistakes import Mistake, PackFiles, read_pack
from propensity.pack.domain.model_spec import ModelSpec
from propensity.pack.domain.query_guard import escapes, tables_read
from propensity.pack.domain.yaml_source import YamlSource, nearest
from propensity.ports import Sql, SqlFactory
from propensity.training.domain.cost import check_candidate

_NUMBERS = re.compile(
    r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|REAL|DECIMAL(\(.*\))?|BOOLEAN|UHUGEINT|\"NULL\"|NULL"
)
_KEYS = ("tenant_id", "customer_id")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a query stands: its file, the line on which its text begins, and the file that declares its columns."""

    file: str
    line: int
    text: str

    def of(self, word: str) -> int:
        """The line of the last place of a word in the query, else the query's first line."""
        lines = [
            number for number, line in enumerate(self.text.splitlines()) if re.search(rf"\b{re.escape(word)}\b", line)
        ]
        return self.line + (lines[-1] if lines else 0)


def check_pack(files: Mapping[str, str], folder: str, sql: SqlFactory) -> list[Mistake]:
    """Return the mistakes of a pack's files, sorted. `folder` is the name of the pack's folder."""
    pack = read_pack(files, folder)
    lists = read_lists(pack)
    found = [*pack.mistakes, *lists.mistakes, *_rules(pack, sql), *_identity(pack), *_candidates(pack)]
    with sql() as session:
        queries = _Queries(session, pack, lists.rules)
        found += [*queries.mistakes(), *queries.consents_read()]
    return sorted(set(found), key=lambda mistake: (mistake.file, mistake.line or 0, mistake.said))


def _rules(pack: PackFiles, sql: SqlFactory) -> Iterator[Mistake]:
    """The rules of contracts that the engine refuses: patterns, row rules and computed columns."""
    for name, contract in pack.contracts.items():
        file = f"contracts/{name}.yaml"
        with sql() as session:
            try:
                check_contract(session, Landed("", name, "t", ".csv", "2026-01-01T00:00:00+00:00"), contract)
            except ContractError as error:
                said = str(error).partition("a rule cannot be run: ")[2].partition("\n\nLINE")[0]
                yield Mistake(
                    file,
                    pack.sources[file].below(("schema", 0), _rule_words(contract, said)),
                    f"a rule cannot be run: {' '.join(said.split())}",
                    "Correct the pattern or the SQL of this rule.",
                )


def _rule_words(contract: Contract, said: str) -> list[str]:
    """The texts of the contract that an engine's message is most likely about: those that share a word with it."""
    texts = [column.logic for column in contract.columns if column.logic]
    texts += [rule.broken for rule in contract.row_rules]
    patterns = [column.pattern for column in contract.columns if column.pattern]
    words = set(re.findall(r'"([^"]+)"|\b(\w+) does not exist', said))
    named = {word for pair in words for word in pair if word}
    about = [text for text in texts if any(re.search(rf"\b{re.escape(word)}\b", text) for word in named)]
    about += [pattern for pattern in patterns if pattern in said]
    return about or [*texts, "pattern"]


def _identity(pack: PackFiles) -> Iterator[Mistake]:
    if FILE not in pack.files or pack.info is None:
        return
    source = pack.sources.get(FILE)
    if source is None:
        return
    try:
        parse_identity(pack.files, pack.contracts, entity=pack.info.entity, pack=pack.folder)
    except PackError as error:
        said = str(error).removeprefix(f"{pack.folder}/{FILE}: ").removeprefix(f"{pack.folder}/{FILE}")
        path = [int(part) if part.isdigit() else part for part in said.partition(":")[0].split(".")]
        words = re.findall(r"[\w.]+\.\w+", said.partition(":")[2])
        line = source.below(path, words) if words else source.line(path)
        yield Mistake(FILE, line, said, "Correct it; columns are written dataset.column.")


def _candidates(pack: PackFiles) -> Iterator[Mistake]:
    """The parameters of candidates that scikit-learn or the limits of scoring refuse."""
    for name, spec in pack.models.items():
        file = f"models/{name}.yaml"
        for number, candidate in enumerate(spec.candidates):
            try:
                check_candidate(candidate, "")
            except PackError as error:
                said = str(error).removeprefix(": ")
                words = re.findall(r"\w+", said)
                names = [word for word in words if word in _parameters(candidate.grid, candidate.space)]
                line = pack.sources[file].below(("candidates", number), names)
                yield Mistake(file, line, said, "Correct the parameter, or remove it.")


def _parameters(grid: Sequence[Mapping[str, Any]], space: Mapping[str, Any]) -> set[str]:
    return {name for setting in grid for name in setting} | set(space)


class _Queries:
    """The queries of a pack's models and rules, held against tables without rows."""

    def __init__(self, sql: Sql, pack: PackFiles, rules: ListRules) -> None:
        self._sql, self._pack, self._list_rules = sql, pack, rules
        self._groups: list[tuple[_Place, DefinitionQuery]] = []
        self._info = pack.info
        self._seen: set[tuple[str, str]] = set()
        sql.execute("create schema if not exists outcome; create schema if not exists history")
        sql.execute("create or replace macro as_of() as timestamp '2026-01-01 00:00:00'")
        for dataset, contract in pack.contracts.items():
            columns = ", ".join(
                ["tenant_id varchar"]
                + [
                    f"{quote(column.name)} {column.duckdb_type.replace('TIMESTAMPTZ', 'TIMESTAMP')}"
                    for column in contract.columns
                    if column.name != "tenant_id"
                ]
            )
            sql.execute(f"create table {quote(dataset)} ({columns})")
            if contract.kind == "event":
                sql.execute(f"create table outcome.{quote(dataset)} ({columns})")
            else:
                times = "_valid_from timestamp, _valid_to timestamp"
                sql.execute(f"create table history.{quote(dataset)} ({columns}, {times})")

    def mistakes(self) -> Iterator[Mistake]:
        pack = self._pack
        if self._info is None or any(name not in pack.contracts for name in pack.names("contracts")):
            return  # without every table a query's mistakes cannot be told from those of the contracts
        self._make_population()
        for name, spec in sorted(pack.models.items()):
            groups = tuple(pack.groups[group] for group in dict.fromkeys(spec.features) if group in pack.groups)
            definition = Definition(model=spec, groups=groups, entity=self._info.entity)
            for query in definition.queries():
                yield from self._query(f"models/{name}.yaml", definition, query)
        unused = [group for name, group in sorted(pack.groups.items()) if f"features/{name}.sql" in pack.files]
        for group in unused:
            query = DefinitionQuery("group", f"feature group {group.group}", group.sql)
            yield from self._query("", None, query)
        for rule in self._list_rules.rules:
            yield from self._query(RULES_FILE, None, rule.query)

    def consents_read(self) -> Iterator[Mistake]:
        """The feature groups that `mistakes` found right, and that cannot be computed without the consents.

        A consent says who may be contacted. As a feature it would say who buys, and who never agreed would rank low.
        """
        consents = {
            column.name: name
            for name, contract in self._pack.contracts.items()
            for column in contract.columns
            if column.consent is not None
        }
        for column, dataset in consents.items():
            for schema in ("", "history."):
                self._sql.execute(f"alter table {schema}{quote(dataset)} drop column {quote(column)}")
        for place, query in self._groups if consents else ():
            try:
                self._sql.rows(f"describe {query.sql.strip().rstrip(';')}")
            except SqlError as error:
                read = [name for name in consents if re.search(rf"\b{re.escape(name)}\b", error.text)] or list(consents)
                columns = ", ".join(f"{consents[name]}.{name}" for name in read)
                said = f"group: reads {columns}, which says who may be contacted; expected no consent in a feature"
                remedy = "Remove it from the SQL; lists ask for consents by themselves."
                yield Mistake(place.file, _line_of(place, error.text), said, remedy)

    def _make_population(self) -> None:
        entity = quote(self._info.entity) if self._info else "customer_id"
        more = "" if entity == '"customer_id"' else f", {entity} varchar"
        self._sql.execute(f"create or replace temp table population (tenant_id varchar, customer_id varchar{more})")

    def _query(self, file: str, definition: Definition | None, query: DefinitionQuery) -> Iterator[Mistake]:
        place = self._place(file, definition.model if definition else None, query)
        if (place.file, query.name) in self._seen:
            return
        self._seen.add((place.file, query.name))
        if query.purpose == "group" and place.file not in self._pack.files:
            return  # it is told already that the file is missing
        if not query.sql.strip():
            yield Mistake(place.file, place.line, f"{query.purpose}: empty; expected one SELECT", "Write the SELECT.")
            return
        [(answer,)] = self._sql.rows("select json_serialize_sql(?)", [query.sql])
        tree = json.loads(answer)
        if tree["error"]:
            position = int(tree.get("position") or 0)
            line = place.line + query.sql[:position].count("\n")
            said = f"{query.purpose}: {tree['error_message']}; expected one SELECT"
            yield Mistake(place.file, line, said, "Correct the SQL.")
            return
        allowed = self._allowed(query)
        names = sorted(".".join(part for part in table if part) for table in allowed)
        beyond = escapes(tree, allowed)
        for name in beyond:
            yield self._beyond(place, query, name, names)
        reads = {schema for schema, _ in tables_read(tree, allowed)}
        tried = any(name.casefold().startswith("outcome.") for name in beyond)
        if query.purpose == "target" and "outcome" not in reads and not tried:
            said = "target: reads no outcome.<dataset>, so it says what was, not what comes"
            outcomes = [name for name in names if name.startswith("outcome.")]
            remedy = f"Read the events of the label window from {' or '.join(outcomes) or 'an event dataset'}."
            yield Mistake(place.file, place.line, said, remedy)
        if beyond:
            return
        try:
            described = self._sql.rows(f"describe {query.sql.strip().rstrip(';')}")
        except SqlError as error:
            yield _refused(place, query, error.text)
            return
        if query.purpose == "group":
            self._groups.append((place, query))
        columns = {str(row[0]): str(row[1]) for row in described}
        yield from self._columns(place, query, columns)

    def _place(self, file: str, spec: ModelSpec | None, query: DefinitionQuery) -> _Place:
        if query.purpose == "group":
            name = query.name.removeprefix("feature group ")
            return _Place(f"features/{name}.sql", 1 + _leading(query.sql), query.sql.strip())
        source = self._pack.sources[file]
        path: list[str | int] = [query.purpose, "sql"]
        if query.purpose == "rule":
            path = ["rules", [rule.query for rule in self._list_rules.rules].index(query), "sql"]
        if query.purpose == "segment":
            path = ["ladder", "segment", "sql"]
        if query.purpose == "slice" and spec:
            number = next(n for n, part in enumerate(spec.slices) if part.sql == query.sql)
            path = ["slices", number, "sql"]
        return _Place(file, source.first_line(path) + _leading(query.sql), query.sql.strip())

    def _allowed(self, query: DefinitionQuery) -> set[tuple[str, str]]:
        contracts = self._pack.contracts
        tables = {("", dataset) for dataset in contracts}
        tables |= {("history", name) for name, contract in contracts.items() if contract.kind == "state"}
        if query.with_population:
            tables.add(("", "population"))
        if query.with_outcomes:
            tables |= {("outcome", name) for name, contract in contracts.items() if contract.kind == "event"}
        return tables

    def _beyond(self, place: _Place, query: DefinitionQuery, name: str, names: Sequence[str]) -> Mistake:
        schema, _, dataset = name.rpartition(".")
        contract = self._pack.contracts.get(dataset)
        line, what = place.of(dataset.removesuffix("()")), query.purpose
        if contract and schema == "outcome" and contract.kind == "state":
            said = f"{what}: names {name}, but {dataset} is a state dataset, and only events have outcomes"
            return Mistake(place.file, line, said, f"Read history.{dataset}, or an event dataset's outcomes.")
        if contract and schema == "outcome":
            said = f"{what}: names {name}, but only target, treatment and censored may see the label window"
            return Mistake(place.file, line, said, f"Read {dataset}, which ends at the as-of date.")
        if contract and schema == "history":
            said = f"{what}: names {name}, but {dataset} is an event dataset, and only states have a history"
            return Mistake(place.file, line, said, f"Read {dataset}.")
        if re.search(r"\(\)$|_|today|now|local", name) and "." not in name and not schema and name not in names:
            clock = name.removesuffix("()") in ("now", "today", "get_current_timestamp", "current_date") or (
                "current" in name or "local" in name
            )
            if clock:
                said = f"{what}: reads the clock by {name}, so the same date would give other values tomorrow"
                return Mistake(place.file, line, said, "Take the date from as_of().")
        said = f"{what}: names {name}, which it may not read; {nearest(name, names)}"
        return Mistake(place.file, line, said, "Correct the name, or take the dataset into pack.yaml.")

    def _columns(self, place: _Place, query: DefinitionQuery, columns: Mapping[str, str]) -> Iterator[Mistake]:
        entity = self._info.entity if self._info else "customer_id"
        folded = {name.casefold(): name for name in columns}
        wanted = ["tenant_id", "segment"] if query.purpose == "segment" else ["tenant_id", entity]
        if query.purpose == "slice":
            wanted.append("slice")
        for name in wanted:
            if name.casefold() not in folded:
                said = f"{query.purpose}: the SELECT gives {', '.join(columns)}, but not {name}"
                yield Mistake(place.file, place.line, said, f"Add the column {name}.")
        if query.purpose != "group":
            return
        group = self._pack.groups[query.name.removeprefix("feature group ")]
        yield from _of_features(self._pack, place, group, columns, entity)


def _of_features(
    pack: PackFiles, place: _Place, group: FeatureGroup, columns: Mapping[str, str], entity: str
) -> Iterator[Mistake]:
    """Hold a group's YAML against the columns of its SQL: names both ways, and types."""
    file = f"features/{group.group}.yaml"
    if file not in pack.sources:
        return
    source, folded = pack.sources[file], {name.casefold(): kind for name, kind in columns.items()}
    names = {feature.name for feature in group.features}
    free = [name for name in columns if name not in names and name not in (*_KEYS, entity)]
    for number, feature in enumerate(group.features):
        line = _feature_line(source, number)
        if feature.name in {other.name for other in group.features[:number]}:
            yield Mistake(file, line, f"features: {feature.name} stands there twice", "Remove one of the two.")
        elif feature.name not in folded:
            said = f"feature {feature.name}: {place.file} gives no such column; {nearest(feature.name, free)}"
            yield Mistake(file, line, said, "Add it to the SELECT, or remove the feature.")
        elif (problem := _type_problem(feature, folded[feature.name])) is not None:
            yield Mistake(place.file, place.of(feature.name), f"feature {feature.name}: {problem[0]}", problem[1])
    for name in free:
        said = f"the SELECT gives {name}, which {file} does not declare; {nearest(name, sorted(names))}"
        yield Mistake(place.file, place.of(name), said, "Declare it as a feature, or remove it from the SELECT.")


def _feature_line(source: YamlSource, number: int) -> int:
    return source.line(("features", number))


def _type_problem(feature: Feature, kind: str) -> tuple[str, str] | None:
    if feature.dtype == "category":
        if kind == "VARCHAR" or kind.startswith("ENUM"):
            return None
        return f"the SQL gives {kind}, but a category is text", "Cast it with ::varchar, or give it another dtype."
    if _NUMBERS.fullmatch(kind):
        return None
    said = f"the SQL gives {kind} where dtype {feature.dtype} needs a number"
    if kind == "VARCHAR":
        return said, "Cast it to a number, compare it (x = 'a'), or give it dtype category with categories."
    return said, "Make it a number, for example days by date_diff('day', x, as_of())."


def _refused(place: _Place, query: DefinitionQuery, message: str) -> Mistake:
    line = _line_of(place, message)
    said = " ".join(re.split(r"\n\s*\nLINE|\nLINE", message)[0].split())
    remedy = "Correct the name." if "not found" in said or "does not" in said else "Correct the SQL."
    return Mistake(place.file, line, f"{query.purpose}: {said}", remedy)


def _line_of(place: _Place, message: str) -> int:
    """The line of the file that an engine's message about a query names."""
    at = re.search(r"^LINE (\d+):", message, re.MULTILINE)
    return place.line + (int(at[1]) - 1 if at else 0)


def _leading(sql: str) -> int:
    return len(sql[: len(sql) - len(sql.lstrip())].splitlines()) if sql[:1].isspace() else 0
