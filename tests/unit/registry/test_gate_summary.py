"""A version's gates in the ledger: what it failed, and what it had not enough evidence for."""

from __future__ import annotations

from propensity.registry.domain.ledger import GateSummary


def test_what_is_not_proven_is_told_apart_from_what_failed() -> None:
    found = GateSummary.of(
        [
            {"name": "parity", "passed": True, "outcome": "passed"},
            {"name": "auc_floor", "passed": False, "outcome": "not_enough_evidence"},
            {"name": "level", "passed": False, "outcome": "failed"},
        ]
    )
    assert (found.passed, found.failed, found.not_enough_evidence) == (
        ("parity",),
        ("auc_floor", "level"),
        ("auc_floor",),
    )
    assert found.in_words == "failed level; has not enough evidence for auc_floor"


def test_gates_and_ledger_lines_of_older_versions_passed_or_failed() -> None:
    found = GateSummary.of([{"name": "parity", "passed": True}, {"name": "auc_floor", "passed": False}])
    assert (found.not_enough_evidence, found.in_words) == ((), "failed auc_floor")
    assert GateSummary.model_validate({"passed": ["parity"], "failed": ["auc_floor"]}) == found
