"""The two steps of a scoring worker over a lake in a folder, with no more loaded than their functions load."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from propensity.adapters.frames import ArrowFrames
from propensity.adapters.onnx_scorer import OnnxReasons, OnnxScorer
from propensity.registry.domain.ledger import version_folder
from propensity.scoring.label_shard import label_shard
from propensity.scoring.score_shard import score_shard
from tests.bench.scoring.store import LinkedStore

ITEM = "item.json"


def ports(folder: Path) -> Any:
    frames = ArrowFrames()
    return SimpleNamespace(
        lake=LinkedStore(folder), frames=frames, frame_streams=frames, scorer=OnnxScorer, reason_model=OnnxReasons
    )


def score(folder: Path, item: str = ITEM) -> None:
    """Score a work item anew."""
    for made in folder.rglob("scored/0001.parquet"):
        made.unlink()
    score_shard(ports(folder), item=item)


def label(folder: Path, item: str = ITEM) -> None:
    """Label a work item anew."""
    shutil.rmtree(folder / "gold", ignore_errors=True)
    label_shard(ports(folder), item=item)


def passes(folder: Path, model: str, features: Path, names: Sequence[str], turns: int) -> tuple[float, float]:
    """CPU seconds of a plain pass over a file's features and of a pass of the reasons: the least of so many turns."""
    root = folder / version_folder(model, 1)
    plain = OnnxScorer((root / "model.onnx").read_bytes())
    reasons = OnnxReasons((root / "reasons.onnx").read_bytes())
    matrix = ArrowFrames().matrix(features, names)
    taken: list[tuple[float, float]] = []
    for _ in range(turns):
        start = time.process_time()
        plain.predict(matrix)
        middle = time.process_time()
        reasons.contributions(matrix)
        taken.append((middle - start, time.process_time() - middle))
    return min(one for one, _ in taken), min(two for _, two in taken)
