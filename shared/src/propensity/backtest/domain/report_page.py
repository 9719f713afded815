"""The page of a backtest: its figures month by month, and over all months that share no outcome."""

from __future__ import annotations

from propensity.backtest.domain.backtest_report import BacktestReport, ListGains, OriginFigure, OriginReport
from propensity.kernel import charts
from propensity.kernel.pages import Figure as Chart
from propensity.kernel.pages import Page, Section, Table
from propensity.pack.domain.model_spec import ModelSpec
from propensity.stats.figures import Estimate

_SHOWN = {
    "auc_within": "AUC within tenants; 0.5 is chance",
    "lift_of_lists": "Lift of each tenant's top tenth",
    "observed_over_expected": "Level: conversions over what the scores say; 1 is right",
    "calibration_slope": "Calibration slope, pooled over tenants; 1 is right",
}


def report_page(report: BacktestReport, spec: ModelSpec) -> Page:
    """Return the page of a report. `spec` is the model that was tried."""
    first, last = report.origins[0].judged["as_of"], report.origins[-1].judged["as_of"]
    verdict = "It passes the release gate." if report.short_of is None else f"It does not pass: {report.short_of}."
    return Page(
        f"Backtest: {report.model}, {first} to {last}",
        f"{_in_words(report.gains)} {verdict}",
        (
            Section("What was tried", (_tried(report, spec),)),
            Section("Month by month", (_chart(report.origins), _months(report.origins))),
            Section("All counted months together", (_together(report),)),
            Section("Lists", (_lists(report),)),
            Section("Release", (_release(report),)),
            Section("What to know", (report.notes, *_findings(report.origins))),
        ),
    )


def _in_words(gains: ListGains | None) -> str:
    if gains is None:
        return "No list has anybody."
    each = f"A month's lists of {gains.size:,.0f} customers by the model hold {_number(gains.by_model)} conversions"
    if gains.gain is None:
        return f"{each}; the model has no manual filter to be held against."
    money = f", worth {_number(gains.gain_money)} {gains.currency}" if gains.gain_money else ""
    return f"{each}, {_number(gains.gain)} more than the manual filter's{money}."


def _tried(report: BacktestReport, spec: ModelSpec) -> Table:
    whose = "came with the request, and is not deployed" if report.own_definition else "is the pack's"
    rows = (
        ("Hypothesis", spec.hypothesis),
        ("Definition", f"{whose}; recipe {report.recipe}, feature set {report.feature_set}"),
        ("Label window", f"{spec.gap_days} to {spec.horizon_days} days after each origin"),
        ("Outcomes until", report.as_of),
        ("Asked by", f"{report.by}, {report.at}"),
    )
    return Table("What was tried", ("", ""), rows)


def _months(origins: tuple[OriginReport, ...]) -> Table:
    rows = []
    for one in origins:
        judged = one.judged
        version = "" if judged["version"] is None else f", version {judged['version']}"
        rows.append(
            (
                f"{judged['as_of']}{'' if one.counted else ' (not counted)'}",
                f"{judged['family']} on {judged['trained_rows']:,} rows up to {judged['trained_until']}{version}",
                f"{judged['rows']:,}",
                f"{judged['positives']:,}",
                *(_estimate(_find(one.figures, name)) for name in _SHOWN),
            )
        )
    header = ("Origin", "Trained", "Customers", "Conversions", *_SHOWN.values())
    return Table("Each origin, with 95 % intervals", header, tuple(rows))


def _chart(origins: tuple[OriginReport, ...]) -> Chart:
    points, rows = [], []
    for one in origins:
        found = _find(one.figures, "auc_within")
        if found is not None:
            day = str(one.judged["as_of"])
            points.append(charts.Point(found.value, found.low, found.high, label=day))
            rows.append((day, _estimate(found)))
    labels = charts.Labels(
        key="auc",
        title="AUC within tenants by origin",
        x="origin",
        y="AUC within tenants",
        description="One bar for each origin with its 95 % interval; the broken line is chance, 0.5.",
    )
    table = Table("AUC within tenants", ("Origin", "AUC"), tuple(rows))
    return Chart(charts.bars(points, labels, ideal=0.5), table)


def _together(report: BacktestReport) -> Table:
    rows = tuple(
        (_SHOWN.get(one.measure, one.measure), _estimate(one.estimate), f"{one.estimate.n:,}", f"{one.positives:,}")
        for one in report.together
    )
    return Table(", ".join(report.proof.as_of), ("Figure", "Value (95 %)", "n", "Conversions"), rows)


def _lists(report: BacktestReport) -> Table:
    every = [one.gains for one in report.origins if one.gains] + ([report.gains] if report.gains else [])
    rows = tuple(
        (
            gains.month or f"mean of {gains.months}",
            f"{gains.size:,.0f}",
            f"{gains.expected:,.0f}",
            _number(gains.by_model),
            _number(gains.by_filter) if gains.by_filter else "no filter",
            _number(gains.gain) if gains.gain else "no filter",
            f"{_number(gains.gain_money)} {gains.currency}" if gains.gain_money else "no value in the YAML",
        )
        for gains in every
    )
    header = ("Month", "On the lists", "Expected", "By the model", "By the filter", "Gain", "Gain in money")
    return Table("Conversions of a month's lists, all tenants together, with 95 % intervals", header, rows)


def _release(report: BacktestReport) -> Table:
    proof = report.proof
    found = f"{_estimate(proof.difference)}, n {proof.difference.n:,}" if proof.difference else str(proof.why_not)
    rows = (
        ("Top three deciles less bottom three, conversions per customer", found),
        ("Conversions among them", f"{proof.positives:,}"),
        ("Expected", f"all above {report.limits['min_difference']:g}, of {report.limits['min_positives']} or more"),
        ("Lacks", report.short_of or "nothing"),
    )
    return Table("What the release gate reads", ("", ""), rows)


def _findings(origins: tuple[OriginReport, ...]) -> tuple[str, ...]:
    return tuple(f"{one.judged['as_of']}: {said}" for one in origins for said in one.findings)


def _find(figures: tuple[OriginFigure, ...], measure: str) -> Estimate | None:
    return next((one.estimate for one in figures if (one.segment, one.measure) == ("all", measure)), None)


def _estimate(found: Estimate | None) -> str:
    return "none" if found is None else f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _number(found: Estimate) -> str:
    return f"{found.value:,.0f} ({found.low:,.0f} to {found.high:,.0f})"
