"""What stands beside a score: the place of the customer on its tenant's list, and the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from propensity.ports import Coded, ListColumn
from propensity.registry.artifact import REASONS, Artifact
from propensity.registry.domain.reason_texts import Sentences, TopReasons
from propensity.registry.domain.reasons import METHODS
from propensity.stats.list_places import UNRANKED, Ranks
from propensity.stats.ranking import decile, rank


def place_columns(tenants: Coded, scores: Any, ranks: Mapping[str, Ranks]) -> dict[str, Any]:
    """Return the columns percentile, decile and unranked_reason of n rows, each ranked by the list of its tenant.

    `scores` is float64 (n,). `ranks` has every tenant of `tenants`.
    """
    percentiles, unranked = rank(tenants.codes, tenants.texts, scores, ranks)
    return {
        "percentile": percentiles,
        "decile": decile(percentiles),
        "unranked_reason": Coded(unranked, UNRANKED),
    }


def reason_columns(artifact: Artifact, matrix: Any, tenants: Any, sentences: Sentences) -> dict[str, Any]:
    """Return the columns reasons and reason_method of n rows.

    `matrix` is float32 (n, features), and `tenants` object (n,). `sentences` are those of earlier rows, to which new
    ones are added.
    """
    return shown_reasons(artifact, *artifact.reasons(matrix, tenants, REASONS, sentences))


def shown_reasons(artifact: Artifact, reasons: TopReasons, methods: Any) -> dict[str, Any]:
    """Return the columns of reasons that are there already. `methods` has the place in METHODS of each row, (n,)."""
    return {
        "reasons": _lists(reasons, artifact),
        # The method has a column of its own, because the structs in an existing table's list cannot be given another
        # field.
        "reason_method": Coded(methods, METHODS),
    }


def _lists(reasons: TopReasons, artifact: Artifact) -> ListColumn:
    there = reasons.places >= 0
    return ListColumn(
        offsets=np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32),
        fields={
            "feature": Coded(reasons.places[there], artifact.definition.feature_names),
            "contribution": reasons.contributions[there],
            "text": Coded(reasons.texts[there], reasons.sentences.texts),
        },
    )
