"""report_features: the newest catalogue of features, and how two feature sets differ."""

from __future__ import annotations

from typing import Any

from propensity.features.domain.catalogue import CATALOGUE
from propensity.features.domain.feature_diff import set_difference
from propensity.features.feature_sets import FeatureSets
from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.lake.json_objects import read_json
from propensity.ports import Ports


def newest_catalogue(ports: Ports) -> dict[str, Any]:
    """The newest catalogue of features. Raises NotFoundError where no catalogue was made yet."""
    keys = [key for key in ports.lake.keys(f"{CATALOGUE}/") if key.endswith(".json")]
    if not keys:
        raise NotFoundError("no catalogue of features yet; describe_features makes one each week, or when it is called")
    return read_json(ports.lake, max(keys))


def compare_feature_sets(ports: Ports, *, before: str | None, after: str | None) -> dict[str, Any]:
    """The difference of two feature sets (`set_difference`), and `used_by`: who uses each feature that differs.

    `before` and `after` are each `<model>` for the pack's definition, `<model>@<version>`, or a feature set's hash.
    Raises NotFoundError, and BadInputError naming `from` or `to`.
    """
    if not before or not after:
        raise BadInputError("from and to: expected both, each <model>, <model>@<version>, or a feature set's hash")
    sets = FeatureSets(ports)
    old, new = sets.find(before, "from"), sets.find(after, "to")
    difference = set_difference(sets.whole(old), sets.whole(new))
    differ = [
        *difference["added"],
        *difference["removed"],
        *(feature["name"] for feature in difference["changed"]),
    ]
    used: dict[str, list[str]] = {name: [] for name in differ}
    # every use of a feature set has the same features
    names = {use.feature_set: set(sets.described(use)) for use in (old, new)}
    for use in sets.uses():
        for name in names.get(use.feature_set, set()) & used.keys():
            used[name].append(use.name)
    return {**difference, "used_by": used, "problems": sets.problems}
