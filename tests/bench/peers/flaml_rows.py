"""FLAML on the same rows, features, folds and seconds; run by `make bench-peers` in an environment of its own."""

import json
import sys
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from flaml import AutoML
from sklearn.metrics import roc_auc_score


class Folds:
    """train_model's folds, forward in time: for each fold a mask of rows to fit on and one of rows to validate on."""

    def __init__(self, train: np.ndarray, valid: np.ndarray) -> None:
        self.pairs = [(np.flatnonzero(one), np.flatnonzero(other)) for one, other in zip(train, valid, strict=True)]

    def split(self, *_: object) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return iter(self.pairs)

    def get_n_splits(self, *_: object) -> int:
        return len(self.pairs)


def frame(matrix: np.ndarray) -> pd.DataFrame:
    """As a frame, in which FLAML fills missing values; given an array, some of its own learners fail on NaN."""
    return pd.DataFrame(matrix, columns=[f"f{number}" for number in range(matrix.shape[1])])


held = np.load(sys.argv[1])
start = time.perf_counter()
automl = AutoML()
automl.fit(
    frame(held["matrix"]),
    held["labels"],
    task="classification",
    metric="log_loss",
    time_budget=float(sys.argv[2]),
    eval_method="cv",
    split_type=Folds(held["train"], held["valid"]),
    n_jobs=2,
    seed=7,
    verbose=0,
)
seconds = time.perf_counter() - start
scores = automl.predict_proba(frame(held["test"]))[:, 1]
print(json.dumps({"auc": roc_auc_score(held["test_labels"], scores), "seconds": seconds}))
