"""Which households a rollout reaches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.identity.domain.identity_rules import rollout_arm
from propensity.kernel.errors import BadInputError

HOUSEHOLDS = [f"{number:024x}" for number in range(4_000)]


def treated(salt: str, share: float) -> set[str]:
    return {one for one in HOUSEHOLDS if rollout_arm(one, salt=salt, share=share) == "treatment"}


def test_a_share_is_about_that_share_and_the_ends_are_exact() -> None:
    # three standard errors
    assert abs(len(treated("a", 0.2)) / 4_000 - 0.2) < 3 * (0.2 * 0.8 / 4_000) ** 0.5
    assert treated("a", 0) == set()
    assert treated("a", 1) == set(HOUSEHOLDS)


def test_another_salt_is_another_draw() -> None:
    both = len(treated("a", 0.5) & treated("b", 0.5)) / 4_000
    assert abs(both - 0.25) < 3 * (0.25 * 0.75 / 4_000) ** 0.5


@given(st.text(max_size=30), st.text(max_size=9), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_whom_a_smaller_one_chose(household: str, salt: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if rollout_arm(household, salt=salt, share=low) == "treatment":
        assert rollout_arm(household, salt=salt, share=high) == "treatment"


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_beyond_all_is_refused(share: float) -> None:
    with pytest.raises(BadInputError, match="expected 0 to 1"):
        rollout_arm("h", salt="s", share=share)
