"""report_features: the newest catalogue, and what sets two feature sets apart."""

from __future__ import annotations

from typing import Any

from propensity.features.domain.catalogue import CATALOGUE
from propensity.features.domain.feature_diff import compare
from propensity.features.feature_sets import FeatureSets
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.lake.json_objects import read_json
from propensity.ports import Ports


def newest_catalogue(ports: Ports) -> dict[str, Any]:
    """Raises NotFoundError before the first one was made."""
    keys = [key for key in ports.lake.keys(f"{CATALOGUE}/") if key.endswith(".json")]
    if not keys:
        raise NotFoundError("no catalogue of features yet; describe_features makes one each week, or when it is called")
    return read_json(ports.lake, max(keys))


def compare_feature_sets(ports: Ports, *, before: str | None, after: str | None) -> dict[str, Any]:
    """`features/domain/feature_diff.compare`, with `used_by`: the models that use each feature that differs.

    Both are `<model>` for the pack's definition, `<model>@<version>`, or a feature set's hash. Raises BadInputError
    naming `from` or `to`, NotFoundError.
    """
    if not before or not after:
        raise BadInputError("from and to: expected both, each <model>, <model>@<version>, or a feature set's hash")
    sets = FeatureSets(ports)
    old, new = sets.find(before, "from"), sets.find(after, "to")
    told = compare(sets.whole(old), sets.whole(new))
    differ = [*told["added"], *told["removed"], *(one["name"] for one in told["changed"])]
    used: dict[str, list[str]] = {name: [] for name in differ}
    # what has one version of a feature set has the same features
    names = {one.feature_set: set(sets.described(one)) for one in (old, new)}
    for use in sets.uses():
        for name in names.get(use.feature_set, set()) & used.keys():
            used[name].append(use.name)
    return {**told, "used_by": used, "problems": sets.problems}
