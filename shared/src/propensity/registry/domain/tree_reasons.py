"""The trees whose leaves say how far each feature moved a score: the reasons of a tree model in one pass.

A tree model's raw score is a sum over its trees. So are its contributions, and a tree's contributions depend on nothing
but the side of each of the tree's splits on which the row lies. This module therefore turns each tree into a tree of
its answer patterns. A leaf of the new tree holds the contributions of all rows with that pattern.

There are two methods, each relative to the typical customer r (`reasons.typical_values`):

The method `shapley` gives the exact baseline Shapley values (Sundararajan and Najmi 2020, "The many Shapley values for
model explanation", section 2.2). Take a leaf with value v, less the value of r's own leaf. A mixture of x and r reaches
it if the mixture takes from x the features B, whose conditions r fails, and none of the features F, whose conditions r
meets and x fails. With b = |B| and f = |F| the Shapley value of that game is v (b-1)! f! / (b+f)! for each feature of
B, and -v b! (f-1)! / (b+f)! for each feature of F. The values add up to the tree's value for x less its value for r.

The method `path` gives a node the value of the leaf that r reaches from it, and a split's feature the child's value
less the node's (Saabas 2014, "Interpreting random forests", with r instead of counted rows). It adds up too, but says
nothing of features that act together in another order than the tree's. It serves trees whose patterns are too many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import factorial, inf, isnan
from typing import Literal

type TreeMethod = Literal["shapley", "path"]

MOST_PATTERNS = 100_000  # about 10 MB of reasons.onnx, and twice the time of a plain score
MOST_LEAVES = 32  # trees of more leaves have too many patterns: 200 trees of 31 leaves have millions
_LOOK_AHEAD = 5


@dataclass(frozen=True, slots=True)
class Leaf:
    value: float


@dataclass(frozen=True, slots=True)
class Split:
    """A split of a tree. A row goes left where its value is at most `threshold`, and where it is NaN and `nan_left`.

    `threshold` is a float32 value.
    """

    feature: int
    threshold: float
    nan_left: bool
    left: Tree
    right: Tree


@dataclass(frozen=True, slots=True)
class Parts:
    """A leaf of a tree of reasons: how far each feature moved the tree's value; features that did not are left out."""

    moved: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """A split of a tree of reasons. It is read as a `Split` is."""

    feature: int
    threshold: float
    nan_left: bool
    left: Reasoned
    right: Reasoned


type Tree = Leaf | Split
type Reasoned = Parts | Asked
type _Question = tuple[int, float, bool]  # feature, threshold, nan_left


class TooManyPatternsError(Exception):
    """The trees have more answer patterns than allowed."""


def reason_trees(
    trees: Sequence[Tree], typical: Sequence[float], most: int = MOST_PATTERNS
) -> tuple[TreeMethod, list[Reasoned]]:
    """Return the trees of reasons, one per tree, and their method.

    `typical` has one float32 value per feature, NaN for missing. The method is `shapley` where all trees together have
    at most `most` patterns, and `path` where they have more.
    """
    try:
        return "shapley", list(_shapley_trees(trees, typical, most))
    except TooManyPatternsError:
        return "path", [path_tree(tree, typical) for tree in trees]


def _shapley_trees(trees: Sequence[Tree], typical: Sequence[float], most: int) -> Iterator[Reasoned]:
    if any(_leaves(tree) > MOST_LEAVES for tree in trees):
        raise TooManyPatternsError
    made = 0
    for number, tree in enumerate(trees):
        patterns = _Patterns(typical, most - made)
        yield patterns.of(tree)
        made += patterns.made
        # an ensemble that is on its way far beyond the limit is given up early
        if number >= _LOOK_AHEAD and made * len(trees) > 2 * most * (number + 1):
            raise TooManyPatternsError


def _leaves(tree: Tree) -> int:
    return 1 if isinstance(tree, Leaf) else _leaves(tree.left) + _leaves(tree.right)


def reached(tree: Tree, row: Sequence[float]) -> float:
    """Return the value of the leaf that a row, one value per feature, reaches."""
    while isinstance(tree, Split):
        tree = tree.left if _goes_left(row[tree.feature], tree.threshold, tree.nan_left) else tree.right
    return tree.value


def path_tree(tree: Tree, typical: Sequence[float]) -> Reasoned:
    """Return the tree of reasons of the method `path`."""
    return _path(tree, typical, {})


def _path(tree: Tree, typical: Sequence[float], moved: Mapping[int, float]) -> Reasoned:
    if isinstance(tree, Leaf):
        return Parts({feature: value for feature, value in moved.items() if value})
    here, sides = reached(tree, typical), []
    for child in (tree.left, tree.right):
        step = reached(child, typical) - here
        sides.append(_path(child, typical, {**moved, tree.feature: moved.get(tree.feature, 0.0) + step}))
    return _asked((tree.feature, tree.threshold, tree.nan_left), *sides)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a value: a number in (low, high], if `number`, or NaN, if `missing`.

    Without `low` the number may be as low as -inf.
    """

    low: float | None = None
    high: float = inf
    number: bool = True
    missing: bool = True

    def answer(self, threshold: float, nan_left: bool) -> bool | None:
        """Return whether the value goes left at a split; None where that is not known."""
        answers = set()
        if self.number:
            if self.high <= threshold:
                answers.add(True)
            elif self.low is not None and self.low >= threshold:
                answers.add(False)
            else:
                return None
        if self.missing:
            answers.add(nan_left)
        return answers.pop() if len(answers) == 1 else None

    def after(self, threshold: float, nan_left: bool, *, left: bool) -> _Known:
        """Return what is known once the value was seen to go left, or right."""
        if not self.number:
            return self
        missing = self.missing and nan_left is left
        if left:
            high = min(self.high, threshold)
            return _Known(self.low, high, self.low is None or self.low < high, missing)
        low = threshold if self.low is None else max(self.low, threshold)
        return _Known(low, self.high, low < self.high, missing)


type _Open = Mapping[int, Mapping[_Question, bool]]  # by feature: the open questions, and the answers towards the leaf


@dataclass(frozen=True, slots=True)
class _Path:
    """The way to a leaf, as far as the row's answers are known.

    `needed` are the features whose conditions the typical customer fails (B), `kept` those whose conditions it meets
    (A): of each what is not known yet. `moving` are all features of B, and `failed` those of A that the row is known to
    fail (F).
    """

    value: float
    moving: tuple[int, ...]
    needed: _Open
    kept: _Open
    failed: tuple[int, ...] = ()

    def after(self, feature: int, known: _Known) -> _Path | None:
        """Return the way once more of a feature is known; None where no mixture of x and r reaches the leaf."""
        needed, kept, failed = self.needed, self.kept, self.failed
        if feature in needed:
            left = _still_open(needed[feature], known)
            if left is None:
                return None
            needed = _with(needed, feature, left)
        elif feature in kept:
            left = _still_open(kept[feature], known)
            failed = failed if left is not None else (*failed, feature)
            kept = _with(kept, feature, left or {})
        else:
            return self
        return _Path(self.value, self.moving, needed, kept, failed)

    def moved(self) -> Iterator[tuple[int, float]]:
        """Yield how far each feature moved the value, once nothing is open."""
        b, f = len(self.moving), len(self.failed)
        for feature in self.moving:
            yield feature, self.value * factorial(b - 1) * factorial(f) / factorial(b + f)
        for feature in self.failed:
            yield feature, -self.value * factorial(b) * factorial(f - 1) / factorial(b + f)


def _opened(path: _Path) -> _Path | None:
    """Return a way without the conditions that hold for every value; None where no value leads along it."""
    way: _Path | None = path
    for feature in (*path.needed, *path.kept):
        way = way and way.after(feature, _Known())
    return way


def _with(open_: _Open, feature: int, left: Mapping[_Question, bool]) -> _Open:
    rest = {other: questions for other, questions in open_.items() if other != feature}
    return {**rest, feature: left} if left else rest


def _still_open(conditions: Mapping[_Question, bool], known: _Known) -> dict[_Question, bool] | None:
    """Return the conditions that are not known to hold; None where one is known to fail."""
    out = {}
    for question, left in conditions.items():
        _, threshold, nan_left = question
        answer = known.answer(threshold, nan_left)
        if answer is None:
            out[question] = left
        elif answer is not left:
            return None
    return out


@dataclass(slots=True)
class _Patterns:
    """The tree of answer patterns of one tree. Raises TooManyPatternsError beyond `most` leaves."""

    typical: Sequence[float]
    most: int
    made: int = 0

    def of(self, tree: Tree) -> Reasoned:
        # a question that every value answers alike is never open: one side of it would have no rows
        paths = [_opened(path) for path in self._paths(tree, reached(tree, self.typical), {})]
        return self._ask([path for path in paths if path is not None], {})

    def _paths(self, tree: Tree, start: float, way: _Open) -> Iterator[_Path]:
        """Yield the ways to the leaves whose value is not the one of r's own leaf."""
        if isinstance(tree, Leaf):
            if tree.value != start:
                fails = {feature for feature, conditions in way.items() if not self._meets(feature, conditions)}
                needed = {feature: conditions for feature, conditions in way.items() if feature in fails}
                kept = {feature: conditions for feature, conditions in way.items() if feature not in fails}
                yield _Path(tree.value - start, tuple(needed), needed, kept)
            return
        question = (tree.feature, tree.threshold, tree.nan_left)
        before = way.get(tree.feature, {})
        for child, left in ((tree.left, True), (tree.right, False)):
            # nothing lies on the other side of a split that was passed already
            if before.get(question, left) is left:
                yield from self._paths(child, start, {**way, tree.feature: {**before, question: left}})

    def _meets(self, feature: int, conditions: Mapping[_Question, bool]) -> bool:
        value = self.typical[feature]
        return all(
            _goes_left(value, threshold, nan_left) is left for (_, threshold, nan_left), left in conditions.items()
        )

    def _ask(self, live: Sequence[_Path], known: Mapping[int, _Known]) -> Reasoned:
        wanted = dict[_Question, int]()
        for path in live:
            # whether a leaf counts at all is asked first: most leaves end there
            weight = len(live) + 1 if path.needed else 1
            for questions in (path.needed or path.kept).values():
                for question in questions:
                    wanted[question] = wanted.get(question, 0) + weight
        if not wanted:
            self.made += 1
            if self.made > self.most:
                raise TooManyPatternsError
            return Parts(_added(live))
        question = max(wanted, key=lambda one: (wanted[one], one))
        feature, threshold, nan_left = question
        before = known.get(feature, _Known())

        def side(*, left: bool) -> Reasoned:
            now = before.after(threshold, nan_left, left=left)
            after = (path.after(feature, now) for path in live)
            return self._ask([path for path in after if path is not None], {**known, feature: now})

        yes, made = side(left=True), self.made
        asked = _asked(question, yes, side(left=False))
        if asked is yes:
            self.made = made  # both sides are equal, and one of them is left
        return asked


def _added(paths: Sequence[_Path]) -> dict[int, float]:
    out: dict[int, float] = {}
    for path in paths:
        for feature, value in path.moved():
            out[feature] = out.get(feature, 0.0) + value
    return {feature: value for feature, value in sorted(out.items()) if value}


def _goes_left(value: float, threshold: float, nan_left: bool) -> bool:
    return nan_left if isnan(value) else value <= threshold


def _asked(question: _Question, left: Reasoned, right: Reasoned) -> Reasoned:
    """Return the split, or one of its sides where both are equal."""
    return left if left == right else Asked(*question, left, right)
