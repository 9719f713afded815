"""The files of a fitted model, from which the model is judged. It may be a candidate's or the ladder's."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from propensity.lake.json_objects import dumps
from propensity.pack.domain.definition import Definition
from propensity.ports import FittedModel, Ports
from propensity.registry.domain.ledger import REASONS_FILE
from propensity.registry.domain.reasons import typical_values
from propensity.stats.sampling import spread
from propensity.training.data import TrainingData
from propensity.training.domain.probes import probes

PARITY_ROWS = 10_000
# no feature's name begins with an underscore, so this column cannot be taken for a feature
PROBE, PROBABILITY = "_probe", "_probability"


def write_fitted(
    ports: Ports,
    out: str,
    fitted: FittedModel,
    data: TrainingData,
    definition: Definition,
    *,
    out_of_fold: Mapping[str, Any],
    rows: Any,
    newest: Any,
) -> None:
    """Write model.onnx, explanation.json, oof.parquet, reference.parquet and probes.parquet below `out`.

    A model of trees also gets reasons.onnx, the graph of its reasons.

    `out_of_fold` has the columns of oof.parquet. `rows` (indices) are the model's rows. reference.parquet has at most
    PARITY_ROWS of these rows, evenly spread so that every date and tenant is among them. `newest` (mask) are the rows
    of the newest date, which say what is typical.
    """
    reference = rows[spread(len(rows), PARITY_ROWS)]
    with tempfile.TemporaryDirectory() as folder:
        for name, columns in (
            ("oof", out_of_fold),
            ("reference", {"row": reference, "probability": fitted.predict(data.matrix[reference])}),
            ("probes", probe_columns(fitted, data, definition)),
        ):
            path = Path(folder) / f"{name}.parquet"
            ports.frames.write(path, columns)
            ports.lake.upload_new(f"{out}/{path.name}", path)
    ports.lake.put_new(f"{out}/model.onnx", fitted.onnx())
    explanation = dict(fitted.explanation())
    if explanation["kind"] == "opaque":
        # a model without an explanation of its own is explained relative to a typical customer
        explanation["typical"] = typical_values(definition.features, data.matrix[newest])
        graph = fitted.reasons(explanation["typical"])
        if graph is not None:
            ports.lake.put_new(f"{out}/{REASONS_FILE}", graph.onnx)
            explanation["reasons"] = {"method": graph.method, "unit": graph.unit}
    ports.lake.put_new(f"{out}/explanation.json", dumps(explanation))


def probe_columns(fitted: FittedModel, data: TrainingData, definition: Definition) -> dict[str, Any]:
    """Return the columns of probes.parquet: what each row probes, the features, and scikit-learn's own probability."""
    names = definition.feature_names
    probed, rows = probes(names, data.matrix, [len(feature.categories) for feature in definition.features])
    features = {name: np.ascontiguousarray(rows[:, number]) for number, name in enumerate(names)}
    return {PROBE: np.array(probed, dtype=object), **features, PROBABILITY: fitted.predict(rows)}
