"""Names in the registry, and what its ledger says: who is champion, what waits, what was approved.

The ledger is the one source of truth: aliases, stages and approvals are folded from its lines
(docs/decisions/0044-the-ledger-is-the-registry.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from propensity.kernel.callers import Role
from propensity.kernel.errors import NotFoundError
from propensity.kernel.spec import Frozen, Name

CHAMPION = "champion"
STAGING = "staging"
ROOT = "registry"
CARDS = {"html": "card.html", "md": "card.md"}  # files of a version's folder, by format
Stage = Literal["candidate", "staging", "production", "archived"]
Action = Literal["stage", "approve", "promote", "roll_back"]


class GateSummary(Frozen):
    """Names of a version's gates, as they stood when a line was written."""

    passed: tuple[str, ...]
    failed: tuple[str, ...]

    @staticmethod
    def of(gates: Iterable[Mapping[str, Any]]) -> GateSummary:
        """From gates.json: entries with `name` and `passed`."""
        listed = [(str(gate["name"]), bool(gate["passed"])) for gate in gates]
        return GateSummary(
            passed=tuple(name for name, passed in listed if passed),
            failed=tuple(name for name, passed in listed if not passed),
        )


class Line(Frozen):
    """One line of a model's ledger. `at` is an RFC 3339 instant or a day.

    A line with an alias sets it to the version. The approval that completes two sets `champion` itself: there is no
    moment in which a version is approved twice and not promoted. `action`, `role` and `gates` are None in lines that
    were written before they were said.
    """

    number: int
    action: Action | None = None
    alias: Name | None
    version: int
    previous: int | None
    by: str
    role: Role | None = None
    why: str
    at: str
    gates: GateSummary | None = None


@dataclass(slots=True)
class Standing:
    """What a ledger comes to. `back` are the versions that rollbacks go to, the champion last."""

    champion: int | None = None
    staged: int | None = None
    archived: set[int] = field(default_factory=set)
    produced: set[int] = field(default_factory=set)
    back: list[int] = field(default_factory=list)
    approvals: dict[int, list[Line]] = field(default_factory=dict)

    def stage(self, version: int) -> Stage:
        """`candidate`: never staged nor champion, as a gate failed or it was made to be looked at."""
        if version == self.champion:
            return "production"
        if version == self.staged:
            return "staging"
        return "archived" if version in self.archived else "candidate"

    def aliases(self, version: int) -> list[str]:
        named = ((CHAMPION, self.champion), (STAGING, self.staged))
        return [alias for alias, held in named if held == version]

    def approved_by(self, version: int) -> dict[Role, Line]:
        """The approvals that count for a version, one per role at most."""
        return {line.role: line for line in self.approvals.get(version, ()) if line.role}

    def _archive(self, version: int) -> None:
        self.archived.add(version)
        self.approvals.pop(version, None)  # they were for putting it there, not for bringing it back

    def take(self, line: Line) -> None:
        """Go on by one line."""
        if line.action == "approve":
            self.approvals.setdefault(line.version, []).append(line)
        if line.alias == STAGING and line.version not in (self.staged, self.champion):
            if self.staged is not None:
                self._archive(self.staged)
            self.staged = line.version
            self.archived.discard(line.version)
        if line.alias == CHAMPION and line.version != self.champion:
            if self.champion is not None:
                self._archive(self.champion)
            if self.staged == line.version:
                self.staged = None
            self.champion = line.version
            self.produced.add(line.version)
            self.archived.discard(line.version)
            if line.action == "roll_back" and line.version in self.back:
                del self.back[self.back.index(line.version) + 1 :]
            else:
                # once each: a version that is champion again is the newest way back, not two of them
                self.back = [one for one in self.back if one != line.version] + [line.version]


def standing(ledger: Iterable[Line]) -> Standing:
    """Fold lines, in the order of their numbers."""
    found = Standing()
    for line in sorted(ledger, key=lambda line: line.number):
        found.take(line)
    return found


def way_back(found: Standing, model: str) -> int:
    """The version that a rollback goes to: the champion before, past those that were rolled back from.

    Raises NotFoundError where there is none.
    """
    if len(found.back) < 2:
        raise NotFoundError(
            f"model {model}: alias {CHAMPION} has held no version before that is not rolled back from; name any former "
            "champion as `version`, or promote one"
        )
    return found.back[-2]


def next_number(ledger: Sequence[Line]) -> int:
    return ledger[-1].number + 1 if ledger else 1


def model_root(model: str) -> str:
    return f"{ROOT}/{model}"


def version_folder(model: str, version: int) -> str:
    # six digits, so that a listing is in order
    return f"{model_root(model)}/versions/{version:06d}"


def ledger_root(model: str) -> str:
    return f"{model_root(model)}/ledger/"


def calibration_root(model: str, version: int) -> str:
    """Where a version's later calibrations lie: beside its folder, which is never written again."""
    return f"{model_root(model)}/calibrations/{version:06d}/"


def calibration_key(model: str, version: int, number: int) -> str:
    return f"{calibration_root(model, version)}{number:06d}.json"


def ledger_key(model: str, number: int) -> str:
    return f"{ledger_root(model)}{number:06d}.json"


def describe(version: int, metrics: Mapping[str, Any], lineage: Mapping[str, Any]) -> dict[str, Any]:
    """One version's figures as `list` shows them."""
    return {
        "version": version,
        "family": lineage["family"],
        "as_of": lineage["as_of"],
        "feature_set": lineage["feature_set"],
        "auc": metrics["auc"],
        "rows": metrics["rows"],
        "positives": metrics["positives"],
    }
