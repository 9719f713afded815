"""Columns to plant into a training set: some were written after their date, others are honest and strong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

Who = tuple[str, str]


class Rows:
    """A training set's rows, with the days on which their customers' outcomes happened over the whole of the extract.

    Days are numbers from 1970 on. `told` has the days of a customer that the extract holds, in order.
    """

    def __init__(self, table: pa.Table, told: Mapping[Who, Sequence[float]], seed: int = 3) -> None:
        self.chance = np.random.default_rng(seed)
        self.who: list[Who] = list(zip(table["tenant_id"].to_pylist(), table["customer_id"].to_pylist(), strict=True))
        self.day = table["as_of"].to_numpy().astype("datetime64[D]").astype(np.int64)
        self.label = table["label"].to_numpy()
        self.told = [np.sort(np.asarray(told.get(who, ()), dtype=float)) for who in self.who]
        self.past = np.array([np.searchsorted(days, day) for days, day in zip(self.told, self.day, strict=True)])
        self.total = np.array([len(days) for days in self.told], dtype=float)
        self.last = np.array([days[-1] if len(days) else np.nan for days in self.told])
        self.extract = float(np.nanmax(self.last))
        self._places = {who: number for number, who in enumerate(sorted(set(self.who)))}
        self.customer = np.array([self._places[who] for who in self.who])

    def per_customer(self, draw: Callable[[int], Any]) -> Any:
        return draw(len(self._places))[self.customer]

    def next(self) -> Any:
        """The day of the next outcome, missing where the extract has none."""
        near = [days[past] if past < len(days) else np.nan for days, past in zip(self.told, self.past, strict=True)]
        return np.array(near)

    def since(self) -> Any:
        """Days since the last outcome, missing where there was none."""
        back = [days[past - 1] if past else np.nan for days, past in zip(self.told, self.past, strict=True)]
        return self.day - np.array(back)


Plant = Callable[[Rows], Any]


def _noise(rows: Rows, spread: float) -> Any:
    return rows.per_customer(lambda count: rows.chance.normal(0, spread, count))


def _active(rows: Rows) -> Any:
    return rows.last >= rows.extract - 60


LEAKS: dict[str, Plant] = {
    "the newest of the extract": lambda rows: rows.last,
    "the newest of the extract, with noise": lambda rows: rows.last + _noise(rows, 30),
    "the difference to the newest": lambda rows: rows.last - rows.day,
    "the difference in whole months": lambda rows: np.floor((rows.last - rows.day) / 30),
    "whether a later one is there": lambda rows: (rows.total > rows.past).astype(float),
    "how many are still to come": lambda rows: rows.total - rows.past,
    "a status set by the outcome": lambda rows: _active(rows).astype(float),
    "a status of three levels": lambda rows: np.digitize(
        np.nan_to_num(rows.extract - rows.last, nan=1e4), [60, 180]
    ).astype(float),
    "an id that grows with the outcome": lambda rows: (
        np.unique(np.nan_to_num(rows.last), return_inverse=True)[1] * 10.0 + 100
    ),
    "the total of the extract": lambda rows: rows.total,
}


def agreed_day(rows: Rows, share: float) -> Any:
    """Days to a date that was agreed long before: for a share of customers about when their outcome comes next."""
    agreed = rows.per_customer(lambda count: rows.chance.random(count)) < share
    nearest = np.minimum(np.nan_to_num(rows.next() - rows.day, nan=400.0), 400) + rows.chance.normal(
        0, 20, len(rows.day)
    )
    other = rows.per_customer(lambda count: rows.chance.uniform(0, 400, count)) - (rows.day - rows.day.min()) % 400
    return np.where(agreed, nearest, other)


def open_order(rows: Rows, kept: float, others: float) -> Any:
    """Whether an order is open: of so many who have the outcome, and of so many others."""
    return (rows.chance.random(len(rows.day)) < np.where(rows.label == 1, kept, others)).astype(float)


def true_trait(rows: Rows, strength: float) -> Any:
    """A trait that never changes, of customers who have the outcome more often on all their dates."""
    count = np.bincount(rows.customer)
    often = np.bincount(rows.customer, weights=rows.label) / count
    return (strength * often + rows.chance.normal(0, 1, len(count)))[rows.customer]


HONEST: dict[str, Plant] = {
    "recency": lambda rows: rows.since(),
    "frequency": lambda rows: rows.past.astype(float),
    "the rate so far": lambda rows: rows.past / np.maximum(rows.day - rows.day.min() + 365, 1),
    "a lease that ends": lambda rows: agreed_day(rows, 0.3),
    "a lease that tells six of ten": lambda rows: agreed_day(rows, 0.6),
    "a lease that ends within four months": lambda rows: (agreed_day(rows, 0.6) < 120).astype(float),
    "an open order, AUC 0.9": lambda rows: open_order(rows, 0.85, 0.05),
    "an open order, AUC 0.8": lambda rows: open_order(rows, 0.65, 0.05),
    "a driver, AUC 0.9": lambda rows: 1.8 * rows.label + rows.chance.normal(0, 1, len(rows.day)),
    "a true trait": lambda rows: true_trait(rows, 1.5),
    "a trait of nothing": lambda rows: rows.per_customer(lambda count: rows.chance.integers(0, 4, count)),
    "nothing": lambda rows: rows.chance.normal(0, 1, len(rows.day)),
}
