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
CARDS = {"html": "card.html", "md": "card.md"}  # the file name of the model card in a version's folder, by format
REASONS_FILE = "reasons.onnx"  # the graph of the reasons of a model of trees, beside its model.onnx
Stage = Literal["candidate", "staging", "production", "archived"]
Action = Literal["stage", "approve", "promote", "roll_back", "release"]


class GateSummary(Frozen):
    """The names of the gates that a version passed and did not pass, as they were when the line was written.

    `not_enough_evidence` has the names among `failed` whose rows proved neither. It is empty in older lines.
    """

    passed: tuple[str, ...]
    failed: tuple[str, ...]
    not_enough_evidence: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """What the version did not prove. Example: `failed level; has not enough evidence for auc_floor`."""
        proven = [name for name in self.failed if name not in self.not_enough_evidence]
        parts = [("failed", proven), ("has not enough evidence for", self.not_enough_evidence)]
        return "; ".join(f"{said} {', '.join(names)}" for said, names in parts if names)

    @staticmethod
    def of(gates: Iterable[Mapping[str, Any]]) -> GateSummary:
        """Return the summary of the entries of gates.json; each entry has `name` and `passed`.

        Entries from before `outcome` was recorded have passed or failed.
        """
        entries = list(gates)
        listed = [(str(gate["name"]), bool(gate["passed"])) for gate in entries]
        unproven = [str(gate["name"]) for gate in entries if gate.get("outcome") == "not_enough_evidence"]
        return GateSummary(
            passed=tuple(name for name, passed in listed if passed),
            failed=tuple(name for name, passed in listed if not passed),
            not_enough_evidence=tuple(unproven),
        )


class LedgerLine(Frozen):
    """One line of a model's ledger, written as JSON. `at` is an RFC 3339 instant or a day.

    A line with an alias points the alias to the version. The line of the second approval itself has the alias
    `champion`, so that no version is ever approved twice and not promoted. `action`, `role` and `gates` are None in old
    lines, written before these fields were recorded. `role` is also None for every action but an approval and a
    release.
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
    """The standing of a model's versions, which is the sum of the lines of its ledger.

    `archived` has the versions that lost their place. `produced` has the versions that have been champion. `back` has
    the champions that rollbacks go back to, in order, with the present champion last. `approvals` has the approvals of
    each version that still count. `releases` has the releases of each version, which count for good.
    """

    champion: int | None = None
    staged: int | None = None
    archived: set[int] = field(default_factory=set)
    produced: set[int] = field(default_factory=set)
    back: list[int] = field(default_factory=list)
    approvals: dict[int, list[LedgerLine]] = field(default_factory=dict)
    releases: dict[int, list[LedgerLine]] = field(default_factory=dict)

    def stage(self, version: int) -> Stage:
        """Return the stage of a version.

        A `candidate` was never staged nor champion, because a gate failed or because it was only trained to be looked
        at.
        """
        if version == self.champion:
            return "production"
        if version == self.staged:
            return "staging"
        return "archived" if version in self.archived else "candidate"

    def aliases(self, version: int) -> list[str]:
        pointed = ((CHAMPION, self.champion), (STAGING, self.staged))
        return [alias for alias, number in pointed if number == version]

    def approved_by(self, version: int) -> dict[Role, LedgerLine]:
        """Return the approvals of a version that still count, by role."""
        return {line.role: line for line in self.approvals.get(version, ()) if line.role}

    def released_by(self, version: int) -> dict[Role, LedgerLine]:
        """Return who released the lists of a version, by role. The lists are released once both roles have."""
        return {line.role: line for line in self.releases.get(version, ()) if line.role}

    def _archive(self, version: int) -> None:
        self.archived.add(version)
        self.approvals.pop(version, None)  # the approvals were given to promote the version, not to bring it back later

    def take(self, line: LedgerLine) -> None:
        """Change the standing by the next line of the ledger."""
        if line.action == "approve":
            self.approvals.setdefault(line.version, []).append(line)
        if line.action == "release":
            self.releases.setdefault(line.version, []).append(line)
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
                # `back` has each version once; a version that is champion again moves to the end
                self.back = [number for number in self.back if number != line.version] + [line.version]


def model_standing(ledger: Iterable[LedgerLine]) -> ModelStanding:
    """Return the standing after all lines, taken in the order of their numbers."""
    standing = ModelStanding()
    for line in sorted(ledger, key=lambda line: line.number):
        standing.take(line)
    return standing


def way_back(standing: ModelStanding, model: str) -> int:
    """Return the version that a rollback goes to: the champion before the present one.

    A version from which a rollback was made is passed over. Raises NotFoundError where no version is left.
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
    # a number has six digits, so that a listing of keys is in the order of numbers
    return f"{model_root(model)}/versions/{version:06d}"


def ledger_root(model: str) -> str:
    return f"{model_root(model)}/ledger/"


def calibration_root(model: str, version: int) -> str:
    """Return the folder of a version's later calibrations.

    The folder lies beside the version's folder, which is never rewritten.
    """
    return f"{model_root(model)}/calibrations/{version:06d}/"


def calibration_key(model: str, version: int, number: int) -> str:
    return f"{calibration_root(model, version)}{number:06d}.json"


def ledger_key(model: str, number: int) -> str:
    return f"{ledger_root(model)}{number:06d}.json"
