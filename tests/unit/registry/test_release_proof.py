"""What a proof must show before lists leave, and what it lacks in words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from propensity.pack.domain.model_spec import Release
from propensity.registry.domain.release_proof import ReleaseProof, best_of
from propensity.stats.figures import Estimate


def proof(low: float = 0.01, positives: int = 30, **changes: Any) -> ReleaseProof:
    facts: dict[str, Any] = {"source": "matchback", "by": "runs/score/m/x", "model": "m", "as_of": ("2025-07-01",)}
    facts |= {"known_by": "2025-10-06", "difference": Estimate(low + 0.02, low, low + 0.04, 900)}
    return ReleaseProof.model_validate({**facts, "positives": positives, **changes})


@pytest.mark.parametrize(
    ("given", "limits", "lacks"),
    [
        (proof(), {}, None),
        (proof(low=0.0), {}, "expected all of it above 0"),
        (proof(low=-0.01), {}, "n 900"),
        (proof(positives=29), {}, "29 conversions, expected 30 or more"),
        (proof(positives=29), {"min_positives": 29}, None),
        (proof(low=0.02), {"min_difference": 0.02}, "expected all of it above 0.02"),
        (proof(low=0.0201), {"min_difference": 0.02}, None),
        (proof(difference=None, why_not="no list has both"), {}, "no list has both"),
    ],
)
def test_a_proof_is_enough_only_with_its_whole_interval_and_enough_conversions(
    given: ReleaseProof, limits: dict[str, Any], lacks: str | None
) -> None:
    found = given.short_of(Release(**limits))
    assert found is None if lacks is None else lacks in str(found)


def test_the_gate_cannot_be_set_so_that_it_never_fails() -> None:
    for wrong in ({"min_positives": 9}, {"min_difference": -0.1}, {"off": True}):
        with pytest.raises(ValidationError):
            Release(**wrong)


def test_of_several_proofs_the_newest_that_is_enough_counts() -> None:
    weak, old, new = proof(low=-1, known_by="2026-01-01"), proof(known_by="2025-08-01"), proof(known_by="2025-09-01")
    assert best_of([new, weak, old], Release()) == new
    assert best_of([weak], Release()) is None
