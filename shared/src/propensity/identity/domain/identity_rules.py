"""The rules of identity.yaml, by which customers of a pack are one person, or live in one household.

A rule names columns of the pack's contracts. This module and its SQL do not know what the values in the columns mean.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from propensity.kernel.errors import BadInputError, PackError
from propensity.kernel.spec import Frozen, Name
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.definition import parse_file

FILE = "identity.yaml"
Level = Literal["person", "household"]
LEVELS: tuple[Level, ...] = ("person", "household")
IdentityNormalisation = Literal["no_accents", "lower", "no_plus_suffix", "letters_and_digits", "digits"]
ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*\.[A-Za-z][A-Za-z0-9_]*$")]
Arm = Literal["treatment", "control"]


class RulePart(Frozen):
    """One value of a rule, and the columns (`dataset.column`) that may bring the value.

    Values are trimmed, then normalised by the steps of `normalise` in the order of IdentityNormalisation. A value that
    matches a pattern of `ignore` as a whole (RE2) is left out, for example a telephone number of zeros only.
    `within_days` takes only events of the last days before the slot.
    """

    columns: tuple[ColumnName, ...] = Field(min_length=1)
    normalise: tuple[IdentityNormalisation, ...] = ()
    ignore: tuple[str, ...] = ()
    within_days: int | None = Field(None, ge=1)

    @field_validator("ignore")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for number, pattern in enumerate(patterns):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"pattern {number + 1}: {error}; expected a regular expression") from error
        return patterns


class IdentityRule(Frozen):
    """A rule joins customers of a tenant whose values are equal in every part.

    More than `max_customers` customers with equal values are not joined.
    """

    name: Name
    description: str
    parts: tuple[RulePart, ...] = Field(min_length=1)
    max_customers: int = Field(ge=2)


class IdentityRules(Frozen):
    """The rules of a pack. A household is made of whole persons, so a person rule joins households too."""

    person: tuple[IdentityRule, ...] = ()
    household: tuple[IdentityRule, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> IdentityRules:
        names = [rule.name for _, rule in self.rules()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"rules {', '.join(twice)}: a name stands for one rule")
        return self

    def rules(self) -> Iterator[tuple[Level, IdentityRule]]:
        yield from (("person", rule) for rule in self.person)
        yield from (("household", rule) for rule in self.household)


def parse_identity(
    files: Mapping[str, str], contracts: Mapping[str, Contract], *, entity: str, pack: str
) -> IdentityRules:
    """Parse the pack's rules. `contracts` has the contract of each dataset. Raises PackError naming file and field."""
    rules = parse_file(IdentityRules, files, FILE, pack)
    for level in LEVELS:
        for number, rule in enumerate(getattr(rules, level)):
            for place, part in enumerate(rule.parts):
                _check(part, contracts, entity, f"{pack}/{FILE}: {level}.{number}.parts.{place}")
    return rules


def datasets_with(entity: str, contracts: Mapping[str, Contract]) -> list[str]:
    """The sorted names of the datasets that have a column of customers."""
    return sorted(
        dataset for dataset, contract in contracts.items() if any(column.name == entity for column in contract.columns)
    )


def _check(part: RulePart, contracts: Mapping[str, Contract], entity: str, where: str) -> None:
    kinds = set()
    for source in part.columns:
        dataset, name = source.split(".")
        contract = contracts.get(dataset)
        if contract is None:
            raise PackError(f"{where}.columns: {source}: pack.yaml lists no dataset {dataset!r}")
        names = {column.name for column in contract.columns}
        for wanted in (name, entity):
            if wanted not in names:
                raise PackError(f"{where}.columns: {source}: contract {dataset} has no column {wanted!r}")
        kinds.add(contract.kind)
    if part.within_days is not None and "event" not in kinds:
        raise PackError(f"{where}.within_days: none of its columns is an event dataset's; only events have a day")


def rollout_arm(household_id: str, *, salt: str, share: float) -> Arm:
    """The arm of a household: `treatment` for about `share` (0 to 1) of all households, `control` for the others.

    The first 64 bits of a sha256 of salt and household id, as a number in [0, 1), are held against `share`. So a
    household and a salt always give the same arm, and a larger share keeps the households of a smaller share.
    """
    if not 0 <= share <= 1:
        raise BadInputError(f"share is {share}, expected 0 to 1")
    digest = hashlib.sha256(f"{salt}\x1f{household_id}".encode()).digest()
    return "treatment" if int.from_bytes(digest[:8], "big") < share * 2**64 else "control"
