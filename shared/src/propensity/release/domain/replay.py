"""What a replay says: whether a version came out again, and what stands in the way where it did not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_ABS = 1e-6  # largest difference of a score


@dataclass(frozen=True, slots=True)
class Replayed:
    """A registered version and its replay, side by side. A hash is None where nobody wrote one down, or can any more.

    `original_now`: the hash of the files that the version was trained on, as they lie there today. `erased`: rows of
    the pinned tables that were erased since, by dataset. `raw` and `calibrated`: largest differences of a score by the
    version's own model; `laddered`: by whichever model of the ladder scores the row's tenant, None where neither has a
    ladder. `moved`: tenants that stand elsewhere on it now.
    """

    registered_hash: str | None
    replayed_hash: str
    original_now: str | None
    registered_seed: int | None
    replayed_seed: int
    registered_packages: Mapping[str, str]
    replayed_packages: Mapping[str, str]
    registered_model: tuple[str, Mapping[str, Any]]
    replayed_model: tuple[str, Mapping[str, Any]]
    erased: Mapping[str, int]
    raw: float
    calibrated: float
    laddered: float | None = None
    moved: int = 0
    without_ladder: bool = False  # the version has one, and the replay made none

    @property
    def same_set(self) -> bool | None:
        """None where the version has no hash."""
        return None if self.registered_hash is None else self.registered_hash == self.replayed_hash

    @property
    def same_scores(self) -> bool:
        return self.furthest <= MAX_ABS

    @property
    def furthest(self) -> float:
        return max(self.raw, self.calibrated, self.laddered or 0.0)

    @property
    def same(self) -> bool:
        return self.same_scores and self.same_set is not False and not self.moved

    @property
    def packages(self) -> dict[str, list[str | None]]:
        """Packages whose versions differ: then and now."""
        then, now = self.registered_packages, self.replayed_packages
        return {
            name: [then.get(name), now.get(name)]
            for name in sorted({*then, *now})
            # a package that the version did not write down is no difference
            if name in then and then.get(name) != now.get(name)
        }

    def said(self) -> list[str]:
        """Sentences: what differs, and why as far as can be told."""
        told = []
        if self.same_set is None:
            told.append("the version is from before training sets were hashed: only scores are held against each other")
        elif not self.same_set:
            told.append("the training set is another one than was hashed when the version was registered")
        if self.erased:
            rows = ", ".join(f"{rows} of {dataset}" for dataset, rows in sorted(self.erased.items()))
            told.append(f"rows of the pinned tables were erased since ({rows}), so neither can be the same")
        if self.registered_hash is not None and self.original_now not in (None, self.registered_hash):
            told.append("the files that the version was trained on are not what they were: changed, or rows erased")
        if self.registered_seed not in (None, self.replayed_seed):
            told.append(f"the seed was {self.registered_seed} and is {self.replayed_seed}")
        told += [f"{name} was {then} and is {now or 'not there'}" for name, (then, now) in self.packages.items()]
        if self.registered_model != self.replayed_model:
            told.append(
                f"the search ended with {_named(self.replayed_model)} where it was {_named(self.registered_model)}"
            )
        if self.without_ladder:
            told.append("the ladder was not replayed: replay again, by an execution that begins after this deployment")
        if self.moved:
            told.append(f"tenants that stand on another rung, or with other numbers on it: {self.moved}")
        if not self.same_scores:
            told.append(f"scores differ by up to {self.furthest:.3g}, more than {MAX_ABS:g}")
        return told

    def to_json(self) -> dict[str, Any]:
        return {
            "same": self.same,
            "said": self.said(),
            "training_set": {
                "registered": self.registered_hash,
                "replayed": self.replayed_hash,
                "original_now": self.original_now,
                "same": self.same_set,
            },
            "seed": {"registered": self.registered_seed, "replayed": self.replayed_seed},
            "packages": {
                "registered": dict(self.registered_packages),
                "replayed": dict(self.replayed_packages),
                "differ": self.packages,
            },
            "model": {"registered": list(self.registered_model), "replayed": list(self.replayed_model)},
            "erased": dict(self.erased),
            "scores": {
                "max_abs_raw": self.raw,
                "max_abs_calibrated": self.calibrated,
                "max_abs_laddered": self.laddered,
                "limit": MAX_ABS,
            },
            "tenants_moved": self.moved,
        }


def _named(model: tuple[str, Mapping[str, Any]]) -> str:
    return f"{model[0]} {dict(model[1])}"
