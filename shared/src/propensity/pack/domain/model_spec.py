"""The YAML of a model: what it predicts, for whom, from which features, how it is trained and what it must prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from propensity.kernel.spec import Frozen, Name, Query

Policy = Literal["automatic", "two_approvals"]
Family = Literal["logistic_regression", "hist_gradient_boosting", "random_forest"]


@dataclass(frozen=True, slots=True)
class LabelWindow:
    """The days in which an outcome counts: [as_of + gap, as_of + horizon). The day `end` is not one of the days.

    An as-of date stands for its day's first instant. Features see what happened before that instant. With a gap of 0,
    labels see what happened from that instant on, so that no event falls between features and labels.
    """

    start: date
    end: date


class Training(Frozen):
    """The settings that choose the rows of a training.

    The as-of dates of a training step back by `every_months` or `every_days`. They begin at the newest date whose label
    window has ended and settled by the run's date.
    """

    as_of_count: int = Field(8, ge=2, le=60)
    every_months: int | None = Field(None, ge=1)
    every_days: int | None = Field(None, ge=1)
    # how many of the newest as-of dates a fit may take, each number tried like any other setting; empty: all dates
    newest: tuple[Annotated[int, Field(ge=1)], ...] = ()
    # the most rows that a fit takes: the commoner label is sampled down, and each row left counts for more
    max_rows: int | None = Field(None, ge=100)
    seed: int = 7
    # estimated for one candidate's whole search: settings beyond it are not tried. 700 fit into Lambda's 900 s on one
    # core; with six, trees may take 3,800 (docs/reference/training.md)
    cpu_seconds: float = Field(700, gt=0)

    @property
    def date_counts(self) -> tuple[int, ...]:
        return self.newest or (self.as_of_count,)

    @model_validator(mode="after")
    def _one_step(self) -> Training:
        if (self.every_months is None) == (self.every_days is None):
            raise ValueError("training: give every_months or every_days, one of them")
        return self


class Censoring(Frozen):
    """Settings for customers whose outcome could not be seen. Their rows are left out of training, and counted.

    A tenant that sent nothing in the `silent_days` before the run's day counts as gone since its newest event. `sql`
    names further customers: it gives tenant_id and the entity, from the tables of the as-of date and of the outcomes.
    """

    description: str = ""
    sql: str | None = None
    silent_days: int = Field(45, ge=1, le=730)


class Treatment(Frozen):
    """Settings for customers who were under a campaign in the label window, and how their rows count in training.

    With `exclude` the rows are left out. With `weight` each row counts `weight` in fits, validation and calibration.
    With `keep` each row counts as any other row, and the report says how many there are.
    """

    description: str
    sql: str
    policy: Literal["exclude", "weight", "keep"]
    weight: float | None = Field(None, gt=0, le=1)

    @model_validator(mode="after")
    def _weight_is_for_its_policy(self) -> Treatment:
        if (self.policy == "weight") != (self.weight is not None):
            raise ValueError("treatment: give a weight above 0 and up to 1 with policy weight, and with no other")
        return self


class Validation(Frozen):
    folds: int = Field(3, ge=1, le=20)
    min_positives: int = Field(1, ge=1)  # a date with fewer of them, or with fewer negatives, is no fold


class Range(Frozen):
    """The numbers from low to high.

    With `log` each order of magnitude is equally likely; `whole` means whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _can_be_drawn_from(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"expected low < high, and low > 0 with log; got {self.low} and {self.high}")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest number that is drawn, as integers where only integers are drawn."""
        return (round(self.low), round(self.high)) if self.whole else (self.low, self.high)


class Candidate(Frozen):
    """A family of models, and the settings that are tried: all of the grid, and `draws` settings out of the space."""

    family: Family
    grid: tuple[dict[str, Any], ...] = ({},)
    space: dict[str, Range | tuple[Any, ...]] = Field(default_factory=dict)
    draws: int = Field(27, ge=1, le=1000)
    # a boosted model grows until its validation loss has not fallen for so many iterations; 0: it grows to max_iter
    patience: int = Field(20, ge=0)

    @model_validator(mode="after")
    def _choices_are_there(self) -> Candidate:
        empty = sorted(name for name, values in self.space.items() if values == ())
        if empty:
            raise ValueError(f"space: {', '.join(empty)}: expected values to choose from, or low and high")
        return self


class Selection(Frozen):
    metric: Literal["log_loss"] = "log_loss"
    rule: Literal["one_standard_error", "best"] = "one_standard_error"


class CalibrationChoice(Frozen):
    method: Literal["auto", "sigmoid", "isotonic", "none"] = "auto"


class Gates(Frozen):
    """The proofs that a candidate must give, and the harm that stops it.

    docs/reference/evaluation.md gives the reasons.
    """

    parity_max_abs: float = Field(1e-5, gt=0)
    min_positives: int = Field(30, ge=1)  # of the training set, and of a slice before it is judged
    min_fold_positives: int = Field(10, ge=1)  # of the newest validation fold, on which the floors are measured
    auc_floor: float = Field(0.55, ge=0.5, lt=1)
    lift_floor: float = Field(1.0, ge=0)
    # conversions over the sum of the scores, of all customers: 2 where the scores say half of what came
    level_low: float = Field(0.67, gt=0, le=1)
    level_high: float = Field(1.5, ge=1)
    brier_skill_floor: float = Field(0.0, lt=1)
    calibration_slope_low: float = Field(0.7, gt=0)
    calibration_slope_high: float = Field(1.4, gt=0)
    constant_share: float = Field(0.8, gt=0, le=1)
    leak_auc: float = Field(0.95, gt=0.5, le=1)
    # the AUC alone from which a feature must show on earlier dates, too, that it knows no outcome before its time
    leak_constant_auc: float = Field(0.75, gt=0.5, le=1)
    leak_drop: float = Field(0.1, gt=0, le=0.5)  # of AUC that the model loses without a feature that counts outcomes
    copy_agreement: float = Field(0.9, gt=0, le=1)
    latency_p99_ms: float = Field(100, gt=0)
    slice_max_gap: float = Field(0.2, gt=0, le=0.5)  # by which a slice's AUC may be below the others'
    slice_calibration_gap: float = Field(0.25, gt=0)  # of observed over expected (O/E), as a factor either way
    # against the champion: the AUC that may be lost, and the share of its log loss that may be added
    champion_tolerance: float = Field(0.005, ge=0, lt=1)
    changed_share: float = Field(0.01, ge=0, lt=1)  # of the champion's training rows that have another value now
    as_served_share: float = Field(0.05, ge=0, lt=1)  # of a batch's customers whose features were others when scored
    changed_psi: float = Field(1.0, gt=0)  # in place of changed_share, where no rows are in common
    fairness_gap: float = Field(0.2, gt=0, le=1)  # between the error rates of a protected slice and of the others

    @model_validator(mode="after")
    def _slopes_are_a_range(self) -> Gates:
        if self.calibration_slope_low >= self.calibration_slope_high:
            raise ValueError("gates: calibration_slope_low must be below calibration_slope_high")
        return self


class Slice(Query):
    """A division of the customers into parts that are judged by themselves.

    The slice's SQL gives tenant_id, the entity and a text, `slice`, as of each training date. Where the slice is
    protected, the error rates of the parts are compared too.
    """

    name: Name
    protected: bool = False

    @property
    def column(self) -> str:
        """The slice's column in a training set.

        No feature has this name, because no feature begins with an underscore.
        """
        return f"_slice_{self.name}"


class Cadence(Frozen):
    """The days on which runs are due: `day` of every so many months, counted from `anchor_month` of the year 2000.

    Where a number of days is given, it counts in place of the months, from the Monday `anchor_day`. 7 is a week.
    """

    train_every_days: int | None = Field(None, ge=1, le=366)
    score_every_days: int | None = Field(None, ge=1, le=366)
    anchor_day: date = date(2024, 1, 1)
    train_every_months: int = Field(6, ge=1, le=12)
    score_every_months: int = Field(1, ge=1, le=12)
    anchor_month: int = Field(1, ge=1, le=12)
    day: int = Field(1, ge=1, le=28)


class DriftLimits(Frozen):
    psi_limit: float = Field(0.2, gt=0)
    min_rows: int = Field(200, ge=1)


class Sanity(Frozen):
    """The limits that a batch keeps, or else it is not made visible (docs/reference/scoring.md).

    Each is of a tenant with `min_customers` or more. A batch stops where more than half of the tenants are beyond one.
    """

    min_customers: int = Field(200, ge=20)
    constant_share: float = Field(0.8, gt=0, le=1)  # of a tenant's customers, at the commonest score
    unset_share: float = Field(0.95, gt=0, le=1)  # of the feature values, unknown
    unset_rise: float = Field(0.25, gt=0, le=1)  # of the unknown share, of the same customers
    # deciles that the same customers moved, on average, over those of an order drawn anew: 0 where nobody moved
    decile_churn: float = Field(0.85, gt=0)
    mean_shift: float = Field(1.0, gt=0)  # of the mean score of the same customers, in log odds: by a factor of 2.7


class Retraining(Frozen):
    """The conditions under which a model is trained outside of its cadence.

    A model is retrained when `violations` checks of one kind are violated among the newest `of_last` checks. The very
    newest check must be among the violated ones. A drift check is violated where the score is over `drift.psi_limit`,
    or more than `drifted_share` of the features. A check of performance is violated where the whole 95 % interval of a
    figure is beyond its limit (feedback/domain/retraining.py).
    """

    violations: int = Field(2, ge=1)
    of_last: int = Field(5, ge=1, le=60)
    cool_down_days: int = Field(28, ge=0, le=366)  # since the last training, however it ended
    drifted_share: float = Field(0.25, ge=0, le=1)
    auc_drop: float = Field(0.03, ge=0, le=0.5)  # below the AUC that the version was registered with
    calibration_slope: tuple[float, float] = (0.7, 1.4)
    observed_over_expected: tuple[float, float] = (0.8, 1.25)  # conversions over the sum of the scores

    @model_validator(mode="after")
    def _can_be_met(self) -> Retraining:
        if self.violations > self.of_last:
            raise ValueError(f"retraining: violations is {self.violations}, expected at most of_last, {self.of_last}")
        for name in ("calibration_slope", "observed_over_expected"):
            low, high = getattr(self, name)
            if not low < high:
                raise ValueError(f"retraining: {name} is {(low, high)}, expected low before high")
        return self


class Promotion(Frozen):
    """The way in which a version with passed gates becomes champion: by itself, or by approvals of two people."""

    policy: Policy = "automatic"


class Release(Frozen):
    """What must be shown of a version before a list of its scores leaves: its high deciles convert more than its low.

    The difference of the rates of the top three and the bottom three deciles, of each tenant's own list, must lie above
    `min_difference` with its whole 95 % interval, and at least `min_positives` of these customers must have converted
    (docs/reference/delivery.md). The gate has no off: two people can release a version that has not shown it.
    """

    min_positives: int = Field(30, ge=10)
    min_difference: float = Field(0.0, ge=0, lt=1)  # in conversions per customer


class Fallback(Frozen):
    """The answer for a customer of whom nothing is known: the base rate of the champion's training."""

    score: Literal["base_rate"] = "base_rate"


class LadderSpec(Frozen):
    """The tenants that may leave the global model, and the evidence that they need for it (docs/reference/ladder.md).

    Positives are those of the training rows; where there are fewer negatives, the negatives are counted. `segment`
    gives tenant_id and segment, one row per tenant. Without `segment` there are no segments.
    """

    segment: Query | None = None
    min_positives_own: int = Field(200, ge=10)
    min_positives_segment: int = Field(200, ge=10)
    min_rows_intercept: int = Field(200, ge=10)
    max_own_models: int = Field(50, ge=0, le=500)


class Value(Frozen):
    """The gain of a conversion and the cost of a contact, in one currency, so that a list's worth can be told."""

    per_conversion: float = Field(gt=0)
    cost_per_contact: float = Field(ge=0)
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class ModelSpec(Frozen):
    name: Name
    hypothesis: str
    owner: str
    population: Query
    target: Query
    # an outcome counts from `gap_days` after the as-of date until the day before `horizon_days` after it
    horizon_days: int = Field(ge=1, le=730)
    gap_days: int = Field(0, ge=0, le=365)
    # after so many days behind the window's end all outcomes are known; a later outcome would count as "did not"
    settle_days: int = Field(7, ge=0, le=90)
    features: tuple[Name, ...]
    training: Training
    validation: Validation = Validation()
    candidates: tuple[Candidate, ...]
    imbalance: Literal["none", "balanced"] = "none"
    selection: Selection = Selection()
    calibration: CalibrationChoice = CalibrationChoice()
    gates: Gates = Gates()
    promotion: Promotion = Promotion()
    release: Release = Release()
    cadence: Cadence = Cadence()
    drift: DriftLimits = DriftLimits()
    sanity: Sanity = Sanity()
    retraining: Retraining = Retraining()
    fallback: Fallback = Fallback()
    filter: Query | None = None
    value: Value | None = None
    ladder: LadderSpec | None = None
    # the model card says whom the scores are for, whom they could harm and how, and what they do not say
    intended_use: str = ""
    ethical_considerations: str = ""
    limits: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()
    censored: Censoring = Censoring()
    treatment: Treatment | None = None

    @model_validator(mode="after")
    def _window_has_days(self) -> ModelSpec:
        if self.gap_days >= self.horizon_days:
            raise ValueError(
                f"gap_days {self.gap_days}: expected fewer than horizon_days {self.horizon_days}, which is counted "
                "from the as-of date too"
            )
        return self

    def label_window(self, as_of: date) -> LabelWindow:
        """The days in which an outcome counts for a score as of a day."""
        return LabelWindow(as_of + timedelta(days=self.gap_days), as_of + timedelta(days=self.horizon_days))

    @property
    def reach_days(self) -> int:
        """The days from an as-of date until all outcomes of its label window are known."""
        return self.horizon_days + self.settle_days

    @model_validator(mode="after")
    def _families_do_not_repeat(self) -> ModelSpec:
        if twice := _repeated([candidate.family for candidate in self.candidates]):
            raise ValueError(
                f"candidates: {', '.join(twice)} stands there more than once; give it once, with both grids"
            )
        return self

    @model_validator(mode="after")
    def _slices_do_not_repeat(self) -> ModelSpec:
        if twice := _repeated([part.name for part in self.slices]):
            raise ValueError(f"slices: {', '.join(twice)} stands there more than once")
        return self


def _repeated(names: Sequence[str]) -> list[str]:
    """The names that stand more than once in a list, ascending."""
    return sorted({name for name in names if names.count(name) > 1})
