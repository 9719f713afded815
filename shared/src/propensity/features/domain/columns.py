"""A feature as a column of the matrix: SQL expressions that give float32."""

from __future__ import annotations

from propensity.kernel.sql_text import quote, text
from propensity.pack.domain.feature_spec import Feature


def expression(feature: Feature) -> str:
    """A feature's column as float32: categories as their position in the YAML (unknown: missing), then the default."""
    default: float | None = None
    if feature.default is not None:
        category = feature.dtype == "category"
        default = float(feature.categories.index(str(feature.default)) if category else feature.default)
    return known_value(feature) if default is None else f"coalesce({known_value(feature)}, {default}::float)"


def indicator(feature: Feature) -> str:
    """Its missingness as float32: 1 where no value is known, whatever stands there by default, else 0."""
    return f"({known_value(feature)} is null)::float"


def known_column(feature: Feature) -> str:
    """No feature has a dot in its name."""
    return f"{feature.name}.known"


def known_value(feature: Feature) -> str:
    """The value as float32, NULL where the SQL gave none."""
    value = quote(feature.name)
    if feature.dtype == "category":
        listed = ", ".join(text(category) for category in feature.categories)
        value = f"nullif(list_position([{listed}], {value}), 0) - 1"
    # a NaN or infinity that the SQL made is as unknown as a null
    return f"case when isfinite(({value})::double) then ({value})::float end"
