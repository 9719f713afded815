"""The receipt of a list: what became of each customer of the population, and the files. Its numbers add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from propensity.kernel.errors import IncompleteRunError
from propensity.kernel.spec import Record

Arm = Literal["exported", "held_out", "suppressed", "filtered", "beyond_limit", "review"]
ARMS: tuple[Arm, ...] = get_args(Arm)


class ListFile(Record):
    """One file of a list, by its name below the list's folder."""

    file: str
    rows: int
    bytes: int
    sha256: str


class FilesErased(Record):
    """The content of `erased.json` of a list: its files were removed, because a person in them was erased."""

    at: str


def receipt_key(folder: str) -> str:
    return f"{folder}/receipt.json"


def erased_key(folder: str) -> str:
    return f"{folder}/erased.json"


class ListReceipt(Record):
    """The content of `receipt.json` of a list. A list without a receipt does not exist.

    `arms` counts the customers of each arm, and `why` those of each reason within an arm. `matchable` is the number of
    exported customers with each column that the destination matches people by. `households` counts the households of
    the exported customers. `mode` is full or delta. A delta's files have a row for each customer who is new on the list
    (`added`) or no longer on it (`removed`); the files of a full list have a row for each exported customer. `nth` is
    the list's number among those of the tenant by the model: deltas are applied in this order.

    In mode `recall` the population is whoever the list `recalls` exported. The files have a row for each of them who is
    taken back (`removed`), and a row for each who stays (`added`): the corrected list.
    """

    export: str
    tenant_id: str
    model: str
    model_version: int
    destination: str
    channel: str | None
    as_of: str
    population: int
    arms: Mapping[Arm, int]
    why: Mapping[str, Mapping[str, int]]
    deciles: Mapping[str, Mapping[str, int]]
    households: int
    matchable: Mapping[str, int]
    mode: Literal["full", "delta", "recall"]
    added: int
    removed: int
    nth: int | None = None
    files: tuple[ListFile, ...]
    recalls: str | None = None

    def check(self) -> None:
        """Raises IncompleteRunError where the numbers do not add up: the list is not handed out then."""
        told = sum(self.arms.values())
        if told != self.population:
            raise IncompleteRunError(
                f"export {self.export}: {self.population} customers in the population, {told} accounted for; nothing "
                "is handed out. Ask for the list again"
            )
        rows = sum(file.rows for file in self.files)
        exported = self.arms.get("exported", 0)
        wanted = {"full": exported, "recall": self.population}.get(self.mode, self.added + self.removed)
        if rows != wanted:
            raise IncompleteRunError(
                f"export {self.export}: {rows} rows in its files, expected {wanted}; nothing is handed out. Ask for "
                "the list again"
            )
