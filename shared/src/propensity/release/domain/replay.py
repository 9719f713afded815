"""The findings of a replay: whether a version came out again, and what stands in the way where it did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from propensity.kernel.spec import Record

MAX_ABS = 1e-6  # the largest difference of a score that still counts as the same score


class ComparedSets(Record):
    """The hashes of three training sets: the version's, the replay's, and the version's own files as they are today."""

    registered: str | None
    replayed: str
    original_now: str | None
    same: bool | None


class ComparedSeeds(Record):
    registered: int | None
    replayed: int


class ComparedPackages(Record):
    """The versions of packages by name; `differ` has, for each package that differs, its version then and now."""

    registered: Mapping[str, str]
    replayed: Mapping[str, str]
    differ: Mapping[str, Sequence[str | None]]


class ComparedModels(Record):
    """The family and parameters of the version's model and of the replay's model."""

    registered: Sequence[Any]
    replayed: Sequence[Any]


class ComparedScores(Record):
    """The largest differences of a score; Replayed says what each field means."""

    max_abs_raw: float
    max_abs_calibrated: float
    max_abs_laddered: float | None = None
    limit: float


class ReplayReport(Record):
    """The report of a replay: `registry/<model>/replays/<version>-<request>.json`.

    `silver` has the versions of the tables that were read. `rows` says how many rows both models scored. `said` has
    sentences on what differs. `erased` counts the rows of these tables that were erased since, by dataset.
    `tenants_moved` counts the tenants that stand elsewhere on the ladder.
    """

    version: int
    run: str
    silver: Mapping[str, int]
    rows: int
    same: bool
    said: Sequence[str]
    training_set: ComparedSets
    seed: ComparedSeeds
    packages: ComparedPackages
    model: ComparedModels
    erased: Mapping[str, int]
    scores: ComparedScores
    tenants_moved: int = 0


@dataclass(frozen=True, slots=True)
class Replayed:
    """A registered version and its replay, side by side.

    A hash is None where it was never recorded, or where the files to hash are gone. `original_now` is the hash of the
    version's training files as they are today. `erased` counts the rows of the pinned tables that were erased since, by
    dataset. `raw` and `calibrated` are the largest difference of a score by the version's own model, before and after
    calibration. `laddered` is the same difference by the model of the ladder that scores the row's tenant; it is None
    where neither has a ladder. `moved` says how many tenants stand elsewhere on the ladder now.
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
    without_ladder: bool = False  # the version has a ladder, and the replay made none

    @property
    def same_set(self) -> bool | None:
        """Whether the training sets are the same; None where the version has no hash."""
        return None if self.registered_hash is None else self.registered_hash == self.replayed_hash

    @property
    def same_scores(self) -> bool:
        return self.furthest <= MAX_ABS

    @property
    def furthest(self) -> float:
        """The largest difference of any score."""
        return max(self.raw, self.calibrated, self.laddered or 0.0)

    @property
    def same(self) -> bool:
        return self.same_scores and self.same_set is not False and not self.moved

    @property
    def packages(self) -> dict[str, list[str | None]]:
        """Return, for each package whose version differs, its version then and now."""
        then, now = self.registered_packages, self.replayed_packages
        return {
            name: [then.get(name), now.get(name)]
            for name in sorted({*then, *now})
            # a package that the version did not record counts as no difference
            if name in then and then.get(name) != now.get(name)
        }

    def sentences(self) -> list[str]:
        """Say in sentences what differs, and why as far as the reason can be told."""
        sentences = []
        if self.same_set is None:
            sentences.append(
                "the version is from before training sets were hashed: only scores are held against each other"
            )
        elif not self.same_set:
            sentences.append("the training set is another one than was hashed when the version was registered")
        if self.erased:
            rows = ", ".join(f"{rows} of {dataset}" for dataset, rows in sorted(self.erased.items()))
            sentences.append(f"rows of the pinned tables were erased since ({rows}), so neither can be the same")
        if self.registered_hash is not None and self.original_now not in (None, self.registered_hash):
            sentences.append(
                "the files that the version was trained on are not what they were: changed, or rows erased"
            )
        if self.registered_seed not in (None, self.replayed_seed):
            sentences.append(f"the seed was {self.registered_seed} and is {self.replayed_seed}")
        sentences += [f"{name} was {then} and is {now or 'not there'}" for name, (then, now) in self.packages.items()]
        if self.registered_model != self.replayed_model:
            sentences.append(
                f"the search ended with {_named(self.replayed_model)} where it was {_named(self.registered_model)}"
            )
        if self.without_ladder:
            sentences.append(
                "the ladder was not replayed: replay again, by an execution that begins after this deployment"
            )
        if self.moved:
            sentences.append(f"tenants that stand on another rung, or with other numbers on it: {self.moved}")
        if not self.same_scores:
            sentences.append(f"scores differ by up to {self.furthest:.3g}, more than {MAX_ABS:g}")
        return sentences

    def report(self, *, version: int, run: str, silver: Mapping[str, int], rows: int) -> ReplayReport:
        """Return the report of the replay by `run`, over `rows` scored rows."""
        return ReplayReport(
            version=version,
            run=run,
            silver=silver,
            rows=rows,
            same=self.same,
            said=self.sentences(),
            training_set=ComparedSets(
                registered=self.registered_hash,
                replayed=self.replayed_hash,
                original_now=self.original_now,
                same=self.same_set,
            ),
            seed=ComparedSeeds(registered=self.registered_seed, replayed=self.replayed_seed),
            packages=ComparedPackages(
                registered=self.registered_packages, replayed=self.replayed_packages, differ=self.packages
            ),
            model=ComparedModels(registered=self.registered_model, replayed=self.replayed_model),
            erased=self.erased,
            scores=ComparedScores(
                max_abs_raw=self.raw,
                max_abs_calibrated=self.calibrated,
                max_abs_laddered=self.laddered,
                limit=MAX_ABS,
            ),
            tenants_moved=self.moved,
        )


def _named(model: tuple[str, Mapping[str, Any]]) -> str:
    return f"{model[0]} {dict(model[1])}"
