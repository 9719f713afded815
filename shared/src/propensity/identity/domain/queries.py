"""The SQL of identity resolution. The SQL reads the datasets' views as of the day, and tables in schema `resolve`.

The tables number customers: a customer's `node` is its place in the order of tenant and customer id. Customers who are
joined form a component; the `root` of a component is its smallest node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from propensity.identity.domain.identity_rules import IdentityRule, Level, RulePart
from propensity.kernel.sql_text import quote, text
from propensity.pack.domain.contract import Contract

IDENTITY_COLUMNS = (
    ("tenant_id", "varchar"),
    ("customer_id", "varchar"),
    ("person_id", "varchar"),
    ("household_id", "varchar"),
    ("as_of", "date"),
    ("evidence", "varchar[]"),
    ("previous_person_id", "varchar"),
    ("previous_household_id", "varchar"),
)
ID_DIGITS = 24  # hex digits of sha256: 96 bits, so that any two of 1e9 ids are equal with a chance of 1e-11
# hex digits of a shared value's mark: enough to show who shares a value, too few to find which telephone number it is
_MARK_DIGITS = 8
_NORMALISED = {
    "no_accents": "strip_accents({})",
    "lower": "lower({})",
    # anna+cars@example.com is a mailbox of anna@example.com; a + anywhere else is kept
    "no_plus_suffix": r"regexp_replace({}, '^([^+@]+)\+[^@]*(@[^@]+)$', '\1\2')",
    "letters_and_digits": r"regexp_replace({}, '[^\pL\pN]', '', 'g')",
    "digits": r"regexp_replace({}, '[^0-9]', '', 'g')",
}


def birth_id(level: Level, tenant: str, customer: str, *more: str) -> str:
    """SQL of the id of a person or household, made of its first customer. The arguments are columns or literals."""
    return f"substr(sha256(concat_ws(chr(31), {', '.join([text(level), tenant, customer, *more])})), 1, {ID_DIGITS})"


def newest_identities(source: str, before: date | None = None) -> str:
    """SELECT of each customer's newest row. With `before`, the SELECT takes the newest row of an earlier day."""
    where = f"where as_of < {_day(before)}" if before else ""
    return f"""
        select * from {source} {where}
        qualify row_number() over (partition by tenant_id, customer_id order by as_of desc) = 1"""


def customers(datasets: Sequence[str], entity: str) -> str:
    """SELECT of node, tenant_id and customer_id of every customer in any dataset."""
    column = quote(entity)
    named = " union ".join(
        f"select tenant_id, {column}::varchar as customer_id from {quote(dataset)} where {column} is not null"
        for dataset in datasets
    )
    return f"""
        select row_number() over (order by tenant_id, customer_id)::bigint as node, tenant_id, customer_id
        from ({named})"""


def identifiers(level: Level, rule: IdentityRule, contracts: Mapping[str, Contract], entity: str, as_of: date) -> str:
    """SELECT of level, rule, max_customers, node, tenant_id and value: each customer's values for a rule."""
    parts = [f"({_part(part, contracts, entity, as_of)}) p{number}" for number, part in enumerate(rule.parts)]
    joined = " join ".join([parts[0], *(f"{part} using (tenant_id, customer_id)" for part in parts[1:])])
    values = ", ".join(f"p{number}.value" for number in range(len(parts)))
    return f"""
        select {text(level)} as level, {text(rule.name)} as rule, {rule.max_customers} as max_customers,
            c.node, c.tenant_id, v.value
        from (select distinct tenant_id, customer_id, concat_ws(chr(31), {values}) as value from {joined}) v
        join resolve.customer c using (tenant_id, customer_id)"""


def _part(part: RulePart, contracts: Mapping[str, Contract], entity: str, as_of: date) -> str:
    """SELECT of tenant_id, customer_id and value, from all columns of a part."""
    selects = []
    for source in part.columns:
        dataset, name = source.split(".")
        where = f"{quote(entity)} is not null"
        contract = contracts[dataset]
        if part.within_days is not None and contract.event_time is not None:
            where += f" and {quote(contract.event_time)} >= {_day(as_of)} - interval {part.within_days} days"
        value = f"nfc_normalize({quote(name)}::varchar)"
        for step, sql in _NORMALISED.items():
            if step in part.normalise:
                value = sql.format(value)
        selects.append(
            f"select tenant_id, {quote(entity)}::varchar as customer_id, trim({value}) as value "
            f"from {quote(dataset)} where {where}"
        )
    ignored = "".join(f" and not regexp_full_match(value, {text(pattern)})" for pattern in part.ignore)
    return f"select * from ({' union '.join(selects)}) where value <> ''{ignored}"


SHARED = f"""
    select level, rule, tenant_id, value, min(node) as first, count(*) as customers,
        count(*) > any_value(max_customers) as refused,
        rule || ':' || substr(sha256(concat_ws(chr(31), tenant_id, rule, value)), 1, {_MARK_DIGITS}) as mark
    from resolve.identifier group by all having count(*) > 1"""

EVIDENCE = """
    select i.node, list_sort(list(distinct s.mark)) as evidence
    from resolve.identifier i join resolve.shared s using (level, rule, tenant_id, value)
    where not s.refused group by i.node"""


def links(level: Level) -> str:
    """SELECT of pairs (a, b) with a < b: b shares a value with a, and a is the first customer with the value."""
    # person rules join households too, because a household is made of whole persons
    levels = "('person')" if level == "person" else "('person', 'household')"
    return f"""
        select distinct s.first as a, i.node as b
        from resolve.identifier i join resolve.shared s using (level, rule, tenant_id, value)
        where not s.refused and s.first < i.node and level in {levels}"""


# Components are found by contraction, in rounds of three steps:
# 1. HOPS: each node with links hops to its smallest neighbour, if that is smaller than the node itself.
# 2. SHORTER: hops are shortened until each ends at a root.
# 3. CARRIED: links between nodes become links between their roots.
# Each round joins the larger end of every link to a smaller node, so nodes get fewer and the rounds end. Roots only get
# smaller, so the last root is the component's smallest node.
HOPS = """
    select node, least(node, min(other)) as root
    from (select a as node, b as other from resolve.link union all select b, a from resolve.link) group by node"""
SHORTER = "select h.node, further.root from resolve.hop h join resolve.hop further on further.node = h.root"
ROOTS = """
    select c.node, coalesce(h.root, c.root) as root
    from resolve.component c left join resolve.hop h on h.node = c.root"""
CARRIED = """
    select distinct least(x.root, y.root) as a, greatest(x.root, y.root) as b
    from resolve.link l join resolve.hop x on x.node = l.a join resolve.hop y on y.node = l.b where x.root <> y.root"""


def previous(as_of: date) -> str:
    """SELECT of each customer's newest row before the day.

    A column `…_born` is the first day of the id. A column `…_joined` is the first day on which the customer had the id.
    """
    ages = ", ".join(
        f"min(as_of) over (partition by tenant_id, {level}_id) as {level}_born, "
        f"min(as_of) over (partition by tenant_id, customer_id, {level}_id) as {level}_joined"
        for level in ("person", "household")
    )
    return newest_identities(f"(select *, {ages} from resolve.history where as_of < {_day(as_of)})")


def members(level: Level) -> str:
    """SELECT of every customer with its component's root, and with the id that the customer had before (`old_id`)."""
    return f"""
        select c.node, c.tenant_id, coalesce(k.root, c.node) as root,
            p.{level}_id as old_id, p.{level}_born as born, p.{level}_joined as joined
        from resolve.customer c
        left join resolve.component k using (node)
        left join resolve.previous p using (tenant_id, customer_id)"""


def assigned(level: Level, as_of: date) -> str:
    """SELECT of each node and the id that the node gets.

    An old id goes to the component with most of the id's customers. If several components have equally many, the id
    goes to the component with the customer who has had the id longest. A component that gets several ids keeps the
    oldest id. A component that gets no id is born: its new id is made of its first customer. The day is part of the new
    id as well where the tenant has that id already.
    """
    tenant, customer = "f.tenant_id", "f.customer_id"
    plain = birth_id(level, tenant, customer)
    return f"""
        with part as (
            select tenant_id, old_id, root, min(born) as born, count(*) as customers, min(joined) as joined
            from resolve.{level}_member where old_id is not null group by tenant_id, old_id, root
        ), awarded as (
            from part qualify row_number() over (
                partition by tenant_id, old_id order by customers desc, joined, root) = 1
        ), kept as (
            select root, old_id as id from awarded
            qualify row_number() over (partition by root order by born, old_id) = 1
        ), taken as (
            select distinct tenant_id, {level}_id as id from resolve.previous
        )
        select m.node, case
            when k.id is not null then k.id
            when t.id is null then {plain}
            else {birth_id(level, tenant, customer, text(as_of.isoformat()))} end as id
        from resolve.{level}_member m
        join resolve.customer f on f.node = m.root
        left join kept k on k.root = m.root
        left join taken t on t.tenant_id = f.tenant_id and t.id = {plain}"""


def identities(as_of: date) -> str:
    """SELECT of every customer's row as of the day.

    `changed` says that the row differs from the customer's newest row before the day.
    """
    return f"""
        select c.tenant_id, c.customer_id, a.id as person_id, h.id as household_id, {_day(as_of)} as as_of,
            coalesce(e.evidence, []::varchar[]) as evidence,
            nullif(p.person_id, a.id) as previous_person_id, nullif(p.household_id, h.id) as previous_household_id,
            p.customer_id is null as is_new,
            p.person_id is distinct from a.id or p.household_id is distinct from h.id
                or p.evidence is distinct from coalesce(e.evidence, []::varchar[]) as changed
        from resolve.customer c
        join resolve.person a using (node)
        join resolve.household h using (node)
        left join resolve.evidence e using (node)
        left join resolve.previous p using (tenant_id, customer_id)"""


def moves(level: Level) -> str:
    """SELECT of each tenant with its numbers of merges and splits.

    A component with customers of n old ids counts n - 1 merges. An old id with customers in n components counts n - 1
    splits.
    """
    return f"""
        select tenant_id, sum(merges)::bigint, sum(splits)::bigint from (
            select tenant_id, count(distinct old_id) - 1 as merges, 0 as splits
            from resolve.{level}_member where old_id is not null group by tenant_id, root
            union all
            select tenant_id, 0, count(distinct root) - 1
            from resolve.{level}_member where old_id is not null group by tenant_id, old_id
        ) group by tenant_id order by tenant_id"""


def _day(day: date) -> str:
    return f"date {text(day.isoformat())}"
