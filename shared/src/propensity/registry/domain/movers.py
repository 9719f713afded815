"""Movers: the feature whose change explains most of a customer's change in place since the earlier batch.

A feature's part in the change is its contribution now less its contribution then, both by the present model. So the
parts are those of one model: where another version made the earlier score, the features of then are explained anew.
The contributions of `exact`, `shapley` and `path` add up, and so do the parts: to the change of the raw score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.pack.domain.feature_spec import Feature
from propensity.registry.domain.reason_texts import Sentences, directed, shown_by, shown_once, statement_of
from propensity.registry.domain.reasons import Explained


@dataclass(frozen=True, slots=True)
class Past:
    """What n customers were in the earlier batch.

    `matrix` is float32 (n, k), the features of then. `way` is int8 (n,): 1 for a customer who has risen among the
    tenant's, -1 for one who has fallen, and 0 for one whose change is not to be explained.
    """

    matrix: Any
    way: Any

    def of(self, rows: Any) -> Past:
        """Return the past of the rows of a mask."""
        return Past(self.matrix[rows], self.way[rows])


@dataclass(frozen=True, slots=True)
class Movers:
    """For n rows the feature that explains most of the change: arrays (n,).

    `places` is int32, the place of the feature among all, -1 for none. `changes` is float64, its part in the change, in
    the contributions' unit. `texts` is int32, numbers of sentences. `explained` is bool: False where the model has no
    contributions, or where the past says not to explain.
    """

    places: Any
    changes: Any
    texts: Any
    explained: Any
    sentences: Sentences

    @staticmethod
    def none(rows: int) -> Movers:
        """Return no movers for so many rows. They have sentences of their own: most pairs of values come once."""
        return Movers(
            np.full(rows, -1, dtype=np.int32),
            np.zeros(rows),
            np.zeros(rows, dtype=np.int32),
            np.zeros(rows, dtype=bool),
            Sentences(),
        )

    def find(
        self, rows: Any, now: Explained, then: Explained, past: Past, features: Sequence[Feature], matrix: Any
    ) -> None:
        """Write the movers of some rows of the whole.

        `rows` is int (m,), their numbers. `now`, `then`, `past` and `matrix`, the features of now, are of these rows.
        A feature that moves the score the other way explains nothing, nor does one that moves it by less than
        `now.least`. Where the features together moved the score the other way, or not at all, nothing explains the
        change: others have moved.
        """
        self.explained[rows] = True
        parts = (now.contributions - then.contributions) * past.way[:, None]
        places = np.argmax(parts, axis=1)
        most = parts[np.arange(len(parts)), places]
        found = np.flatnonzero((parts.sum(axis=1) > 0) & (most >= now.least))
        self.places[rows[found]] = places[found]
        self.changes[rows[found]] = (most * past.way)[found]
        for place in np.unique(places[found]):
            mine = found[places[found] == place]
            values = matrix[mine, place], past.matrix[mine, place]
            self.texts[rows[mine]] = _say(features[place], *values, past.way[mine], self.sentences)


def _say(feature: Feature, now: Any, then: Any, way: Any, sentences: Sentences) -> Any:
    """Return the numbers of sentences, int32 (m,). Each value is put into words once, and each pair joined once."""
    first_now, now_once = shown_once(feature, now)
    first_then, then_once = shown_once(feature, then)
    statement, shown = statement_of(feature), shown_by(feature)
    values = now[first_now].tolist()
    said, still = [statement(value) for value in values], [shown(value) for value in values]
    was = [shown(value) for value in then[first_then].tolist()]
    pairs = (now_once.astype(np.int64) * len(was) + then_once) * 2 + (way > 0)
    different, inverse = np.unique(pairs, return_inverse=True)
    numbers = np.empty(len(different), dtype=np.int32)
    for number, pair in enumerate(different.tolist()):
        both, rises = divmod(pair, 2)
        a, b = divmod(both, len(was))
        # values that read alike may lie on two sides of what the model looks at
        before = "hardly changed" if was[b] == still[a] else f"{was[b]} before"
        numbers[number] = sentences.number(directed(f"{said[a]}; {before}", 1.0 if rises else -1.0))
    return numbers[inverse]
