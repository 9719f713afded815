"""A pack's rules around its models: rules.yaml says which customers a list takes, whatever their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from propensity.kernel.errors import PackError
from propensity.kernel.spec import Frozen, Name
from propensity.pack.domain.definition import DefinitionQuery, parse_file
from propensity.pack.domain.destination_spec import Destination

RULES_FILE = "rules.yaml"
DESTINATIONS = "destinations"
MOST_BAND = 20  # points of the percentile on either side of a cut


class ListRule(Frozen):
    """One rule: a SELECT of customers as of the date, and what becomes of them.

    `suppress` keeps them off every list. `require` keeps everybody else off. `boost` multiplies the odds of their score
    by `by` when a list is ordered; the score itself stays. `review` lets them wait until a person decides. Without
    `models` the rule is for every model of the pack.
    """

    name: Name
    action: Literal["suppress", "require", "boost", "review"]
    description: str
    sql: str
    models: tuple[Name, ...] = ()
    by: Annotated[float, Field(gt=0, le=100)] | None = None

    @model_validator(mode="after")
    def _by_of_boost(self) -> ListRule:
        if (self.action == "boost") != (self.by is not None):
            raise ValueError("by: a boost needs the factor of the odds, and no other rule has one")
        return self

    @property
    def query(self) -> DefinitionQuery:
        """The rule's query, as a session runs it."""
        return DefinitionQuery("rule", f"rule {self.name}", self.sql)


class ReviewPolicy(Frozen):
    """What is common to all reviews of a pack.

    `band` lets customers wait whose place is at most so many points of the percentile from the cut of a list, on either
    side; 0 lets nobody wait for that. A decision holds for `holds_days` days from the day on which it was taken.
    """

    band: Annotated[int, Field(ge=0, le=MOST_BAND)] = 0
    holds_days: Annotated[int, Field(ge=1, le=3650)] = 90


class ListRules(Frozen):
    """The content of rules.yaml. Of several rules that a customer meets the first one speaks."""

    rules: tuple[ListRule, ...] = ()
    review: ReviewPolicy = ReviewPolicy()

    @model_validator(mode="after")
    def _names(self) -> ListRules:
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"rules: {', '.join(twice)} stands there more than once")
        return self

    def of(self, model: str) -> tuple[ListRule, ...]:
        """The rules of a model, in the order of the file."""
        return tuple(rule for rule in self.rules if not rule.models or model in rule.models)


def parse_rules(files: Mapping[str, str], where: str) -> ListRules:
    """Parse rules.yaml; no rules where the pack has none. Raises PackError, which names the field."""
    return parse_file(ListRules, files, RULES_FILE, where) if RULES_FILE in files else ListRules()


def destination_names(files: Mapping[str, str]) -> list[str]:
    """The names of a pack's destinations, sorted."""
    prefix = f"{DESTINATIONS}/"
    found = [path.removeprefix(prefix) for path in files if path.startswith(prefix) and path.endswith(".yaml")]
    return sorted(name.removesuffix(".yaml") for name in found)


def parse_destination(files: Mapping[str, str], name: str, where: str) -> Destination:
    """Parse the destination of a name. Raises PackError, which names the field."""
    path = f"{DESTINATIONS}/{name}.yaml"
    found = parse_file(Destination, files, path, where)
    if found.name != name:
        raise PackError(f"{where}/{path}: name is {found.name!r}, expected {name!r} as the file says; rename one")
    return found
