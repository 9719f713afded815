"""What a feature's YAML means: its columns, its direction, and the version of its feature set."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import yaml

from propensity.kernel.errors import PackError
from propensity.pack.domain.definition import Definition, parse_definition

MODEL = """
name: again
hypothesis: h
owner: o
population: {description: d, sql: select 1}
target: {description: d, sql: select 2}
horizon_days: 30
features: [habit]
training: {as_of_count: 2, every_months: 1}
candidates: [{family: random_forest}]
"""
HABIT = """
group: habit
description: How often.
owner: shop-team
features:
  - {name: weeks, unit: weeks, description: Weeks since, reason: "{value} weeks; typical {typical}"}
  - {name: orders, dtype: integer, description: Orders so far, default: 0}
  - {name: tier, dtype: category, categories: [gold, silver], default: silver, description: Tier, shown_as: value}
"""
SQL = "select tenant_id, customer, 1 as weeks, 2 as orders, 'gold' as tier from orders -- a comment"


def definition(habit: str = HABIT, sql: str = SQL) -> Definition:
    files = {"models/again.yaml": MODEL, "features/habit.yaml": habit, "features/habit.sql": sql}
    return parse_definition(files, "again", where="shop", entity="customer")


def changed(feature: str, fields: Mapping[str, object], group: str = HABIT) -> str:
    """The group, with changed fields of one feature."""
    parsed = yaml.safe_load(group)
    [one] = [one for one in parsed["features"] if one["name"] == feature]
    one |= fields
    return yaml.safe_dump(parsed, sort_keys=False)


def test_a_definition_keeps_the_version_it_had_before_there_were_owners_directions_and_indicators() -> None:
    # this definition's version before these fields existed: feature tables and models are named by it
    assert definition().feature_set == "040981e019b0"


@pytest.mark.parametrize(
    ("feature", "fields"),
    [
        ("weeks", {"description": "Weeks since the last order"}),
        ("weeks", {"owner": "somebody-else"}),
        ("weeks", {"reason": None}),
        ("weeks", {"shown_as": "exp"}),
        ("weeks", {"missing_indicator": False, "monotonic": None}),
    ],
)
def test_what_is_for_people_is_no_new_version(feature: str, fields: Mapping[str, object]) -> None:
    assert definition(changed(feature, fields)).feature_set == definition().feature_set
    assert definition(sql=SQL.replace(" from", "\n  from").replace("a comment", "another")).feature_set == (
        definition().feature_set
    )


def test_white_space_and_comments_mean_nothing_and_what_stands_in_quotes_does() -> None:
    def version(where: str) -> str:
        return definition(sql=f"select tenant_id, customer, 1 as weeks from orders where {where}").feature_set

    plain = version("note = '--a  b'")
    assert version("note /* why */ =\n -- and how\n\t'--a  b' ; ") == plain
    others = {version(f"note = {value}") for value in ("'--a b'", "'--b'", "'/* a */'", "'it''s --a'", "'it''s --b'")}
    assert len({plain, *others}) == 6
    assert version('"a  b" = 1') != version('"a b" = 1')


def test_what_decides_values_or_how_they_are_used_is_a_new_version_each() -> None:
    others = [
        changed("weeks", {"missing_indicator": True}),
        changed("weeks", {"monotonic": "increasing"}),
        changed("weeks", {"monotonic": "decreasing"}),
        changed("weeks", {"default": 0}),
        changed("weeks", {"unit": "days"}),
        changed("weeks", {"dtype": "integer"}),
        changed("tier", {"categories": ["silver", "gold"]}),
        changed("orders", {"missing_indicator": True}),
    ]
    versions = {definition(one).feature_set for one in others} | {definition().feature_set}
    versions.add(definition(sql=SQL.replace("1 as weeks", "3 as weeks")).feature_set)
    assert len(versions) == len(others) + 2


def test_an_indicator_stands_behind_its_feature_and_the_others_where_they_were() -> None:
    both = definition(changed("orders", {"missing_indicator": True, "monotonic": "increasing", "owner": "finance"}))
    assert both.feature_names == ("weeks", "orders", "orders_missing", "tier")
    assert both.directions == (0, 1, 0, 0)
    [group] = both.groups
    assert [group.owner_of(one) for one in group.columns] == ["shop-team", "finance", "finance", "shop-team"]
    assert definition(changed("weeks", {"monotonic": "decreasing"})).directions == (-1, 0, 0)


def test_a_definition_reads_back_from_its_own_files_as_it_was() -> None:
    one = definition(changed("orders", {"missing_indicator": True, "monotonic": "increasing", "owner": "finance"}))
    assert parse_definition(one.files(), "again", where="v1") == one


@pytest.mark.parametrize(
    ("habit", "told"),
    [
        (changed("tier", {"monotonic": "increasing"}), "feature tier: categories have no order"),
        (changed("weeks", {"monotonic": "rising"}), "'increasing' or 'decreasing'"),
        (changed("weeks", {"name": "w" * 43, "missing_indicator": True}), "42 letters"),
        (
            changed("weeks", {"missing_indicator": True}, changed("orders", {"name": "weeks_missing"})),
            "features weeks_missing are defined more than once",
        ),
    ],
)
def test_what_cannot_be_meant_is_told_by_the_feature(habit: str, told: str) -> None:
    with pytest.raises(PackError, match=told):
        definition(habit)
