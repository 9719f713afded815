"""How far each customer of a work item has moved since the earlier batch, and which feature explains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from propensity.kernel.errors import IncompleteRunError
from propensity.lake.domain.run_records import EarlierBatch, EarlierRows, ScoreItem, ScoringPlan
from propensity.ports import Coded, Frame, Ports
from propensity.registry.domain.movers import Movers, Past
from propensity.scoring.rank_run import read_ranks
from propensity.scoring.score_shard import BATCH
from propensity.stats.list_places import Ranks
from propensity.stats.ranking import rank

Movement = Literal[
    "explained",
    "unchanged",
    "others_moved",
    "not_enough_history",
    "unranked",
    "model_changed",
    "features_gone",
    "no_method",
]
MOVEMENTS: tuple[Movement, ...] = get_args(Movement)
_CODE = {word: code for code, word in enumerate(MOVEMENTS)}
_NOBODY = Ranks(0, unranked="few_customers")  # for a tenant that the earlier batch did not have


class Part:
    """Some rows of a work item in the earlier batch, arrays (n,).

    `score` is float64, NaN for who was not scored then. `percentile` is a masked int32 array. `known` says who was
    scored. `matrix` is float32 (n, k), None where the earlier batch had another feature set. `kept` is 1 where the
    row's features are still there.
    """

    def __init__(self, earlier: EarlierBatch, score: Any, percentile: Any, kept: Any, matrix: Any) -> None:
        self.earlier = earlier
        self.score = score
        self.percentile = percentile
        self.known = ~np.isnan(score)
        self.kept = kept
        self.matrix = matrix

    def change(self, percentile: Any) -> Any:
        """Return the change in percentile, a masked int32 array, up to the percentiles of now, masked int32 (n,)."""
        return np.ma.MaskedArray(percentile - self.percentile, mask=self._mask(percentile), dtype=np.int32)

    def past(self, percentile: Any) -> Past | None:
        """Return what is to be explained; None where nothing can be, because the features of then are others."""
        if self.matrix is None:
            return None
        change = np.where(self._mask(percentile) | (self.kept == 0), 0, percentile.data - self.percentile.data)
        return Past(self.matrix, np.sign(change).astype(np.int8))

    def movement(self, percentile: Any, movers: Movers, version: int) -> Any:
        """Return why each row's change is explained or not: places in MOVEMENTS, int32 (n,)."""
        unmoved: Movement = "others_moved" if version == self.earlier.version else "model_changed"
        out = np.full(len(self.score), _CODE[unmoved], dtype=np.int32)
        out[movers.places >= 0] = _CODE["explained"]
        if self.matrix is None:
            out[:] = _CODE["model_changed"]
        else:
            out[~movers.explained] = _CODE["no_method"]
            out[self.kept == 0] = _CODE["features_gone"]
        same = percentile.data == self.percentile.data
        out[same] = _CODE["unchanged"]
        out[self._mask(percentile)] = _CODE["unranked"]
        out[~self.known] = _CODE["not_enough_history"]
        return out

    def _mask(self, percentile: Any) -> Any:
        return ~self.known | np.ma.getmaskarray(percentile) | np.ma.getmaskarray(self.percentile)


class Earlier:
    """The earlier batch's side of a work item, read beside the item's features."""

    def __init__(
        self, ports: Ports, batch: EarlierBatch, rows: EarlierRows, names: tuple[str, ...], folder: Path
    ) -> None:
        self.batch = batch
        self._ranks: Mapping[str, Ranks] = read_ranks(ports, batch.run)
        self._names = names if rows.features is not None else ()
        self._key = rows.out
        path = folder / "earlier.parquet"
        ports.lake.download(rows.out, path)
        self._frames: Iterator[Frame] = ports.frame_streams.batches(path, ["_score", "_kept", *self._names], BATCH)

    @staticmethod
    def of(ports: Ports, work: ScoreItem, plan: ScoringPlan, names: tuple[str, ...], folder: Path) -> Earlier | None:
        """Return the earlier side of a work item; None where the run has no earlier batch."""
        if plan.earlier is None or work.earlier is None:
            return None
        return Earlier(ports, plan.earlier, work.earlier, names, folder)

    def next(self, tenants: Coded) -> Part:
        """Return the next rows, whose tenants are given. Raises IncompleteRunError where the file has other rows."""
        frame = next(self._frames, None)
        if frame is None or len(frame) != len(tenants.codes):
            raise IncompleteRunError(
                f"{self._key}: expected a row for each of the item's features; start the run again under another name"
            )
        score = frame.values("_score").astype(np.float64)
        ranks = {name: self._ranks.get(name, _NOBODY) for name in tenants.texts}
        percentile, _ = rank(tenants.codes, tenants.texts, score, ranks)
        return Part(
            self.batch,
            score,
            percentile,
            frame.values("_kept"),
            frame.matrix(self._names) if self._names else None,
        )


def movement_columns(
    part: Part | None, percentile: Any, movers: Movers, names: tuple[str, ...], version: int
) -> dict[str, Any]:
    """Return the columns of gold/scores that compare a row with the earlier batch. `part` is None without one."""
    rows = len(percentile)
    if part is None:
        nothing = np.ones(rows, dtype=bool)
        return {
            "previous_score": np.ma.MaskedArray(np.zeros(rows), mask=nothing),
            "previous_as_of": np.ma.MaskedArray(np.zeros(rows, dtype="datetime64[D]"), mask=nothing),
            "percentile_change": np.ma.MaskedArray(np.zeros(rows, dtype=np.int32), mask=nothing),
            "movement": Coded(np.full(rows, _CODE["not_enough_history"], dtype=np.int32), MOVEMENTS),
            **_explanation(movers, names),
        }
    day = np.datetime64(part.earlier.as_of, "D")
    return {
        "previous_score": np.ma.MaskedArray(part.score, mask=~part.known),
        "previous_as_of": np.ma.MaskedArray(np.full(rows, day), mask=~part.known),
        "percentile_change": part.change(percentile),
        "movement": Coded(part.movement(percentile, movers, version), MOVEMENTS),
        **_explanation(movers, names),
    }


def _explanation(movers: Movers, names: tuple[str, ...]) -> dict[str, Any]:
    nothing = movers.places < 0
    return {
        "moved_by": Coded(movers.places, names),
        "moved_contribution": np.ma.MaskedArray(movers.changes, mask=nothing),
        "moved_text": Coded(np.where(nothing, -1, movers.texts), movers.sentences.texts),
    }
