"""A script that uv runs in MLflow's environment: it scores each folder's matrix.npy, as any user of MLflow would.

The scores go to scores.npy beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path


def score(folder: str) -> None:
    import mlflow.pyfunc
    import numpy as np
    import pandas as pd

    model = mlflow.pyfunc.load_model(folder)
    matrix = np.load(Path(folder) / "matrix.npy")
    schema = model.metadata.get_input_schema()
    frame = pd.DataFrame(matrix, columns=schema.required_input_names())
    if schema.optional_input_names():
        frame = frame.assign(tenant_id=np.load(Path(folder) / "tenants.npy"))
    scores = model.predict(frame[frame.columns[::-1]])  # by name, not by place
    assert list(scores.columns) == ["probability"]
    assert model.predict(frame[:0]).empty
    np.save(Path(folder) / "scores.npy", scores["probability"].to_numpy())


print("environment made", flush=True)
for folder in sys.argv[1:]:
    score(folder)
