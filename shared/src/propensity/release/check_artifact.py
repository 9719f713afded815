"""The check that a version can score now, made before an alias is pointed to the version.

The version's artifact is loaded. It is compared with the record of its registration and with today's contracts. Then it
is made to score a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from propensity.kernel.errors import ConflictError, PropensityError, RetryableError
from propensity.pack.current import contract_of, pack_info
from propensity.ports import ObjectStore, Ports
from propensity.registry.artifact import Artifact, load_artifact
from propensity.registry.registered_files import damaged_files
from propensity.registry.versions import Version, VersionSchema

NOT_RECORDED = "not recorded"


def check_artifact(ports: Ports, version: Version) -> dict[str, Any]:
    """Return the result of each check: `ok`, or `not recorded` where the version is older than the record.

    Raises ConflictError that says what is wrong with the version; nothing was changed then.
    """
    fitted = version.provenance.fitted or VersionSchema()
    checked = {
        "files": check_files(ports.lake, version),
        "columns": _columns(ports, version, fitted),
    }
    with _loading(version):
        artifact = load_artifact(ports, version)
    checked["features"] = _features(artifact, fitted.features)
    checked["score"] = _score(artifact)
    return checked


def check_files(store: ObjectStore, version: Version) -> str:
    """Check that every file is as it was registered. Raises ConflictError naming the files that are not."""
    damaged = damaged_files(store, version)
    if damaged is None:
        return NOT_RECORDED
    if damaged:
        raise _refused(version, f"{', '.join(damaged)}: missing, or not as registered")
    return "ok"


def _columns(ports: Ports, version: Version, fitted: VersionSchema) -> str:
    """Check that today's contracts have the columns that the version's SQL names, with the types of then."""
    recorded = fitted.columns
    wanted = recorded or {dataset: {} for dataset in version.provenance.silver}
    wrong = list(_misfits(ports, wanted))
    if wrong:
        raise _refused(version, f"its SQL does not fit the contracts of pack {ports.pack}: {'; '.join(wrong)}")
    return NOT_RECORDED if recorded is None else "ok"


def _misfits(ports: Ports, wanted: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    datasets = pack_info(ports).datasets
    for dataset, columns in sorted(wanted.items()):
        if dataset not in datasets:
            yield f"no dataset {dataset}"
            continue
        if not columns:
            continue
        types = {column.name: column.duckdb_type for column in contract_of(ports, dataset).columns}
        for name, kind in sorted(columns.items()):
            if types.get(name) != kind:
                yield f"{dataset}.{name} is {types.get(name, 'missing')}, was {kind}"


@contextmanager
def _loading(version: Version) -> Iterator[None]:
    """Turn every error that says that the version cannot be loaded into a ConflictError."""
    try:
        yield
    except RetryableError:
        raise
    # a PropensityError says that a file is missing or is no model; the others, that a parser met unexpected content
    except (PropensityError, ValueError, KeyError, TypeError) as error:
        reason = str(error) if isinstance(error, PropensityError) else type(error).__name__
        raise _refused(version, f"it cannot be loaded: {reason}") from error


def _features(artifact: Artifact, recorded: Sequence[str] | None) -> str:
    names, width = list(artifact.definition.feature_names), artifact.model.width
    if width is not None and width != len(names):
        raise _refused(artifact.version, f"model.onnx takes {width} features, its definition has {len(names)}")
    if recorded is None:
        return NOT_RECORDED
    if names != list(recorded):
        raise _refused(artifact.version, f"its features are {', '.join(names)}, were {', '.join(recorded)}")
    return "ok"


def _score(artifact: Artifact) -> str:
    """Check that each model of the version scores a row of missing values.

    If one model cannot score, the version must not become champion.
    """
    tenants = artifact.one_tenant_each()
    rows = np.full((len(tenants), len(artifact.definition.feature_names)), np.nan, dtype=np.float32)
    with _loading(artifact.version):  # a model of the ladder is loaded when its first row comes
        raw, score, _ = artifact.try_score(rows, tenants)
    for name, values in (("model.onnx", raw), ("calibration.json", score)):
        if not (values.shape == (len(tenants),) and ((values >= 0) & (values <= 1)).all()):
            raise _refused(artifact.version, f"{name} gives {values.tolist()} for a row of missing values")
    return "ok"


def _refused(version: Version, what: str) -> ConflictError:
    return ConflictError(
        f"model {version.model} version {version.number}: {what}; the alias stays where it is: choose another version"
    )
