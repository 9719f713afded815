"""The customers of a population with all that a list looks at: score, household, consent, rules, earlier lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from propensity.delivery.domain.identifiers import written_value
from propensity.delivery.domain.list_sql import consents, decisions, held, judged, not_over, steps
from propensity.delivery.domain.request import ExportRequest
from propensity.features.silver_session import SilverSession
from propensity.identity.domain.queries import birth_id, newest_identities
from propensity.identity.identities import load_identities
from propensity.kernel.errors import PackError
from propensity.kernel.sql_text import midnight, quote, read_files, text
from propensity.lake.domain.as_of_views import SilverShape, history_rows
from propensity.lake.domain.current_scores import NEWEST_FIRST, counting
from propensity.lake.pins import score_files
from propensity.lake.session import download
from propensity.pack.current import pack_info
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.destination_spec import Destination, DestinationColumn
from propensity.pack.domain.list_rules import ListRule
from propensity.ports import Ports, Snapshot, Sql

_EVER = date(9999, 12, 31)
# The columns of gold/exports, with their types. A row of the list's own files is told from these.
MEMBERSHIP = (
    ("tenant_id", "varchar"),
    ("customer_id", "varchar"),
    ("household_id", "varchar"),
    ("model", "varchar"),
    ("model_version", "integer"),
    ("export", "varchar"),
    ("destination", "varchar"),
    ("channel", "varchar"),
    ("exported_at", "timestamptz"),
    ("as_of", "date"),
    ("score", "double"),
    ("percentile", "integer"),
    ("decile", "integer"),
    ("arm", "varchar"),
    ("why", "varchar"),
    ("holdout", "double"),
)


@dataclass(frozen=True, slots=True)
class ListSources:
    """What a list is made from: the pinned tables, the contracts of the pack, the rules and the destination.

    `day` is the day of population, scores and rules. `today` is the day of consents, suppressions and addresses.
    """

    request: ExportRequest
    tenant: str
    day: date
    today: date
    version: int
    entity: str
    contracts: Mapping[str, Contract]
    rules: tuple[ListRule, ...]
    destination: Destination
    scores: Snapshot | None
    exports: Snapshot | None
    identities: int | None
    shapes: Mapping[str, SilverShape]

    @property
    def delta(self) -> bool:
        """Whether the files have additions and removals, and not the whole list."""
        return self.destination.mode == "delta" and not self.request.reset

    @property
    def now(self) -> str:
        """SQL of the end of today, in naive UTC: everything that arrived by the pins counts."""
        return f"timestamp {text(str(midnight(self.today + timedelta(days=1))))}"


def decide_members(ports: Ports, sql: Sql, session: SilverSession, sources: ListSources) -> None:
    """Make table `decided`: a row per customer of the population, with arm, why, and a column per column of files."""
    session.cut(sources.day)
    _scores(ports, sql, sources)
    _households(ports, sql, sources)
    _earlier(ports, sql, sources)
    _rules(sql, session, sources)
    _permissions(sql, sources)
    _contacts(sql, sources)
    sql.execute(_member(sources))
    matched = bool(sources.destination.match_on)
    sql.execute(
        "create temp table judged as "
        + judged(steps(sources.rules, consent=sources.destination.channel is not None, matched=matched))
    )
    for statement in decisions(sources.request, sources.rules):
        sql.execute(statement)


_MOVEMENT = (
    ("previous_score", "double"),
    ("previous_as_of", "date"),
    ("percentile_change", "integer"),
    ("movement", "varchar"),
    ("moved_by", "varchar"),
    ("moved_text", "varchar"),
)


def _scores(ports: Ports, sql: Sql, sources: ListSources) -> None:
    """Make table `list_score`: each customer's newest score by the version, and how it moved since the batch before.

    `trend` is up, down or same; without a change in percentile it is the word that says why there is none.
    """
    moved = ", ".join(f"{name} {kind}" for name, kind in _MOVEMENT)
    sql.execute(
        "create temp table list_score (customer_id varchar, score double, percentile integer, decile integer, "
        f"model_version integer, as_of date, reasons varchar, {moved}, trend varchar)"
    )
    keys = _score_keys(ports, sql, sources)
    paths = download(sql, ports.lake, keys, "scores")
    if not paths:
        return
    # rows of an earlier release, which looked at no batch before, may be all there are
    known = {row[0] for row in sql.rows(f"describe select * from {read_files(paths)}")}
    told = ", ".join(name if name in known else f"null::{kind} as {name}" for name, kind in _MOVEMENT)
    sql.execute(
        f"""
        insert into list_score by name
        select * replace (coalesce(movement, 'not_enough_history') as movement),
            case when percentile_change > 0 then 'up' when percentile_change < 0 then 'down'
                when percentile_change = 0 then 'same' else coalesce(movement, 'not_enough_history') end as trend
        from (
            select customer_id, score, percentile, decile, model_version, as_of,
                array_to_string([one.text for one in reasons], '; ') as reasons, {told}
            from {read_files(paths)}
            where tenant_id = {text(sources.tenant)} and source = 'champion' and model_version = {sources.version}
                and {counting(sources.day)}
            qualify row_number() over (partition by customer_id order by {NEWEST_FIRST}) = 1
        )"""
    )


def _households(ports: Ports, sql: Sql, sources: ListSources) -> None:
    """Make table `list_household`: the newest household of each customer of the tenant who was ever resolved."""
    load_identities(ports, sql, "list_identity", version=sources.identities)
    sql.execute(
        "create temp table list_household as select customer_id, household_id from "
        f"({newest_identities('list_identity')}) where tenant_id = {text(sources.tenant)}"
    )


def _earlier(ports: Ports, sql: Sql, sources: ListSources) -> None:
    """Make tables of earlier lists: `list_arm` by household, `list_earlier` and `list_last` by customer."""
    columns = ", ".join(f"{name} {kind}" for name, kind in MEMBERSHIP)
    sql.execute(f"create temp table list_past ({columns})")
    earlier = sources.exports.file_keys(model=sources.request.model) if sources.exports else []
    paths = download(sql, ports.lake, earlier, "exports")
    if paths:
        # the files lack the model where it is a partition of the table, and then it stands in their path
        model = "model" if _has(sql, paths, "model") else f"{text(sources.request.model)} as model"
        names = ", ".join(model if name == "model" else name for name, _ in MEMBERSHIP)
        sql.execute(
            f"insert into list_past select {names} from {read_files(paths)} where tenant_id = {text(sources.tenant)}"
        )
    own = birth_id("household", text(sources.tenant), "p.customer_id")
    # a household that was once held back stays held back, and one that was exported first stays contacted
    sql.execute(
        f"""
        create temp table list_arm as
            select coalesce(h.household_id, {own}) as household_id, bool_or(p.arm = 'held_out') as was_held
            from list_past p left join list_household h using (customer_id)
            where p.arm in ('exported', 'held_out') group by 1;
        create temp table list_earlier as
            select customer_id, max(exported_at)::date as last_exported from list_past
            where arm = 'exported' group by customer_id;
        create temp table list_last as
            select customer_id from (
                select * from list_past where destination = {text(sources.destination.name)}
                qualify exported_at = max(exported_at) over ()
            ) where arm = 'exported'"""
    )


def _rules(sql: Sql, session: SilverSession, sources: ListSources) -> None:
    """Make table `list_rule`: the names of the rules that each customer meets."""
    parts = []
    for number, rule in enumerate(sources.rules):
        session.chosen(f"rule_{number}", rule.query)
        parts.append(f"select customer_id, {number} as nth, {text(rule.name)} as rule from rule_{number}")
    union = " union all ".join(parts) or "select null::varchar as customer_id, 0 as nth, '' as rule limit 0"
    sql.execute(
        f"create temp table list_rule as select customer_id, list(rule order by nth) as rules from ({union}) group by 1"
    )


def _permissions(sql: Sql, sources: ListSources) -> None:
    """Make tables `list_consent` and `list_suppressed`, from the datasets whose contracts say so."""
    channel = sources.destination.channel
    given = [
        (
            consents(
                _history(sources, dataset),
                column.name,
                column.consent.expires,
                sources.entity,
                sources.now,
                sources.today,
            )
        )
        for dataset, contract in sources.contracts.items()
        for column in contract.columns
        if column.consent is not None and channel in column.consent.channels
    ]
    if channel is not None and not given:
        raise PackError(
            f"destination {sources.destination.name}: channel {channel}, but no contract has a column with a consent "
            "for it; give the column the custom property consent, or the destination no channel"
        )
    union = " union all ".join(given) or "select null::varchar as customer_id, false as consents limit 0"
    # with several columns for a channel, each of them must allow it
    sql.execute(
        "create temp table list_consent as "
        f"select customer_id, bool_and(consents) as consents from ({union}) group by 1"
    )
    entries = []
    for dataset, contract in sources.contracts.items():
        if contract.suppression is None:
            continue
        reason = f"{quote(contract.suppression.reason)}::varchar" if contract.suppression.reason else "''"
        until = contract.suppression.until
        holds = f" and {not_over(until, sources.today)}" if until else ""
        # an entry that begins on a later day holds already, as a withdrawal does
        entries.append(
            f"select {quote(sources.entity)}::varchar as customer_id, coalesce({reason}, '') as reason "
            f"from ({_history(sources, dataset)}) "
            f"where coalesce(_valid_to, timestamp 'infinity') > {sources.now}{holds}"
        )
    listed = " union all ".join(entries) or "select null::varchar as customer_id, '' as reason limit 0"
    sql.execute(
        "create temp table list_suppressed as "
        f"select customer_id, min(reason) as suppressed_as from ({listed}) group by 1"
    )


def _contacts(sql: Sql, sources: ListSources) -> None:
    """Make a table per dataset that the destination's columns name: one row of now per customer."""
    for table in sources.destination.tables:
        entity = quote(sources.entity)
        sql.execute(
            f"create temp table {quote(f'contact_{table}')} as "
            f"select *, {entity}::varchar as customer_id_ from ({_history(sources, table)}) "
            f"where _valid_from < {sources.now} and coalesce(_valid_to, timestamp 'infinity') >= {sources.now} "
            f"qualify row_number() over (partition by {entity} order by _valid_from desc) = 1"
        )


def _history(sources: ListSources, dataset: str) -> str:
    """SELECT of every state of a dataset of the session, also of those that begin later."""
    shape = sources.shapes[dataset]
    return history_rows(shape, f"silver.{quote(dataset)}", _EVER)


def _score_keys(ports: Ports, sql: Sql, sources: ListSources) -> list[str]:
    """The keys of the files that can hold the tenant's scores by the model."""
    if sources.scores is None:
        return []
    if pack_info(ports).partition_key != "tenant":
        return sources.scores.file_keys(model=sources.request.model)
    files = score_files(sql, sources.scores, sources.request.model, sources.tenant)
    return [f"{sources.scores.root}/{file.path}" for file in files]


def _has(sql: Sql, paths: Sequence[str], column: str) -> bool:
    return column in {row[0] for row in sql.rows(f"describe select * from {read_files(paths)}")}


def _member(sources: ListSources) -> str:
    """The statement that makes table `member`, with a column `file_<n>` per column of the destination's files."""
    destination, request = sources.destination, sources.request
    matched = [file_column(n) for n, column in enumerate(destination.columns) if column.name in destination.match_on]
    matchable = " or ".join(f"{name} is not null" for name in matched) or "true"
    own = birth_id("household", text(sources.tenant), "p.customer_id")
    since = f"{text(sources.today.isoformat())}::date - {request.not_within_days}"
    recently = f"coalesce(e.last_exported > {since}, false)" if request.not_within_days else "false"
    contacts = "".join(
        f" left join {quote(f'contact_{table}')} on {quote(f'contact_{table}')}.customer_id_ = p.customer_id"
        for table in destination.tables
    )
    columns = ", ".join(
        f"{written_value(column, _source(column, request.model))} as {file_column(number)}"
        for number, column in enumerate(destination.columns)
    )
    return f"""
        create temp table member as
        select b.*, {matchable} as matchable, {held(sources.tenant, request.model, request.holdout)} as held
        from (
            select p.tenant_id, p.customer_id, coalesce(h.household_id, {own}) as household_id,
                s.score, s.percentile, s.decile, s.as_of, s.percentile_change, coalesce(r.rules, []) as rules,
                x.suppressed_as, coalesce(c.consents, false) as consents, {recently} as recently, {columns}
            from population p
            left join list_score s on s.customer_id = p.customer_id
            left join list_household h on h.customer_id = p.customer_id
            left join list_rule r on r.customer_id = p.customer_id
            left join list_suppressed x on x.customer_id = p.customer_id
            left join list_consent c on c.customer_id = p.customer_id
            left join list_earlier e on e.customer_id = p.customer_id{contacts}
            where p.tenant_id = {text(sources.tenant)}
        ) b left join list_arm a on a.household_id = b.household_id"""


def file_column(number: int) -> str:
    """The name in table `member` of the nth column of a destination's files."""
    return f"file_{number}"


def _source(column: DestinationColumn, model: str) -> str:
    """SQL of the value of a destination's column, before it is normalised."""
    if column.value is not None:
        return text(column.value)
    if column.table is not None:
        return f"{quote(f'contact_{column.table}')}.{quote(column.column)}"
    match column.column:
        case "tenant_id" | "customer_id":
            return f"p.{column.column}"
        case "rule":
            return "r.rules[1]"
        case "model":
            return text(model)
        case field:
            return f"s.{field}"
