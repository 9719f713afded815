"""The customers of a population with all that a list looks at: score, household, consent, rules, earlier lists."""

from __future__ import annotations

from datetime import date

from propensity.delivery.domain.identifiers import written_value
from propensity.delivery.domain.list_sql import consents, decisions, held, judged, not_over, steps
from propensity.delivery.earlier_lists import load_past_lists, own_ids
from propensity.delivery.list_sources import ListSources
from propensity.features.silver_session import SilverSession
from propensity.kernel.errors import PackError
from propensity.kernel.sql_text import quote, read_files, text
from propensity.lake.domain.as_of_views import history_rows
from propensity.lake.domain.current_scores import NEWEST_FIRST, counting
from propensity.lake.pins import score_files
from propensity.lake.session import download
from propensity.pack.current import pack_info
from propensity.pack.domain.destination_spec import DestinationColumn
from propensity.ports import Ports, Sql

_EVER = date(9999, 12, 31)


def decide_members(ports: Ports, sql: Sql, session: SilverSession, sources: ListSources) -> None:
    """Make table `decided`: a row per customer of the population, with arm, why, and a column per column of files."""
    session.cut(sources.day)
    _scores(ports, sql, sources)
    load_past_lists(ports, sql, sources)
    _subjects(sql, sources)
    _rules(sql, session, sources)
    _permissions(sql, sources)
    _contacts(sql, sources)
    sql.execute(_member(sources))
    matched = bool(sources.destination.match_on)
    sql.execute(
        "create temp table judged as "
        + judged(steps(sources.rules, consent=sources.destination.channel is not None, matched=matched))
    )
    for statement in decisions(sources.request, sources.rules, sources.band):
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


def _subjects(sql: Sql, sources: ListSources) -> None:
    """Make table `subject`: the customers to decide on, which are the population, or those of the recalled list."""
    tenant = text(sources.tenant)
    if sources.recalled is None:
        query = (
            "select tenant_id, customer_id, true as in_population, null::varchar as sent "
            f"from population where tenant_id = {tenant}"
        )
    else:
        query = (
            f"select p.tenant_id, p.customer_id, p.customer_id in (select customer_id from population "
            f"where tenant_id = {tenant}) as in_population, p.sent "
            f"from list_past p where export = {text(sources.recalled)} and arm = 'exported' and not exists ("
            "select 1 from list_recalled r where r.export = p.export and r.customer_id = p.customer_id)"
        )
    sql.execute(f"create temp table subject as {query}")


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


def _member(sources: ListSources) -> str:
    """The statement that makes table `member`, with a column `file_<n>` per column of the destination's files."""
    destination, request = sources.destination, sources.request
    matched = [file_column(n) for n, column in enumerate(destination.columns) if column.name in destination.match_on]
    matchable = " or ".join(f"{name} is not null" for name in matched) or "true"
    household, capped = own_ids(sources, "p.customer_id")
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
    fields = ", ".join(
        f"'{file_column(number)}': b.{file_column(number)}" for number in range(len(destination.columns))
    )
    # only where a later list or a recall has to know it
    sending = f"to_json({{{fields}}})::varchar" if sources.keeps_sent or sources.recalled else "null::varchar"
    return f"""
        create temp table member as
        select b.*, {matchable} as matchable, {held(sources.tenant, request.model, request.holdout)} as held,
            {sending} as sending
        from (
            select p.tenant_id, p.customer_id, p.in_population, coalesce(h.household_id, {household}) as household_id,
                s.score, s.percentile, s.decile, s.as_of, s.percentile_change, coalesce(r.rules, []) as rules,
                x.suppressed_as, coalesce(c.consents, false) as consents, {recently} as recently, {columns},
                coalesce(v.approved, []) as approved, coalesce(v.rejected, false) as rejected
            from subject p
            left join list_score s on s.customer_id = p.customer_id
            left join list_household h on h.customer_id = p.customer_id
            left join list_rule r on r.customer_id = p.customer_id
            left join list_suppressed x on x.customer_id = p.customer_id
            left join list_consent c on c.customer_id = p.customer_id
            left join list_review v on v.customer_id = p.customer_id
            left join list_earlier e on e.capped_id = coalesce(h.capped_id, {capped}){contacts}
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
