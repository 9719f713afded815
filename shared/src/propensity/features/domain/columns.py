"""A feature as a column of the matrix: the SQL expressions that give the column as float32."""

from __future__ import annotations

from propensity.kernel.sql_text import quote, text
from propensity.pack.domain.feature_spec import Feature


def expression(feature: Feature) -> str:
    """A feature's column as float32, with the feature's default where no value is known.

    A category is its position in the YAML, counted from 0. A category that the YAML does not list is not known.
    """
    default: float | None = None
    if feature.default is not None:
        category = feature.dtype == "category"
        default = float(feature.categories.index(str(feature.default)) if category else feature.default)
    return known_value(feature) if default is None else f"coalesce({known_value(feature)}, {default}::float)"


def indicator(feature: Feature) -> str:
    """A feature's missingness indicator as float32: 1 where no value is known, even if there is a default, else 0."""
    return f"({known_value(feature)} is null)::float"


def known_column(feature: Feature) -> str:
    """The name of the column that says whether a feature's value is known. No feature has a dot in its name."""
    return f"{feature.name}.known"


def known_value(feature: Feature) -> str:
    """A feature's value as float32. The value is NULL where the SQL gave none."""
    value = quote(feature.name)
    if feature.dtype == "category":
        listed = ", ".join(text(category) for category in feature.categories)
        value = f"nullif(list_position([{listed}], {value}), 0) - 1"
    # a NaN or infinity that the SQL made is as unknown as a null
    return f"case when isfinite(({value})::double) then ({value})::float end"
