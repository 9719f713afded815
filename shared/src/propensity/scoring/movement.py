"""How far each customer of a work item has moved since the earlier batch, and which feature explains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from propensity.kernel.errors import IncompleteRunError
from propensity.lake.domain.run_records import EarlierBatch, EarlierRows, ScoreItem, ScoringPlan
from propensity.ports import Coded, Frame, Ports
from propensity.registry.artifact import Artifact
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


class EarlierPart:
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

    def rescored(self, artifact: Artifact, tenants: Coded) -> Any:
        """Return the scores of then as the present version gives them, float64 (n,), NaN where nobody can say.

        Where the same version and calibration made them, they are the scores of then. Otherwise the features of then
        are scored anew.
        """
        if self._same(artifact):
            return self.score
        out = np.full(len(self.score), np.nan)
        rows = self.known & (self.kept == 1)
        if self.matrix is not None and rows.any():
            names = np.array(tenants.texts, dtype=object)[tenants.codes[rows]]
            _, score, sound = artifact.try_score(self.matrix[rows], names)
            out[rows] = np.where(sound, score, np.nan)
        return out

    def compared(self, artifact: Artifact, tenants: Coded, percentile: Any, ranks: Mapping[str, Ranks]) -> Compared:
        """Return how the rows moved up to the percentiles of now, masked int32 (n,), by the ranks of now."""
        score = self.rescored(artifact, tenants)
        stays, _ = rank(tenants.codes, tenants.texts, score, ranks)
        unplaced = ~self.known | np.ma.getmaskarray(percentile) | np.ma.getmaskarray(self.percentile)
        change = np.where(unplaced, 0, percentile.data - self.percentile.data)
        own = np.where(unplaced | np.isnan(score), 0, percentile.data - stays.data)
        return Compared(self, change, unplaced, 2 * own * np.sign(change) >= np.abs(change), self._same(artifact))

    def _same(self, artifact: Artifact) -> bool:
        then = self.earlier.version, self.earlier.calibration
        return then == (artifact.version.number, artifact.calibration_number)


@dataclass(frozen=True, slots=True)
class Compared:
    """How n rows moved since the earlier batch, arrays (n,).

    `change` is int, in percentiles, 0 where `unplaced` says that there is no place now or then. `by_own` says that at
    least half of the change is the customer's own: the place now less the place that the score of then, by the present
    version, would have now. The rest is what others did.
    """

    then: EarlierPart
    change: Any
    unplaced: Any
    by_own: Any
    same_model: bool

    def past(self) -> Past | None:
        """Return what is to be explained; None where nothing can be, because the features of then are others."""
        if self.then.matrix is None:
            return None
        explained = self.by_own & (self.then.kept == 1)
        return Past(self.then.matrix, np.where(explained, np.sign(self.change), 0).astype(np.int8))

    def movement(self, movers: Movers) -> Any:
        """Return why each row's change is explained or not: places in MOVEMENTS, int32 (n,)."""
        unmoved: Movement = "others_moved" if self.same_model else "model_changed"
        out = np.full(len(self.change), _CODE[unmoved], dtype=np.int32)
        if self.then.matrix is None:
            out[:] = _CODE["model_changed"]
        else:
            out[self.by_own & ~movers.explained] = _CODE["no_method"]
            out[movers.places >= 0] = _CODE["explained"]
            out[self.then.kept == 0] = _CODE["features_gone"]
        out[self.change == 0] = _CODE["unchanged"]
        out[self.unplaced] = _CODE["unranked"]
        out[~self.then.known] = _CODE["not_enough_history"]
        return out


class EarlierReader:
    """The earlier batch's side of a work item, read beside the item's features."""

    def __init__(
        self, ports: Ports, batch: EarlierBatch, rows: EarlierRows, names: Sequence[str], folder: Path
    ) -> None:
        self.batch = batch
        self._ranks: Mapping[str, Ranks] = read_ranks(ports, batch.run)
        self._names: Sequence[str] = names if rows.features is not None else ()
        self._key = rows.out
        path = folder / "earlier.parquet"
        ports.lake.download(rows.out, path)
        self._frames: Iterator[Frame] = ports.frame_streams.batches(path, ["_score", "_kept", *self._names], BATCH)

    @staticmethod
    def of(
        ports: Ports, work: ScoreItem, plan: ScoringPlan, names: Sequence[str], folder: Path
    ) -> EarlierReader | None:
        """Return the earlier side of a work item; None where the run has no earlier batch."""
        if plan.earlier is None or work.earlier is None:
            return None
        return EarlierReader(ports, plan.earlier, work.earlier, names, folder)

    def next(self, tenants: Coded) -> EarlierPart:
        """Return the next rows, whose tenants are given. Raises IncompleteRunError where the file has other rows."""
        frame = next(self._frames, None)
        if frame is None or len(frame) != len(tenants.codes):
            raise IncompleteRunError(
                f"{self._key}: expected a row for each of the item's features; start the run again under another name"
            )
        score = frame.values("_score").astype(np.float64)
        ranks = {name: self._ranks.get(name, _NOBODY) for name in tenants.texts}
        percentile, _ = rank(tenants.codes, tenants.texts, score, ranks)
        return EarlierPart(
            self.batch,
            score,
            percentile,
            frame.values("_kept"),
            frame.matrix(self._names) if self._names else None,
        )


def movement_columns(compared: Compared | None, rows: int, movers: Movers, names: Sequence[str]) -> dict[str, Any]:
    """Return the columns of gold/scores that compare rows with the earlier batch. `compared` is None without one."""
    if compared is None:
        nothing = np.ones(rows, dtype=bool)
        return {
            "previous_score": np.ma.MaskedArray(np.zeros(rows), mask=nothing),
            "previous_as_of": np.ma.MaskedArray(np.zeros(rows, dtype="datetime64[D]"), mask=nothing),
            "percentile_change": np.ma.MaskedArray(np.zeros(rows, dtype=np.int32), mask=nothing),
            "movement": Coded(np.full(rows, _CODE["not_enough_history"], dtype=np.int32), MOVEMENTS),
            **_explanation(movers, names),
        }
    then = compared.then
    day = np.datetime64(then.earlier.as_of, "D")
    return {
        "previous_score": np.ma.MaskedArray(then.score, mask=~then.known),
        "previous_as_of": np.ma.MaskedArray(np.full(rows, day), mask=~then.known),
        "percentile_change": np.ma.MaskedArray(compared.change.astype(np.int32), mask=compared.unplaced),
        "movement": Coded(compared.movement(movers), MOVEMENTS),
        **_explanation(movers, names),
    }


def _explanation(movers: Movers, names: Sequence[str]) -> dict[str, Any]:
    nothing = movers.places < 0
    return {
        "moved_by": Coded(movers.places, names),
        "moved_contribution": np.ma.MaskedArray(movers.changes, mask=nothing),
        "moved_text": Coded(np.where(nothing, -1, movers.texts), movers.sentences.texts),
    }
