"""The model card of a version: its purpose, its quality, the customers it was judged on, its gates and its sources.

The sections follow Mitchell et al., "Model Cards for Model Reporting" (2019). Every figure comes from the run's
evaluation. A section is left out where the evaluation of an older run has no figures for the section.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from propensity.kernel import charts
from propensity.kernel.pages import Figure, Page, Section, Table
from propensity.pack.domain.definition import Definition

_METRICS = {
    "auc_within": "AUC within tenants: the chance that one who did outranks another of the same tenant; 0.5 is chance",
    "lift_of_lists": "Lift of each tenant's top tenth: its rate over that of the tenant's customers",
    "observed_over_expected": "Level: what came over what the scores say (O/E); 1 is right",
    "auc": "AUC, pooled: the chance that one who did outranks one who did not, of whatever tenant; 0.5 is chance",
    "average_precision": "Average precision, pooled",
    "lift_top_decile": "Lift of the top tenth of all tenants' customers, pooled: its rate over everyone's",
    "brier": "Brier score: mean squared error, less is better",
    "brier_skill": "Brier skill: gain over saying the base rate; above 0 is better than that",
    "log_loss": "Log loss in nats, less is better",
    "calibration_slope": "Calibration slope; 1 is right",
    "calibration_intercept": "Calibration intercept; 0 is right",
    "ece": "Expected calibration error",
}
_NOT_STATED = "The model's YAML does not say."
_ALWAYS = (
    "Figures are of the newest validation fold. Family, settings and calibration were chosen with that fold among "
    "others, so they are a little too good; matchback measures each scoring run afterwards.",
    "Reasons and importances say what the score rests on, not what would happen if a customer changed.",
)


@dataclass(frozen=True, slots=True)
class CardSource:
    """The sources of a card, as the run's JSON files have them.

    `plan` is plan.json, with `run` and `seed` added. `evaluation` is evaluation.json. `slices` and `training` are
    slices.json and training.json; they are empty where the run has none.
    """

    definition: Definition
    plan: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    slices: Sequence[Mapping[str, Any]]
    training: Mapping[str, Any]


def model_card(source: CardSource) -> Page:
    """Return the card as a page, which kernel/pages.py writes as HTML and as Markdown."""
    definition, plan, evaluation = source.definition, source.plan, source.evaluation
    model, facts = definition.model, evaluation.get("card", {})
    metrics, gates = evaluation["metrics"], evaluation["gates"]
    outcomes = [_outcome(gate) for gate in gates]
    counts = [
        f"{outcomes.count(outcome)} {said}"
        for outcome, said in (("failed", "failed"), ("not_enough_evidence", "without enough evidence"))
        if outcome in outcomes
    ]
    verdict = f"of {len(gates)} gates {', '.join(counts)}" if counts else f"all {len(gates)} gates passed"
    sections = [
        _judged(source, verdict),
        _use(definition),
        Section("Ethical considerations", (model.ethical_considerations or _NOT_STATED,)),
        _data(source),
        _performance(metrics, facts),
        _against(evaluation.get("report", {})),
        _slices(source.slices),
        _features(definition, facts),
        _segments(facts),
        _gates(gates),
        Section("Limits", ((*model.limits, *source.training.get("limits", ()), *_ALWAYS),)),
        _lineage(plan, evaluation),
    ]
    return Page(
        f"Model card: {model.name}, {plan['as_of']}",
        f"{' '.join(_gained(evaluation.get('report', {})))} {verdict[0].upper()}{verdict[1:]}.",
        tuple(section for section in sections if section),
    )


def _gained(report: Mapping[str, Any]) -> list[str]:
    """Say how many conversions a list by this version gains, over each list of equal size that it is compared with."""
    size = (report.get("model") or {}).get("size")
    said = []
    for name, who in (("over_filter", "the manual filter"), ("over_champion", "the last champion")):
        if name in report.get("gains", {}) and size:
            found = report["gains"][name]["conversions"]
            more, sign = ("more", 1) if found["value"] >= 0 else ("fewer", -1)
            low, high = sorted((sign * found["low"], sign * found["high"]))
            said.append(
                f"A list of {size:,} customers by this version holds {abs(found['value']):.0f} {more} conversions "
                f"(95 %: {low:.0f} to {high:.0f}) than a list of equal size by {who}."
            )
    return said or ["There is neither a manual filter nor a champion whose list this version could be compared with."]


def _judged(source: CardSource, verdict: str) -> Section:
    """Return how the version was judged, and what its AUC has to do with the AUC of later outcomes."""
    evaluation, metrics = source.evaluation, source.evaluation["metrics"]
    fold = evaluation.get("report", {}).get("fold") or max(source.plan["dates"])
    auc = metrics.get("auc_within") or metrics["auc"]
    return Section(
        "How it was judged",
        (
            f"On {metrics['auc']['n']:,} customers as of {fold}, the newest validation fold, with their outcomes; none "
            f"of these rows was fitted on. {verdict[0].upper()}{verdict[1:]}. The model is of the family "
            f"{evaluation['family']}, with calibration {metrics['calibration']}.",
            f"The AUC of this fold is {_short(auc)}. Each scoring run gets an AUC of its own once its outcomes are "
            "known (matchback). The two are of other customers at another time, so they differ by chance. The fold's "
            "AUC is a little too good, because the settings were chosen with this fold among others. Where an "
            "outcome's AUC lies below this interval, the model ranks worse than it did here.",
        ),
    )


def _use(definition: Definition) -> Section:
    model = definition.model
    rows = (
        ("Hypothesis", model.hypothesis),
        ("Predicts", f"{model.target.description} In the {_window(definition)}."),
        ("For", model.population.description),
        ("Owner", model.owner),
    )
    return Section("Intended use", (model.intended_use or _NOT_STATED, Table("What it predicts", ("", ""), rows)))


def _window(definition: Definition) -> str:
    model = definition.model
    if model.gap_days:
        return f"from {model.gap_days} to {model.horizon_days} days after the as-of date"
    return f"{model.horizon_days} days after the as-of date"


def _data(source: CardSource) -> Section:
    definition, plan, metrics = source.definition, source.plan, source.evaluation["metrics"]
    dates, left_out = sorted(plan["dates"]), source.training.get("left_out", {})
    empty = [row["as_of"] for row in source.training.get("dates", ()) if not row["rows"]]
    none = f"; no row is left of {len(empty)}: {', '.join(empty)}" if empty else ""
    rows = [
        ("As-of dates", f"{len(dates)}, from {dates[0]} to {dates[-1]}{none}"),
        ("Known by", plan["as_of"]),
        ("Outcomes", f"of the {_window(definition)}"),
        ("Rows", f"{metrics['rows']:,}"),
        ("Positives", f"{metrics['positives']:,} ({metrics['positives'] / metrics['rows']:.2%})"),
    ]
    if left_out:
        rows.append(("Rows left out", ", ".join(f"{count:,} {why}" for why, count in sorted(left_out.items()))))
    return Section("Data window", (Table("What it was trained on", ("", ""), tuple(rows)),))


def _performance(metrics: Mapping[str, Any], facts: Mapping[str, Any]) -> Section:
    rows = tuple((what, *_estimate(metrics[name])) for name, what in _METRICS.items() if metrics.get(name))
    blocks: list[str | Table | Figure] = [
        Table("On the newest validation fold", ("figure", "value", "95 %", "n"), rows),
        f"{ranking_in_words(metrics)}.",
    ]
    if facts:
        pooled = "tenths" not in facts
        blocks += [calibration_plot(facts["reliability"]), lift_chart(facts["gains" if pooled else "tenths"], pooled)]
    return Section("Performance", tuple(blocks))


def ranking_in_words(metrics: Mapping[str, Any]) -> str:
    """Return how well a version ranks, in words: its pooled AUC as what is within tenants and what is between them.

    `metrics` are those of metrics.json. A version from before figures within tenants has a pooled figure only.
    """
    pooled = f"pooled AUC {metrics['auc']['value']:.3g}"
    if "pairs_within" not in metrics:
        return f"{pooled}, which differences between tenants may make; within tenants it was not measured"
    within, between, share = metrics["auc_within"], metrics["auc_between"], metrics["pairs_within"]
    parts = []
    if within:
        parts.append(f"{within['value']:.3g} within tenants ({share:.0%} of the pairs), which is what lists gain by")
    if between is not None:
        parts.append(f"{between:.3g} between tenants ({1 - share:.0%} of the pairs)")
    return f"{pooled}: {', and '.join(parts)}"


def calibration_plot(bins: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw a chart of rates against scores. `bins` are curves.Bin records as JSON."""
    points = [charts.Point(row["rate"]["value"], row["rate"]["low"], row["rate"]["high"], row["score"]) for row in bins]
    n = sum(row["rate"]["n"] for row in bins)
    labels = charts.Labels(
        "calibration",
        f"Calibration of all customers (n = {n:,})",
        "mean score of the bin",
        "share that did",
        f"{len(bins)} bins of {n:,} rows by score: the share of each that did, with its 95 % interval, against its "
        "mean score. On the dashed line scores are right.",
    )
    rows = tuple((f"{row['score']:.3g}", *_estimate(row["rate"])) for row in bins)
    return Figure(charts.scatter(points, labels), Table(labels.title, ("mean score", "share", "95 %", "n"), rows))


def lift_chart(tenths: Sequence[Mapping[str, Any]], pooled: bool) -> Figure:
    """Draw a chart of the lift of each tenth. `tenths` are curves.Tenth records as JSON.

    They are those of each tenant's list. `pooled` ones, of an early release, are those of one list of all customers.
    """
    points = [
        charts.Point(row["lift"]["value"], row["lift"]["low"], row["lift"]["high"], label=_decile(row))
        for row in tenths
    ]
    n = sum(row["lift"]["n"] for row in tenths)
    if pooled:
        title, of, over = "Lift by decile, pooled over tenants", "all tenants' customers together", "everyone's rate"
    else:
        title, of, over = "Lift by decile of each tenant's list", "each tenant's list", "the rate of its customers"
    labels = charts.Labels(
        "lift",
        f"{title} (n = {n:,})",
        "decile of the list; 10 is the likeliest",
        f"its rate over {over}",
        f"Rate of each decile of {of} ({n:,} customers), likeliest first, over {over}, with its 95 % interval. The "
        f"dashed line is {over}.",
    )
    rows = tuple((_decile(row), *_estimate(row["lift"]), f"{row['captured']:.1%}") for row in tenths)
    header = ("decile", "lift", "95 %", "n", "of all positives, so far")
    return Figure(charts.bars(points, labels, ideal=1.0), Table(labels.title, header, rows))


def _decile(tenth: Mapping[str, Any]) -> str:
    """Return the tenth's number as scores have it: 10 is the likeliest; curves.Tenth counts from the likeliest."""
    return str(11 - int(tenth["number"]))


def _against(report: Mapping[str, Any]) -> Section | None:
    """Return the section that compares lists of equal size, and the other candidates.

    The lists are those by the model, by the manual filter and by the last champion.
    """
    blocks: list[str | Table] = []
    lists = {"this version": "model", "the manual filter": "filter", "the last champion": "champion"}
    found = [(who, report[name]) for who, name in lists.items() if (report.get(name) or {}).get("observed")]
    if found:
        rows = tuple(
            (who, f"{listed['size']:,}", f"{listed['expected']:.0f}", _short(listed["observed"]))
            for who, listed in found
        )
        header = ("list by", "customers", "expected conversions", "observed (95 %)")
        blocks.append(Table(f"On the fold of {report['fold']}, {report['list_of']}", header, rows))
        gains = report.get("gains", {})
        named = {"over_filter": "the manual filter", "over_champion": "the last champion"}
        blocks += [
            f"Conversions gained over {who}: {_short(gains[name]['conversions'])}."
            for name, who in named.items()
            if name in gains
        ]
        if (report.get("champion") or {}).get("has_seen_the_rows"):
            blocks.append("The last champion was fitted on these rows and has the easier task.")
    if report.get("candidates"):
        tried = tuple((str(row["family"]), f"{row['log_loss']:.4f}", str(row["why"])) for row in report["candidates"])
        blocks.append(Table("Candidates", ("family", "mean log loss", "why"), tried))
    return Section("Against what else", tuple(blocks)) if blocks else None


def _slices(slices: Sequence[Mapping[str, Any]]) -> Section | None:
    if not slices:
        return None
    rows = tuple(
        (
            (f"{part['slice']}: {part['value']}" if part["value"] else part["slice"])
            + (" (protected)" if part["protected"] else ""),
            f"{part['n']:,}",
            f"{part['positives']:,}",
            _short(part["auc"]),
            _short(part["calibration"]),
            part["evidence"],
        )
        for part in slices
    )
    header = ("slice", "n", "positives", "AUC (95 %)", "observed / expected (95 %)", "evidence")
    return Section("Slices", (Table("On the newest validation fold", header, rows),))


def _features(definition: Definition, facts: Mapping[str, Any]) -> Section:
    measured = {feature["name"]: feature for feature in facts.get("features", ())}
    rows = tuple(
        (
            feature.name,
            feature.description,
            feature.unit or feature.dtype,
            measured.get(feature.name, {}).get("effect", "not measured"),
            _importance(measured.get(feature.name, {}).get("importance")),
        )
        for feature in sorted(
            definition.features, key=lambda feature: -measured.get(feature.name, {}).get("importance", 0.0)
        )
    )
    legend = {
        "exact": "Importance: how far one standard deviation of the feature moves the score, in logits. The effect is "
        "the sign of its coefficient; of features that say nearly the same one may point the other way.",
        "shapley": "Importance: the mean size of the feature's exact share (Shapley) in how far the score lies from "
        f"the typical customer's, in logits, over {facts.get('rows', 0):,} customers. The effect is how the mean score "
        "goes along the feature's values with all else as it is.",
        "path": "Importance: the mean size of the feature's share, along the trees' paths, in how far the score lies "
        f"from the typical customer's, over {facts.get('rows', 0):,} customers: in logits for boosted trees, in "
        "probability for a forest. The effect is how the mean score goes along the feature's values with all else as "
        "it is.",
        "ablation": "Importance: how far setting the feature to its typical value moves the score, in logits, on "
        f"average over {facts.get('rows', 0):,} customers. The effect is how the mean score goes along the feature's "
        "values with all else as it is.",
    }.get(facts.get("method") or "", "Effects were not measured.")
    header = ("feature", "what it is", "unit", "effect on the score as it grows", "importance")
    return Section("Features", (legend, Table("Features, most important first", header, rows)))


def _segments(facts: Mapping[str, Any]) -> Section | None:
    segments = facts.get("segments", ())
    if not segments:
        return None
    rows = tuple(
        (row["segment"], f"{row['n']:,}", ", ".join(f"{name} {_importance(value)}" for name, value in row["top"]))
        for row in segments
    )
    legend = "Mean size of each feature's contribution to the scores of the segment's customers, in logits."
    header = ("segment", "n", "most important features")
    return Section("Importance by segment", (legend, Table("The five most important of each", header, rows)))


_RESULTS = {"passed": "pass", "failed": "FAIL", "not_enough_evidence": "not enough evidence"}


def _outcome(gate: Mapping[str, Any]) -> str:
    """Return the outcome of an entry of gates.json. An entry from before outcomes were recorded passed or failed."""
    return str(gate.get("outcome") or ("passed" if gate["passed"] else "failed"))


def _gates(gates: Sequence[Mapping[str, Any]]) -> Section:
    rows = tuple(
        (
            gate["name"],
            _RESULTS[_outcome(gate)],
            gate.get("said") or f"{gate['figure']} against {gate['threshold']}",
        )
        for gate in gates
    )
    return Section("Gates", (Table("What it had to prove", ("gate", "result", "in words"), rows),))


def _lineage(plan: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Section:
    rows = [
        ("Run", plan["run"]),
        ("Feature set", plan["feature_set"]),
        ("Settings", _pairs(evaluation["parameters"])),
        ("Seed", str(plan["seed"])),
        ("Silver versions", _pairs(plan["silver"])),
        ("Packages", _pairs(evaluation["packages"])),
    ]
    if evaluation.get("training_set"):
        rows.append(("Training set (content hash)", _text(evaluation["training_set"])))
    return Section("Lineage", (Table("What it rests on", ("", ""), tuple(rows)),))


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_text(value)}" for name, value in sorted(values.items())) or "none"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_pairs(value)})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _estimate(found: Mapping[str, Any]) -> tuple[str, str, str]:
    return f"{found['value']:.3g}", f"{found['low']:.3g} to {found['high']:.3g}", f"{found['n']:,}"


def _short(found: Mapping[str, Any] | None) -> str:
    return f"{found['value']:.3g} ({found['low']:.3g} to {found['high']:.3g})" if found else "not measured"


def _importance(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
