"""The proof that a version's lists need before they leave, and the rule that judges it.

A proof is a measurement, not a verdict: the limits of the model's YAML (`release:`) are applied when a list is asked
for. docs/decisions/0117 has the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from propensity.kernel.spec import Record
from propensity.pack.domain.model_spec import Release
from propensity.registry.domain.ledger import model_root
from propensity.stats.figures import Estimate

Source = Literal["matchback", "backtest"]


class ReleaseProof(Record):
    """How far the high deciles converted more often than the low ones, within tenants.

    `by` is the scoring run that was matched, or the backtest. `as_of` are the dates of the lists, and outcomes are
    those known before `known_by`. `difference` is in conversions per customer. It is None, with `why_not` in words,
    where nothing could be compared. `positives` of its n customers converted. `exported` customers were left out
    because a list of the model had them.
    """

    source: Source
    by: str
    model: str
    as_of: tuple[str, ...]
    known_by: str
    difference: Estimate | None
    positives: int = 0
    exported: int = 0
    why_not: str | None = None

    def short_of(self, limits: Release) -> str | None:
        """Return what the proof lacks, in words; None where it shows enough."""
        if self.difference is None:
            return self.why_not or "nothing could be compared"
        lacks = []
        if self.positives < limits.min_positives:
            lacks.append(f"{self.positives} conversions, expected {limits.min_positives} or more")
        if self.difference.low <= limits.min_difference:
            lacks.append(
                f"difference {self.difference.value:.4f} (95 %: {self.difference.low:.4f} to "
                f"{self.difference.high:.4f}, n {self.difference.n:,}), expected all of it above "
                f"{limits.min_difference:g}"
            )
        return "; ".join(lacks) or None


def best_of(proofs: Sequence[ReleaseProof], limits: Release) -> ReleaseProof | None:
    """Return the newest proof that shows enough; None where none does."""
    enough = [proof for proof in proofs if proof.short_of(limits) is None]
    return max(enough, key=lambda proof: (proof.known_by, proof.by), default=None)


def proofs_root(model: str) -> str:
    return f"{model_root(model)}/proofs/"


def version_proofs(model: str, version: int) -> str:
    """Return the folder of the proofs of one version, by matchback."""
    return f"{proofs_root(model)}v{version:06d}/"


def recipe_proofs(model: str, recipe: str) -> str:
    """Return the folder of the proofs of all versions of one recipe, by backtest."""
    return f"{proofs_root(model)}recipe-{recipe}/"
