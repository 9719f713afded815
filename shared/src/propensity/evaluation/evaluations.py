"""evaluation.json of a training run: the record that evaluate_candidate writes, and that later steps read."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from propensity.kernel.spec import Record
from propensity.lake.json_objects import dumps, read_record, write_once
from propensity.ports import ObjectStore


class Evaluation(Record):
    """The findings about a training run. The fields with a default are missing in older evaluations.

    `family`, `parameters`, `metrics`, `gates`, `packages` and `files` are the chosen candidate's. `files` has names in
    the version's folder with the keys of the run's files. `candidates` has what each fit said, with the fit's parity.
    `report` is the content of report.json. `card` has figures that only the model card shows. `training_set` is the
    hash of the training set.
    """

    family: str
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    gates: tuple[dict[str, Any], ...]
    packages: dict[str, str]
    files: dict[str, str]
    candidates: tuple[dict[str, Any], ...] = ()
    report: dict[str, Any] = Field(default_factory=dict)
    card: dict[str, Any] = Field(default_factory=dict)
    training_set: str | None = None
    seed: int | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """What the fit of the chosen candidate said about itself."""
        return next(candidate for candidate in self.candidates if candidate["family"] == self.family)


def read_evaluation(store: ObjectStore, run: str) -> Evaluation:
    """Read the evaluation of a run. Raises NotFoundError for a run that was not evaluated yet."""
    return read_record(store, _key(run), Evaluation)


def write_evaluation(store: ObjectStore, run: str, evaluation: Evaluation) -> Evaluation:
    """Write an evaluation. Return the evaluation that stands: this one, or the one of an earlier try of the step."""
    write_once(store, _key(run), dumps(evaluation.model_dump()))
    return read_evaluation(store, run)


def _key(run: str) -> str:
    return f"{run}/evaluation.json"
