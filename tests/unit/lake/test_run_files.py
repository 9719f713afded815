"""The results of a run's items are read side by side, and come in the order of the items."""

from __future__ import annotations

from threading import Barrier

import pytest

from propensity.kernel.errors import ConflictError, IncompleteRunError
from propensity.lake.domain.run_names import result_key
from propensity.lake.domain.run_records import ScoreResult
from propensity.lake.run_files import read_results, results_of, write_result
from tests.fakes.memory import MemoryStore

RUN = "runs/score/m/2025-07-01-v000001-batch"


class TwoAtOnce(MemoryStore):
    """A store that answers a reader only when another reads, too."""

    def __init__(self) -> None:
        super().__init__()
        self._both = Barrier(2, timeout=20)

    def get(self, key: str, version_id: str | None = None) -> bytes:
        self._both.wait()
        return super().get(key, version_id)


def test_results_are_read_side_by_side_in_the_order_of_the_items() -> None:
    store = TwoAtOnce()
    for index in (3, 1, 4, 2):
        write_result(store, RUN, ScoreResult.step, index, ScoreResult(rows=index, scored=f"{index}"))
    assert [one.rows for one in results_of(store, RUN, ScoreResult, 4)] == [1, 2, 3, 4]
    assert [one["rows"] for one in read_results(store, RUN, ScoreResult.step, 4)] == [1, 2, 3, 4]


def test_a_broken_result_is_named_and_a_missing_one_too() -> None:
    store = MemoryStore()
    write_result(store, RUN, ScoreResult.step, 1, ScoreResult(rows=1, scored="a"))
    write_result(store, RUN, ScoreResult.step, 2, {"rows": "many", "scored": "b"})
    with pytest.raises(ConflictError, match=result_key(RUN, ScoreResult.step, 2)):
        results_of(store, RUN, ScoreResult, 2)
    with pytest.raises(IncompleteRunError, match="left 1 of 3 results"):
        results_of(store, RUN, ScoreResult, 3)
