"""The ledger of a model, and the keys of the registry.

The ledger is the one source of truth. Its lines, read in order, give the aliases, stages and approvals of all versions
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
REGISTRY = "registry"
CARDS = {"html": "card.html", "md": "card.md"}  # by format: the file of the model card in a version's folder
Stage = Literal["candidate", "staging", "production", "archived"]
Action = Literal["stage", "approve", "promote", "roll_back"]


class GateSummary(Frozen):
    """The names of the gates that a version passed and failed, as they were when the line was written."""

    passed: tuple[str, ...]
    failed: tuple[str, ...]

    @staticmethod
    def of(gates: Iterable[Mapping[str, Any]]) -> GateSummary:
        """The summary of the entries of gates.json, each with `name` and `passed`."""
        listed = [(str(gate["name"]), bool(gate["passed"])) for gate in gates]
        return GateSummary(
            passed=tuple(name for name, passed in listed if passed),
            failed=tuple(name for name, passed in listed if not passed),
        )


class LedgerLine(Frozen):
    """One line of a model's ledger, written as JSON. `at` is an RFC 3339 instant or a day.

    A line with an alias points the alias to the version. The second approval has the alias `champion` itself, so that
    no version is ever approved twice and not promoted. `action`, `role` and `gates` are None in lines from before they
    were recorded; `role` is also None for every action but an approval.
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
class ModelStanding:
    """What the lines of a ledger add up to.

    `archived`: versions that lost their place. `produced`: versions that have been champion. `back`: the champions that
    rollbacks go back to, in order, the present one last. `approvals`: the approvals of each version that still count.
    """

    champion: int | None = None
    staged: int | None = None
    archived: set[int] = field(default_factory=set)
    produced: set[int] = field(default_factory=set)
    back: list[int] = field(default_factory=list)
    approvals: dict[int, list[LedgerLine]] = field(default_factory=dict)

    def stage(self, version: int) -> Stage:
        """`candidate`: never staged nor champion, because a gate failed or it was only trained to be looked at."""
        if version == self.champion:
            return "production"
        if version == self.staged:
            return "staging"
        return "archived" if version in self.archived else "candidate"

    def aliases(self, version: int) -> list[str]:
        pointed = ((CHAMPION, self.champion), (STAGING, self.staged))
        return [alias for alias, number in pointed if number == version]

    def approved_by(self, version: int) -> dict[Role, LedgerLine]:
        """The approvals of a version that count, by role."""
        return {line.role: line for line in self.approvals.get(version, ()) if line.role}

    def _archive(self, version: int) -> None:
        self.archived.add(version)
        self.approvals.pop(version, None)  # they were given to promote it, not to bring it back later

    def take(self, line: LedgerLine) -> None:
        """Change the standing by the next line."""
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
                # each version once: one that is champion again moves to the end
                self.back = [number for number in self.back if number != line.version] + [line.version]


def model_standing(ledger: Iterable[LedgerLine]) -> ModelStanding:
    """The standing after all lines, taken in the order of their numbers."""
    standing = ModelStanding()
    for line in sorted(ledger, key=lambda line: line.number):
        standing.take(line)
    return standing


def way_back(standing: ModelStanding, model: str) -> int:
    """The version that a rollback goes to: the champion before the present one.

    A version that was rolled back from is passed over. Raises NotFoundError where no version is left.
    """
    if len(standing.back) < 2:
        raise NotFoundError(
            f"model {model}: alias {CHAMPION} has held no version before that is not rolled back from; name any former "
            "champion as `version`, or promote one"
        )
    return standing.back[-2]


def next_number(ledger: Sequence[LedgerLine]) -> int:
    return ledger[-1].number + 1 if ledger else 1


def model_root(model: str) -> str:
    return f"{REGISTRY}/{model}"


def version_folder(model: str, version: int) -> str:
    # six digits, so that a listing of keys is in the order of numbers
    return f"{model_root(model)}/versions/{version:06d}"


def ledger_root(model: str) -> str:
    return f"{model_root(model)}/ledger/"


def calibration_root(model: str, version: int) -> str:
    """The folder of a version's later calibrations: beside the version's folder, which is never written again."""
    return f"{model_root(model)}/calibrations/{version:06d}/"


def calibration_key(model: str, version: int, number: int) -> str:
    return f"{calibration_root(model, version)}{number:06d}.json"


def ledger_key(model: str, number: int) -> str:
    return f"{ledger_root(model)}{number:06d}.json"
