"""A row that moves to another decile counts; a row that lies on the edge of two does not."""

from __future__ import annotations

import numpy as np
import pytest

from propensity.evaluation.parity import flips


@pytest.mark.parametrize(("off", "moved"), [(2e-7, False), (5e-6, True), (-0.01, True)])
def test_rounding_moves_nobody_and_less_than_parity_allows_may(off: float, moved: bool) -> None:
    said = np.random.default_rng(2).uniform(0.1, 0.9, 5_000)
    assert (flips(said, said + off) > 0) is moved
