"""The scorer as a function of record batches: what Spark's mapInArrow, or any engine that speaks Arrow, calls.

It takes the folder of a version and scores through registry/artifact.py, as the functions of the stack do. It does not
read the files of the folder that may hold customers' rows. Beside this package it needs numpy, onnxruntime, pyarrow,
pydantic and pyyaml.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from propensity.adapters.frames import ArrowFrame, arrow_table
from propensity.adapters.onnx_scorer import OnnxReasons, OnnxScorer
from propensity.kernel.errors import BadInputError, ConflictError, NotFoundError
from propensity.lake.domain.run_records import ScoringPlan
from propensity.lake.json_objects import find_json, parse_record
from propensity.ports import Coded
from propensity.registry.artifact import Artifact, load_artifact
from propensity.registry.calibrations import CalibrationFile
from propensity.registry.domain.ladder import LADDER
from propensity.registry.domain.ledger import calibration_key, version_folder
from propensity.registry.domain.reason_texts import Sentences
from propensity.registry.registered_files import damaged_files
from propensity.registry.versions import load_version, scores_rest_on
from propensity.scoring.label_columns import place_columns, reason_columns
from propensity.scoring.score_shard import BATCH
from propensity.stats.list_places import Ranks

_SEAL = "lineage.json"
_IDS = (("tenant_id", pa.string()), ("customer_id", pa.string()), ("as_of", pa.date32()))
_SCORES = (("raw", pa.float64()), ("score", pa.float64()))
_PLACES = (("percentile", pa.int32()), ("decile", pa.int32()), ("unranked_reason", pa.string()))
_REASON = pa.struct([("feature", pa.string()), ("contribution", pa.float64()), ("text", pa.string())])
_LABELS = (("reasons", pa.list_(_REASON)), ("reason_method", pa.string()))
_PROVENANCE = (("model_version", pa.int32()), ("calibration", pa.int32()), ("feature_set", pa.string()))


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a version in memory, under the keys that they have in the lake."""

    files: Mapping[str, bytes]

    def get(self, key: str) -> bytes:
        if key not in self.files:
            raise NotFoundError(f"{key}: not in the folder of the version")
        return self.files[key]

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.files if key.startswith(prefix)))


@dataclass(frozen=True, slots=True)
class _FilePorts:
    """The ports that score with the files of a version."""

    lake: _Files
    threads: int

    def scorer(self, onnx: bytes) -> OnnxScorer:
        return OnnxScorer(onnx, threads=self.threads)

    def reason_model(self, onnx: bytes) -> OnnxReasons:
        return OnnxReasons(onnx, threads=self.threads)


@dataclass(frozen=True, slots=True)
class VersionScorer:
    """A callable of record batches of features, which yields record batches of scores, in the order of the rows.

    It holds the version's files, so an engine can send it to its workers without a shared disk; each call loads the
    model once. `ranks` has the list of each tenant; without it there are no places. `threads` is how many threads a
    call may take: an engine gives its tasks one core each.
    """

    model: str
    number: int
    calibration: int
    feature_names: tuple[str, ...]
    ranks: Mapping[str, Ranks] | None = field(repr=False)
    threads: int
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def schema(self) -> pa.Schema:
        """The columns that a call yields, as gold/scores has them."""
        laddered = f"{version_folder(self.model, self.number)}/{LADDER}" in self.files
        return pa.schema(
            [
                *_IDS,
                *_SCORES,
                *((("rung", pa.string()),) if laddered else ()),
                *(_PLACES if self.ranks is not None else ()),
                *_LABELS,
                *_PROVENANCE,
            ]
        )

    @property
    def ddl(self) -> str:
        """The columns that a call yields, in the DDL that mapInArrow takes for its schema."""
        return ", ".join(f"`{column.name}` {_ddl(column.type)}" for column in self.schema)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score batches with the columns tenant_id, customer_id, as_of and every feature; others are left out.

        A feature is a column of numbers or of true and false, null for missing. Rows in are rows out. Raises
        BadInputError for a column that is missing, has another type or lacks an id, NotFoundError for a tenant that
        `ranks` lacks, and UnsoundScoreError for a score that is no probability.
        """
        ports = _FilePorts(_Files(self.files), self.threads)
        artifact = load_artifact(ports, load_version(ports.lake, self.model, self.number), self.calibration)
        sentences = Sentences()
        for batch in batches:
            table = self._checked(batch)
            for start in range(0, max(table.num_rows, 1), BATCH):
                yield self._scored(artifact, ArrowFrame(table.slice(start, BATCH)), sentences)

    def _checked(self, batch: pa.RecordBatch) -> pa.Table:
        """The ids and the features of a batch, in their types."""
        where = f"model {self.model} version {self.number}"
        wanted = [*(name for name, _ in _IDS), *self.feature_names]
        if missing := [name for name in wanted if name not in batch.schema.names]:
            raise BadInputError(f"{where}: the rows lack the columns {', '.join(missing)}; select them too")
        types = {name: batch.schema.field(name).type for name in wanted}
        odd = [f"{name} is {types[name]}" for name in self.feature_names if not _is_number(types[name])]
        odd += [f"{name} is {types[name]}, not {kind}" for name, kind in _IDS if not _reads_as(types[name], kind)]
        if odd:
            raise BadInputError(
                f"{where}: {'; '.join(odd)}; cast the features to float, the ids to string, as_of to date"
            )
        for name, _ in _IDS:
            if nulls := batch.column(name).null_count:
                raise BadInputError(f"{where}: {nulls} of {len(batch)} rows have no {name}; every row needs its own")
        features = ((name, pa.float32()) for name in self.feature_names)
        # a number that float32 has not is rounded, as the feature SQL of the stack rounds it
        columns = {name: batch.column(name).cast(kind, safe=False) for name, kind in (*_IDS, *features)}
        return pa.table(columns)

    def _scored(self, artifact: Artifact, rows: ArrowFrame, sentences: Sentences) -> pa.RecordBatch:
        tenants, matrix = rows.coded("tenant_id"), rows.matrix(self.feature_names)
        each = np.array(tenants.texts, dtype=object)[tenants.codes]
        raw, score = artifact.score(matrix, each)
        columns: dict[str, Any] = {name: rows.as_read(name) for name, _ in _IDS} | {"raw": raw, "score": score}
        if (rungs := artifact.rungs(each)) is not None:
            columns["rung"] = rungs
        if self.ranks is not None:
            if unknown := sorted(set(tenants.texts) - self.ranks.keys()):
                raise NotFoundError(
                    f"model {self.model} version {self.number}: the run has no list of tenant {unknown[0]} "
                    f"and {len(unknown) - 1} more; give the run that scored these customers"
                )
            columns |= place_columns(tenants, score, self.ranks)
        columns |= reason_columns(artifact, matrix, each, sentences)
        numbers = {"model_version": self.number, "calibration": self.calibration}
        columns |= {name: np.full(len(rows), number, dtype=np.int32) for name, number in numbers.items()}
        text = str(artifact.version.lineage["feature_set"])
        columns["feature_set"] = Coded(np.zeros(len(rows), dtype=np.int32), [text])
        # the dictionaries of a table of ours become plain texts here
        table = arrow_table(columns).select(self.schema.names).cast(self.schema).combine_chunks()
        return table.to_batches()[0] if len(rows) else pa.RecordBatch.from_pylist([], schema=self.schema)


def version_scorer(
    folder: Path | str,
    *,
    run: Path | str | None = None,
    calibration: Path | str | None = None,
    number: int | None = None,
    threads: int = 1,
) -> VersionScorer:
    """Make the scorer of a version out of its folder, a copy of `registry/<model>/versions/<number>`.

    `run` is a copy of a scoring run's `plan.json` and `cuts.json` in a folder, whose lists give percentile and decile.
    `calibration` is a later calibration, a copy of an object of `registry/<model>/calibrations/<number>`. `number` is
    the version's number where the folder is not called by it, as MLflow's copies are. Raises BadInputError where the
    number is missing, NotFoundError where a file is, and ConflictError for files that are not as registered, or for
    files of different versions or calibrations.
    """
    root = Path(folder)
    lineage = json.loads(_read(root / _SEAL))
    number = _number(root) if number is None else number
    model, home = str(lineage["model"]), version_folder(str(lineage["model"]), number)
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    files = {f"{home}/{name}": (root / name).read_bytes() for name in names if name == _SEAL or scores_rest_on(name)}
    later = 0
    if calibration is not None:
        body = _read(Path(calibration))
        found = parse_record(body, Path(calibration).name, CalibrationFile)
        if (found.model, found.version) != (model, number):
            raise ConflictError(
                f"{calibration}: a calibration of model {found.model} version {found.version}, "
                f"expected one of {model} version {number}"
            )
        later = found.number
        files[calibration_key(model, number, later)] = body
    store = _Files(files)
    version = load_version(store, model, number)
    if damaged := damaged_files(store, version):
        raise ConflictError(f"{root}: {', '.join(damaged)}: missing, or not as registered; copy the folder again")
    ranks = None if run is None else _ranks(Path(run), model, number, later)
    names_of = version.definition(store).feature_names
    return VersionScorer(model, number, later, tuple(names_of), ranks, threads, files)


def _ranks(run: Path, model: str, number: int, calibration: int) -> dict[str, Ranks]:
    """The lists of a run. Raises ConflictError where the run scored by another version or calibration."""
    store = _Files({name: _read(run / name) for name in ("plan.json", "cuts.json")})
    plan = parse_record(store.get("plan.json"), f"{run}/plan.json", ScoringPlan)
    if (plan.model, plan.version, plan.calibration) != (model, number, calibration):
        raise ConflictError(
            f"{run}: a run of model {plan.model} version {plan.version} calibration {plan.calibration}, expected "
            f"{model} version {number} calibration {calibration}; its lists hold for its own scores only"
        )
    cuts = find_json(store, "cuts.json") or {}
    return {tenant: Ranks.from_json(value) for tenant, value in cuts["tenants"].items()}


def _number(root: Path) -> int:
    name = root.resolve().name
    if not (name.isascii() and name.isdigit()):
        raise BadInputError(f"{root}: the folder's name is no version's number; say it with number=")
    return int(name)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: not there; copy the whole folder, with this file") from error


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal)
    return any(test(kind) for test in tests)


def _reads_as(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a column of this type is read as a column of the wanted one."""
    if wanted == pa.string():
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    return bool(kind == wanted)


def _ddl(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"array<{_ddl(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{part.name}: {_ddl(part.type)}' for part in kind)}>"
    return {pa.string(): "string", pa.date32(): "date", pa.float64(): "double", pa.int32(): "int"}[kind]
