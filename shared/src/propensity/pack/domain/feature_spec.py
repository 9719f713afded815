"""A feature group: one SQL file, and YAML that says what its columns mean."""

from __future__ import annotations

from math import isfinite
from typing import Any, Literal

from pydantic import model_validator

from propensity.kernel.spec import NAME_LENGTH, Frozen, Name

Monotonic = Literal["increasing", "decreasing"]
_MISSING = "_missing"


class Feature(Frozen):
    """One column of the feature matrix: float32, NaN where unknown.

    `reason` is a sentence with {value} and {typical}. A feature kept as a logarithm is shown to people as `exp` or
    `expm1` of it, which `shown_as` says. `owner` is the group's owner where the feature names none. `monotonic` says
    that a greater value never lowers (increasing) or never raises (decreasing) the score, in a family that can be held
    to it. With `missing_indicator` a column of its own says where the SQL knew no value.
    """

    name: Name
    dtype: Literal["number", "integer", "boolean", "category"] = "number"
    description: str
    unit: str | None = None
    default: float | str | None = None
    categories: tuple[str, ...] = ()
    shown_as: Literal["value", "exp", "expm1"] = "value"
    reason: str | None = None
    owner: str | None = None
    monotonic: Monotonic | None = None
    missing_indicator: bool = False

    @property
    def indicator(self) -> Feature:
        """The column `<name>_missing`. It holds 1 where the SQL knew no value, before the default, and 0 elsewhere."""
        return Feature(
            name=f"{self.name}{_MISSING}",
            dtype="boolean",
            description=f"Not known: {self.description}",
            default=1,  # the value for a customer whom the group's SQL does not give
            owner=self.owner,
        )

    @property
    def direction(self) -> int:
        """The direction: 1 where a greater value may only raise the score, -1 where it may only lower it, else 0."""
        return {"increasing": 1, "decreasing": -1, None: 0}[self.monotonic]

    @property
    def meaning(self) -> dict[str, Any]:
        """The fields that the feature-set version is hashed from.

        They decide values; fields for people are not among them. A field that later releases added is hashed only where
        it is used, so that older definitions keep their version.
        """
        fields = self.model_dump(mode="json", exclude={"description", "reason", "shown_as", "owner"})
        for later in ("monotonic", "missing_indicator"):
            if not fields[later]:
                del fields[later]
        return fields

    @model_validator(mode="after")
    def _direction_needs_an_order(self) -> Feature:
        if self.monotonic and self.dtype == "category":
            raise ValueError(f"feature {self.name}: categories have no order, expected no monotonic")
        return self

    @model_validator(mode="after")
    def _default_is_a_value_of_the_feature(self) -> Feature:
        if self.default is None:
            return self
        if self.dtype == "category":
            if str(self.default) not in self.categories:
                raise ValueError(
                    f"feature {self.name}: default is {self.default!r}, expected one of {', '.join(self.categories)}; "
                    "leave default out where no value is known"
                )
            return self
        try:
            known = isfinite(float(self.default))
        except ValueError:
            known = False
        if not known:
            raise ValueError(
                f"feature {self.name}: default is {self.default!r}, expected a number; leave default out where an "
                "unknown value stays unknown"
            )
        return self

    @model_validator(mode="after")
    def _indicator_name_is_not_too_long(self) -> Feature:
        if self.missing_indicator and len(self.name) > NAME_LENGTH - len(_MISSING):
            raise ValueError(f"feature {self.name}: a name with an indicator has {NAME_LENGTH - len(_MISSING)} letters")
        return self

    @model_validator(mode="after")
    def _categories_only_where_dtype_is_category(self) -> Feature:
        if (self.dtype == "category") != bool(self.categories):
            raise ValueError(f"feature {self.name}: dtype category and a list of categories go together")
        return self

    @model_validator(mode="after")
    def _reason_can_be_filled_in(self) -> Feature:
        sample: float | str = 1.5 if self.dtype in ("number", "integer") else "yes"
        try:
            (self.reason or "").format(value=sample, typical=sample)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"feature {self.name}: reason must be text with {{value}} and {{typical}}: {error}"
            ) from error
        return self


class FeatureGroup(Frozen):
    """One SQL file, and the meaning of its columns."""

    group: Name
    description: str
    owner: str
    features: tuple[Feature, ...]
    sql: str

    @property
    def columns(self) -> tuple[Feature, ...]:
        """The group's part of the matrix. A feature that asks for an indicator is followed by its indicator."""
        found: list[Feature] = []
        for feature in self.features:
            found += [feature, feature.indicator] if feature.missing_indicator else [feature]
        return tuple(found)

    def owner_of(self, feature: Feature) -> str:
        return feature.owner or self.owner
