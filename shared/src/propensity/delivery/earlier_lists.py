"""What earlier lists, recalls and reviews say about the customers of a list: who was contacted, held back, decided."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from propensity.delivery.domain.request import household_share
from propensity.delivery.list_sources import MEMBERSHIP, RECALL, REVIEW, ListSources
from propensity.identity.domain.queries import birth_id, newest_identities
from propensity.identity.identities import load_identities
from propensity.kernel.sql_text import read_files, text
from propensity.lake.session import download
from propensity.ports import Ports, Snapshot, Sql


def load_past_lists(ports: Ports, sql: Sql, sources: ListSources) -> None:
    """Make the tables of earlier lists.

    `list_household` has the household of each customer, and the id that a cap of contacts counts by. `list_arm` has the
    households that were held back or contacted, `list_earlier` when each capped id was last on a list, `list_last` the
    rows of the destination's last list, and `list_review` what people decided that still holds.
    """
    _households(ports, sql, sources)
    _past(ports, sql, "list_past", MEMBERSHIP, sources.exports, sources)
    _past(ports, sql, "list_recalled", RECALL, sources.recalls, sources)
    _past(ports, sql, "list_decision", REVIEW, sources.reviews, sources)
    _arms(sql, sources)
    _last(sql, sources)
    _decided(sql, sources)


def _households(ports: Ports, sql: Sql, sources: ListSources) -> None:
    """Make table `list_household`: the newest household of each customer of the tenant who was ever resolved.

    `capped_id` is the household where a list contacts one member of each, and else the person.
    """
    load_identities(ports, sql, "list_identity", version=sources.identities)
    sql.execute(
        "create temp table list_household as select customer_id, household_id, "
        f"{_capped(sources)}_id as capped_id from ({newest_identities('list_identity')}) "
        f"where tenant_id = {text(sources.tenant)}"
    )


def _capped(sources: ListSources) -> str:
    return "household" if sources.request.household == "best" else "person"


def own_ids(sources: ListSources, customer: str) -> tuple[str, str]:
    """SQL of household and capped id of a customer whom nobody resolved: the ids that they would be born with."""
    household = birth_id("household", text(sources.tenant), customer)
    return household, household if _capped(sources) == "household" else birth_id(
        "person", text(sources.tenant), customer
    )


def _past(
    ports: Ports,
    sql: Sql,
    table: str,
    columns: Sequence[tuple[str, str]],
    snapshot: Snapshot | None,
    sources: ListSources,
) -> None:
    """Make a table of the tenant's rows of the model in a Gold table. Columns that its files lack are empty."""
    sql.execute(f"create temp table {table} ({', '.join(f'{name} {kind}' for name, kind in columns)})")
    keys = snapshot.file_keys(model=sources.request.model) if snapshot else []
    paths = download(sql, ports.lake, keys, table)
    if not paths:
        return
    there = {row[0] for row in sql.rows(f"describe select * from {read_files(paths)}")}
    # the files lack the model where it is a partition of the table, and then it stands in their path
    stands = {name: name for name, _ in columns if name in there} | {"model": text(sources.request.model)}
    chosen = ", ".join(f"{stands.get(name, 'null')} as {name}" for name, _ in columns)
    sql.execute(
        f"insert into {table} select {chosen} from {read_files(paths)} where tenant_id = {text(sources.tenant)}"
    )


def _arms(sql: Sql, sources: ListSources) -> None:
    """Make tables `list_arm` and `list_earlier`.

    A household that was held back stays held back, with everybody who was in it then or is now. One that waited for
    review while its draw was below the share of that list counts as held back too. One that was contacted first, and
    never held back, stays contacted.
    """
    household, capped = own_ids(sources, "p.customer_id")
    draw = household_share(text(sources.tenant), text(sources.request.model), "household_id")
    sql.execute(
        f"""
        create temp table list_held as
            select household_id from list_past where arm = 'held_out'
            union
            select household_id from (select distinct household_id, holdout from list_past where arm = 'review')
            where {draw} < holdout and household_id not in (select household_id from list_past where arm = 'exported');
        create temp table list_arm as
            with fate as (
                select p.customer_id, p.household_id, h.household_id is not null as held, p.arm = 'exported' as exported
                from list_past p left join list_held h using (household_id)
                where p.arm = 'exported' or h.household_id is not null
            ), now as (
                select coalesce(h.household_id, {household}) as household_id, held, exported
                from fate p left join list_household h using (customer_id)
                union all select household_id, held, exported from fate
            )
            select household_id, bool_or(held) as was_held from now
            group by household_id having bool_or(held) or bool_or(exported);
        create temp table list_earlier as
            select coalesce(h.capped_id, {capped}) as capped_id, max(exported_at)::date as last_exported
            from list_past p left join list_household h using (customer_id)
            where arm = 'exported' group by 1"""
    )


def _last(sql: Sql, sources: ListSources) -> None:
    """Make table `list_last`: who is at the destination by its last list and the recalls of it, with what was sent.

    A list is exported after every list of the tenant by the model that came before it (build_export).
    """
    destination = text(sources.destination.name)
    sql.execute(
        f"""
        create temp table list_newest as
            select export from list_past where destination = {destination}
            group by export order by max(exported_at) desc limit 1;
        create temp table list_last as
            select customer_id, sent from list_past p
            where arm = 'exported' and export in (select export from list_newest) and not exists (
                select 1 from list_recalled r where r.export = p.export and r.customer_id = p.customer_id)"""
    )


def last_list(sql: Sql) -> str | None:
    """The id of the destination's last list; None where there is none."""
    found = sql.rows("select export from list_newest")
    return str(found[0][0]) if found else None


def _decided(sql: Sql, sources: ListSources) -> None:
    """Make table `list_review`: per customer, the questions that were approved, and whether the customer was rejected.

    A decision holds for the days that rules.yaml says. The newest decision counts, and a rejection counts for all
    questions. Of two decisions of one moment the rejection counts.
    """
    holds_from = sources.today - timedelta(days=sources.review.holds_days)
    sql.execute(
        f"""
        create temp table list_review as
            with answer as (
                select customer_id, why, told_at, decision from list_decision
                where decision is not null and told_at::date > {text(holds_from.isoformat())}::date
            ), newest as (
                from answer qualify row_number() over (
                    partition by customer_id, why order by told_at desc, decision desc) = 1
            )
            select customer_id, list(why order by why) filter (decision = 'approve') as approved,
                max({{'told_at': told_at, 'decision': decision}}).decision = 'reject' as rejected
            from newest group by customer_id"""
    )
