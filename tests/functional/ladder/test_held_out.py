"""A calibration is measured on the newest fold, and uses only what was known on that fold's day."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from propensity.adapters.frames import ArrowFrames
from propensity.evaluation.calibrate import NewestFold as Held
from propensity.evaluation.calibrate import calibrate as _calibrate
from tests.fakes.folder_store import FolderStore
from tests.kit.specs import model_spec

ROWS = 2_000
SPEC = model_spec(horizon_days=30, settle_days=7, calibration={"method": "sigmoid"})
MONTHS = ["2026-01-01", "2026-02-20", "2026-03-20"]  # the newest is 28 days after the second newest


def held(folder: Path, days: list[str], turned: int | None = None) -> tuple[Held, dict[str, Any]]:
    """The newest fold's scores. In fold `turned` every label is the opposite."""
    random = np.random.default_rng(5)
    fold = np.repeat(np.arange(len(days)), ROWS)
    raw = random.uniform(0.05, 0.6, len(fold))
    label = (random.random(len(fold)) < raw**1.5).astype(np.int64)
    if turned is not None:
        label[fold == turned] = 1 - label[fold == turned]
    ports: Any = SimpleNamespace(lake=FolderStore(folder / "lake"), frames=ArrowFrames())
    path = folder / f"{turned}.parquet"
    ports.frames.write(path, {"fold": fold, "label": label, "raw": raw, "weight": np.ones(len(fold))})
    ports.lake.upload_new(f"out-{turned}/oof.parquet", path)
    _, found, metrics = _calibrate(ports, {"out": f"out-{turned}", "folds": days}, SPEC)
    return found, metrics


@pytest.mark.parametrize(("turned", "counts"), [(0, True), (1, False), (2, False)])
def test_outcomes_that_nobody_knew_on_the_newest_folds_day_are_not_in_its_scores(
    tmp_path: Path, turned: int, counts: bool
) -> None:
    before, after = held(tmp_path, MONTHS)[0], held(tmp_path, MONTHS, turned)[0]
    assert np.array_equal(before.scores, after.scores) is not counts


def test_where_nothing_was_known_the_raw_scores_are_measured(tmp_path: Path) -> None:
    found, metrics = held(tmp_path, MONTHS[1:])
    assert (metrics["calibration"], metrics["calibration_losses"]) == ("sigmoid", {})
    assert 0.05 <= found.scores.min() <= found.scores.max() <= 0.6
