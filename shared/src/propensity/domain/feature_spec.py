"""A feature group: one SQL file, and YAML that says what its columns mean."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from propensity.domain.spec import Frozen, Name


class Feature(Frozen):
    """One column of the feature matrix: float32, NaN where unknown.

    `reason` is a sentence with {value} and {typical}; a feature kept as a logarithm is shown as `exp` or `expm1` of it.
    """

    name: Name
    dtype: Literal["number", "integer", "boolean", "category"] = "number"
    description: str
    unit: str | None = None
    default: float | str | None = None
    categories: tuple[str, ...] = ()
    shown_as: Literal["value", "exp", "expm1"] = "value"
    reason: str | None = None

    @model_validator(mode="after")
    def _categories_belong_to_category(self) -> Feature:
        if (self.dtype == "category") != bool(self.categories):
            raise ValueError(f"feature {self.name}: dtype category and a list of categories go together")
        return self

    @model_validator(mode="after")
    def _reason_can_be_said(self) -> Feature:
        sample: float | str = 1.5 if self.dtype in ("number", "integer") else "yes"
        try:
            (self.reason or "").format(value=sample, typical=sample)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"feature {self.name}: reason must be text with {{value}} and {{typical}}: {error}"
            ) from error
        return self


class FeatureGroup(Frozen):
    """One SQL file and what its columns mean."""

    group: Name
    description: str
    owner: str
    features: tuple[Feature, ...]
    sql: str
