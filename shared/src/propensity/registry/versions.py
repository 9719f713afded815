"""The model registry in the object store: one folder per version, never rewritten, and an append-only ledger per model.

Every write is conditional. The lines of two processes that write to one ledger therefore get one order, and a written
version stays as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import Field

from propensity.kernel.errors import NotFoundError, RetryableError
from propensity.kernel.spec import Record
from propensity.lake.definition_files import read_definition
from propensity.lake.json_objects import claim, dumps, is_planned, parse_record, read_json
from propensity.pack.domain.definition import Definition
from propensity.ports import ObjectReader, ObjectStore
from propensity.registry.domain.ladder import LADDER
from propensity.registry.domain.ledger import (
    CHAMPION,
    REASONS_FILE,
    STAGING,
    GateSummary,
    LedgerLine,
    calibration_root,
    ledger_key,
    ledger_root,
    model_root,
    model_standing,
    next_number,
    version_folder,
)

_RACES = 20
_READERS = 8  # threads that read ledger lines; they are fewer than the connections that a boto3 client keeps
# Other files of a version may hold customers' rows, and erasures rewrite such files.
_SCORES_REST_ON = ("model.onnx", "calibration.json", "explanation.json", REASONS_FILE, "reference.json", LADDER)
# The scores also depend on every file in these folders: features and SQL, the models of segments and tenants.
_FOLDERS = ("definition/", "ladder/")
_SEAL = "lineage.json"  # lineage.json is written last: a version without it does not exist


class VersionSchema(Record):
    """The features of a version in order, and per dataset the columns in the version's SQL, with their DuckDB types."""

    features: tuple[str, ...] | None = None
    columns: Mapping[str, Mapping[str, str]] | None = None


class VersionLineage(Record):
    """The lineage of a version, as its lineage.json has it.

    (The lineage of columns is another thing: kernel/lineage.py.) The check before an alias moves compares the version
    with `schema` and with `files`, the SHA-256 of each file that its scores depend on. A replay repeats `dates` (as-of
    dates), `silver` (the version of each table), `retracted`, `silver_at` and `seed`. A replay compares `training_set`
    (a hash), `packages`, `family` and `parameters`. A field with a default may be
    missing in an older lineage.json.
    """

    run: str
    model: str
    as_of: str
    dates: tuple[str, ...]
    family: str
    parameters: Mapping[str, Any]
    feature_set: str
    recipe: str | None = None
    silver: Mapping[str, int]
    retracted: Mapping[str, Any] = {}
    silver_at: Mapping[str, Any] | None = None
    packages: Mapping[str, str]
    fitted: VersionSchema | None = Field(default=None, alias="schema")
    files: Mapping[str, str] | None = None
    training_set: str | None = None
    seed: int | None = None

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True)


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version.

    `lineage` is the content of its lineage.json, and `provenance` is that content as a record.
    """

    model: str
    number: int
    folder: str
    lineage: Mapping[str, Any]

    @property
    def provenance(self) -> VersionLineage:
        return parse_record(self.lineage, f"{self.folder}/{_SEAL}", VersionLineage)

    def definition(self, store: ObjectReader) -> Definition:
        return read_definition(store, f"{self.folder}/definition", self.model)

    def recipe(self, store: ObjectReader) -> str:
        """Return the recipe of the version's definition; a version from before it was recorded is read for it."""
        return self.provenance.recipe or self.definition(store).recipe

    def json(self, store: ObjectReader, name: str) -> dict[str, Any]:
        return read_json(store, f"{self.folder}/{name}")

    def gates(self, store: ObjectStore) -> GateSummary:
        """Return the version's passed and failed gates. Raises NotFoundError where no gates were recorded."""
        return GateSummary.of(json.loads(store.get(f"{self.folder}/gates.json")))

    def onnx(self, store: ObjectReader) -> bytes:
        return store.get(f"{self.folder}/model.onnx")


def read_ledger(store: ObjectStore, model: str, known: Sequence[LedgerLine] = ()) -> list[LedgerLine]:
    """Read all lines of a model's ledger, in order.

    `known` has the first lines, which the caller has read already; lines never change.
    """
    keys = list(store.keys(ledger_root(model)))[len(known) :]
    # the lines are small objects, so nearly all the time is waiting for each of them
    with ThreadPoolExecutor(_READERS) as pool:
        return [*known, *(LedgerLine.model_validate_json(body) for body in pool.map(store.get, keys))]


def dated_ledger(store: ObjectStore, model: str) -> list[tuple[datetime, LedgerLine]]:
    """Read all lines of a model's ledger, each with the time at which the line's object was written.

    The `at` of a line is not always that time: it may be the day of a run's plan.
    """
    lines = {ledger_key(model, line.number): line for line in read_ledger(store, model)}
    return [(info.last_modified, lines[info.key]) for info in store.infos(ledger_root(model)) if info.key in lines]


def written_at(store: ObjectStore, key: str) -> datetime | None:
    """Return the time at which an object was written that is written only once; None where there is no such object."""
    try:
        return store.head(key).last_modified
    except NotFoundError:
        return None


def champion_number(store: ObjectStore, model: str) -> int | None:
    """Return the champion's version number; None without a champion.

    It is read from the newest line that sets the alias, because it is asked for often and the ledger only grows.
    """
    for key in reversed(list(store.keys(ledger_root(model)))):
        line = LedgerLine.model_validate_json(store.get(key))
        if line.alias == CHAMPION:
            return line.version
    return None


def newest_calibration(store: ObjectReader, model: str, version: int) -> int:
    """Return the number of the calibration that a version scores with: 0 where the version was never recalibrated."""
    root = calibration_root(model, version)
    return max((int(key.removeprefix(root).removesuffix(".json")) for key in store.keys(root)), default=0)


def present_champion(store: ObjectStore, model: str) -> dict[str, int] | None:
    """Return the champion's version and calibration, as a plan records them.

    A rerun of the plan therefore compares with the same champion.
    """
    number = champion_number(store, model)
    return None if number is None else {"version": number, "calibration": newest_calibration(store, model, number)}


def append_to_ledger(
    store: ObjectStore,
    model: str,
    decide: Callable[[Sequence[LedgerLine]], LedgerLine],
    known: Sequence[LedgerLine] = (),
) -> LedgerLine:
    """Append the line that `decide` makes of the ledger, and return the line.

    The line has the next number. `decide` may also return a line that is in the ledger already; then nothing is
    written. The process that loses the race for a number reads the ledger again and decides again. A rule is therefore
    always applied to the newest ledger. `known` is as in `read_ledger`. Raises what `decide` raises, and RetryableError
    where other processes keep winning the race.
    """
    for _ in range(_RACES):
        known = read_ledger(store, model, known)
        line = decide(known)
        if line.number < next_number(known) or store.put_new(ledger_key(model, line.number), dumps(line.model_dump())):
            return line
    raise RetryableError(f"model {model}: others keep writing to its ledger; try again")


def version_numbers(store: ObjectReader, model: str) -> list[int]:
    """Return the numbers of the versions that were written to the end, in order."""
    root = f"{model_root(model)}/versions/"
    names = [key.removeprefix(root) for key in store.keys(root)]
    return sorted(int(name.split("/")[0]) for name in names if name.endswith(f"/{_SEAL}"))


def load_version(store: ObjectReader, model: str, number: int) -> Version:
    folder = version_folder(model, number)
    try:
        lineage = read_json(store, f"{folder}/{_SEAL}")
    except NotFoundError as error:
        there = ", ".join(map(str, version_numbers(store, model))) or "none"
        raise NotFoundError(f"model {model}: no version {number}; there are {there}") from error
    return Version(model, number, folder, lineage)


def load_champion(store: ObjectStore, model: str) -> Version:
    number = champion_number(store, model)
    if number is None:
        raise NotFoundError(why_no_champion(store, model))
    return load_version(store, model, number)


def why_no_champion(store: ObjectStore, model: str) -> str:
    """Return why a model has no champion: its newest version, that version's stage and the gates that it failed."""
    numbers = version_numbers(store, model)
    if not numbers:
        return f"model {model!r}: no champion; train it, no version is registered yet"
    version = load_version(store, model, numbers[-1])
    stage = model_standing(read_ledger(store, model)).stage(version.number)
    said = f"model {model!r}: no champion; version {version.number}, trained as of {version.lineage['as_of']}, is"
    if stage == STAGING:
        return f"{said} in staging and waits for approval"
    failed = ", ".join(failed_gates(store, version))
    why = f"because it failed: {failed}" if failed else "though it failed no gate"
    return f"{said} {stage} {why}; its card says more, and people may promote it"


def failed_gates(store: ObjectStore, version: Version) -> list[str]:
    """Return the names of the gates that a version failed; none where no gates were recorded."""
    try:
        return list(version.gates(store).failed)
    except NotFoundError:
        return []


def open_training(store: ObjectStore, model: str) -> str | None:
    """Return the newest training run that has a plan and no version: it is under way, or it failed."""
    root, plan = f"runs/train/{model}/", "/plan.json"
    planned = {key.removesuffix(plan) for key in store.keys(root) if key.endswith(plan)}
    return max(planned - claimed_runs(store, model), default=None)


def register(store: ObjectStore, model: str, files: Mapping[str, bytes], lineage: Mapping[str, Any]) -> Version:
    """Write the folder of a new version. One training run gets one version, however often it registers.

    `lineage` is the content of lineage.json, as VersionLineage writes it, and names the run. First the number is
    claimed, then the files are written, and the lineage is written last. A crash in between leaves a claim, and the
    same run goes on with that number.
    """
    number = _claim_number(store, model, str(lineage["run"]))
    folder = version_folder(model, number)
    for name, body in sorted(files.items()):
        claim(store, f"{folder}/{name}", body)
    claim(store, f"{folder}/{_SEAL}", dumps(lineage))
    return load_version(store, model, number)


def recorded_files(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file that the version's scores depend on, for its lineage."""
    return {name: hashlib.sha256(body).hexdigest() for name, body in sorted(files.items()) if scores_rest_on(name)}


def scores_rest_on(name: str) -> bool:
    """Whether the scores of a version depend on this file of its folder. Other files may hold customers' rows."""
    return name in _SCORES_REST_ON or name.startswith(_FOLDERS)


def claimed_runs(store: ObjectStore, model: str) -> set[str]:
    """Return the training runs that claimed a version number, also the runs whose plans have expired (RunsDays)."""
    return set(_claimed(store, model))


def claims_of(store: ObjectStore, model: str) -> dict[str, int]:
    """Return the training runs that registered a version, each with the version's number."""
    written = set(version_numbers(store, model))
    return {run: number for run, number in _claimed(store, model).items() if number in written}


def _claimed(store: ObjectStore, model: str) -> dict[str, int]:
    root = _claims(model)
    keys = list(store.keys(root))
    with ThreadPoolExecutor(_READERS) as pool:
        runs = [str(json.loads(body)["run"]) for body in pool.map(store.get, keys)]
    return {run: int(key.removeprefix(root).removesuffix(".json")) for run, key in zip(runs, keys, strict=True)}


def was_planned(store: ObjectStore, model: str, run: str) -> bool:
    """Whether a training run has a plan, or had a plan that has expired: its claim of a version number stays."""
    return is_planned(store, run) or run in claimed_runs(store, model)


def _claims(model: str) -> str:
    return f"{model_root(model)}/claims/"


def _claim_number(store: ObjectStore, model: str, run: str) -> int:
    root = _claims(model)
    for _ in range(_RACES):
        taken = {int(key.removeprefix(root).removesuffix(".json")): key for key in store.keys(root)}
        for number, key in sorted(taken.items()):
            if json.loads(store.get(key))["run"] == run:
                return number
        number = max(taken, default=0) + 1
        if store.put_new(f"{root}{number:06d}.json", dumps({"run": run})):
            return number
    raise RetryableError(f"model {model}: others keep registering; try again")
