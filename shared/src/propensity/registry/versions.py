"""The model registry over an object store: immutable version folders, and an append-only ledger of what became of them.

Every write is conditional, so two who write to one ledger get one order, and a version once written stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from propensity.kernel.errors import NotFoundError, RetryableError
from propensity.lake.definition_files import read_definition
from propensity.lake.json_objects import claim, dumps, read_json
from propensity.lake.run_files import is_planned
from propensity.pack.domain.definition import Definition
from propensity.ports import ObjectStore
from propensity.registry.domain.ladder import LADDER
from propensity.registry.domain.ledger import (
    CHAMPION,
    GateSummary,
    Line,
    calibration_root,
    ledger_key,
    ledger_root,
    model_root,
    next_number,
    version_folder,
)

_RACES = 20
_READERS = 8  # below the number of connections that a client of boto3 keeps
# what a score rests on; the other files of a version may hold rows, which erasures rewrite
_SCORES_REST_ON = ("model.onnx", "calibration.json", "explanation.json", "reference.json", LADDER)
_FOLDERS = ("definition/", "ladder/")  # all in them: SQL and features, and the models of segments and of single tenants
_SEAL = "lineage.json"  # written last: a version without it is not there


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version and what stands in its folder."""

    model: str
    number: int
    folder: str
    lineage: Mapping[str, Any]

    def definition(self, store: ObjectStore) -> Definition:
        return read_definition(store, f"{self.folder}/definition", self.model)

    def json(self, store: ObjectStore, name: str) -> dict[str, Any]:
        return read_json(store, f"{self.folder}/{name}")

    def gates(self, store: ObjectStore) -> GateSummary:
        """Raises NotFoundError where none were recorded."""
        return GateSummary.of(json.loads(store.get(f"{self.folder}/gates.json")))

    def onnx(self, store: ObjectStore) -> bytes:
        return store.get(f"{self.folder}/model.onnx")


def ledger(store: ObjectStore, model: str, known: Sequence[Line] = ()) -> list[Line]:
    """Every line, in order; `known` are the first ones, which were read before and never change."""
    keys = list(store.keys(ledger_root(model)))[len(known) :]
    # a line is a small object: what takes time is waiting for each
    with ThreadPoolExecutor(_READERS) as pool:
        return [*known, *(Line.model_validate_json(body) for body in pool.map(store.get, keys))]


def dated_ledger(store: ObjectStore, model: str) -> list[tuple[datetime, Line]]:
    """Every line with when it was written, which is the object's own time: `at` may be the day of a run's plan."""
    lines = {ledger_key(model, line.number): line for line in ledger(store, model)}
    return [(info.last_modified, lines[info.key]) for info in store.infos(ledger_root(model)) if info.key in lines]


def written_at(store: ObjectStore, key: str) -> datetime | None:
    """When an object that is written once was written; None where it is not there."""
    try:
        return store.head(key).last_modified
    except NotFoundError:
        return None


def champion_number(store: ObjectStore, model: str) -> int | None:
    """The champion's version, from the newest line that says one: it is asked for often, and the ledger only grows."""
    for key in reversed(list(store.keys(ledger_root(model)))):
        line = Line.model_validate_json(store.get(key))
        if line.alias == CHAMPION:
            return line.version
    return None


def newest_calibration(store: ObjectStore, model: str, version: int) -> int:
    """The number of a version's calibration in force: 0 where it was never recalibrated."""
    root = calibration_root(model, version)
    return max((int(key.removeprefix(root).removesuffix(".json")) for key in store.keys(root)), default=0)


def present_champion(store: ObjectStore, model: str) -> dict[str, int] | None:
    """What a plan keeps of the champion, so that a rerun holds a candidate against the same one."""
    number = champion_number(store, model)
    return None if number is None else {"version": number, "calibration": newest_calibration(store, model, number)}


def append_line(
    store: ObjectStore, model: str, decide: Callable[[Sequence[Line]], Line], known: Sequence[Line] = ()
) -> Line:
    """Append what `decide` makes of the ledger, a line with the next number; or answer with one of its own lines.

    Whoever loses the race for a number decides again on what the winner wrote, so that no rule is kept on a ledger
    that is not the newest any more. `known`: as in `ledger`. Errors of `decide` are raised, and RetryableError where
    others keep winning.
    """
    for _ in range(_RACES):
        known = ledger(store, model, known)
        line = decide(known)
        if line.number < next_number(known) or store.put_new(ledger_key(model, line.number), dumps(line.model_dump())):
            return line
    raise RetryableError(f"model {model}: others keep writing to its ledger; try again")


def version_numbers(store: ObjectStore, model: str) -> list[int]:
    """Numbers of the whole versions, in order."""
    root = f"{model_root(model)}/versions/"
    names = [key.removeprefix(root) for key in store.keys(root)]
    return sorted(int(name.split("/")[0]) for name in names if name.endswith(f"/{_SEAL}"))


def load_version(store: ObjectStore, model: str, number: int) -> Version:
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
        raise NotFoundError(f"model {model}: no champion; train it, or promote a version")
    return load_version(store, model, number)


def register(store: ObjectStore, model: str, files: Mapping[str, bytes], lineage: Mapping[str, Any]) -> Version:
    """Write a new version folder; the run of the lineage gets one version however often it registers.

    A number is claimed first, then the files are put, the lineage last. A crash in between leaves a claim
    that the same run picks up again.
    """
    number = _claim_number(store, model, str(lineage["run"]))
    folder = version_folder(model, number)
    for name, body in sorted(files.items()):
        claim(store, f"{folder}/{name}", body)
    claim(store, f"{folder}/{_SEAL}", dumps(lineage))
    return load_version(store, model, number)


def recorded_files(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of those files of a version that its scores rest on, for its lineage."""
    return {
        name: hashlib.sha256(body).hexdigest()
        for name, body in sorted(files.items())
        if name in _SCORES_REST_ON or name.startswith(_FOLDERS)
    }


def claimed_runs(store: ObjectStore, model: str) -> set[str]:
    """Training runs that came to a version, also those whose plans have expired (RunsDays)."""
    with ThreadPoolExecutor(_READERS) as pool:
        return {str(json.loads(body)["run"]) for body in pool.map(store.get, store.keys(_claims(model)))}


def was_planned(store: ObjectStore, model: str, run: str) -> bool:
    """Whether a training run has its plan, or had it: the claim of its version's number stays when the plan expires."""
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
