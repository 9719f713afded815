"""What each function of template.yaml may do and must not do, written by hand.

test_policies holds the template's own policies against it, and test_stack the roles of the deployed functions.
"""

from __future__ import annotations

from dataclasses import dataclass

RUN = "runs/train/buy/2026-01-01"
REPLAY = "runs/train/buy/2026-01-01-replay-v000001-x"
SCORED = "runs/score/buy/2026-01-01"
LANDED = "sales/tenant_id=t1/may.csv"
LINE = "registry/buy/ledger/000009.json"
VERSION = "registry/buy/versions/000009/model.onnx"
PROMOTED = "silver/sales/bucket=1/a.parquet"
BRONZE = "bronze/sales/tenant_id=t1/a.parquet"
QUARANTINED = "quarantine/sales/tenant_id=t1/a.parquet"
REPORTED = "validation/sales/tenant_id=t1/a.json"
REGISTERED = "landings/ingest_date=2026-01-01/tenant_id=t1/sales/a.json"
RECORD = "tenants/t1/record/000001.json"
GOLD = "gold/scores/model=buy/a.parquet"
MATCHED = "gold/matchback/a.parquet"
LOG = "_delta_log/00000000000000000001.json"
ORIGIN = "runs/train/backtest-of-buy/buy_0123456789abcdef-2026-01-01"
BACKTEST = "runs/backtest/buy/buy_0123456789abcdef"
PROOF = "registry/buy/proofs/v000001/a.json"
LIST = "exports/lists/tenant_id=t1/service-0123456789abcdef"


@dataclass(frozen=True)
class Rights:
    """Objects of the lake: those that a function puts and must not put, those that it gets and must not get.

    `calls` are its other actions, of those in CALLS. A put that is allowed is one of an object that is not there.
    """

    puts: tuple[str, ...] = ()
    not_put: tuple[str, ...] = ()
    gets: tuple[str, ...] = ()
    not_get: tuple[str, ...] = ()
    calls: frozenset[str] = frozenset()


# actions that few functions may do, and that each other function is tried to do
CALLS = (
    "put a ledger line",
    "put a landed file",
    "delete from the lake",
    "delete a landed file",
    "delete a landed version",
    "delete a version of the lake",
    "announce a Bronze file",
    "log an answer",
    "put into the online table",
    "start a training",
    "start a scoring",
    "invoke an erasure",
)
REMOVES = frozenset({"put a ledger line", "delete a landed version", "delete a version of the lake"})
_PLAN = ("plan.json", "definition/model.yaml", "items.json", "items/0001.json", "fit.json", "fit/items/0001.json")
_RESULTS = ("evaluation.json", "candidates/linear/model.onnx", "results/fit_candidate/0001.json")

RIGHTS: dict[str, Rights] = {
    "ValidateUpload": Rights(
        (BRONZE, QUARANTINED, REPORTED, REGISTERED),
        (PROMOTED, "audit/removed/a", RECORD, LINE),
        (REGISTERED, RECORD),
        (PROMOTED, LINE, GOLD),
        frozenset({"announce a Bronze file"}),
    ),
    "PromoteSilver": Rights((PROMOTED,), (BRONZE, REPORTED, GOLD), (BRONZE,), (QUARANTINED, LINE, RECORD)),
    "CheckQuarantine": Rights(
        ("gold/quarantine/a.parquet",), (GOLD, QUARANTINED, REGISTERED), (REGISTERED,), (QUARANTINED, PROMOTED)
    ),
    "ReplayQuarantine": Rights(
        (BRONZE, QUARANTINED),
        (PROMOTED, RECORD, "contracts/sales/1.0.0.yaml"),
        (QUARANTINED, REPORTED),
        (PROMOTED, LINE, RECORD),
        frozenset({"announce a Bronze file"}),
    ),
    "ResolveIdentities": Rights(
        ("identities/2026-01-01.json", "gold/identities/a"), (PROMOTED, GOLD), (PROMOTED,), (BRONZE, LINE, RECORD)
    ),
    "BuildFeatures": Rights(
        (
            f"{RUN}/features/0001.parquet",
            f"{SCORED}/results/build_features/0001.json",
            f"{SCORED}/earlier/0001.parquet",
            "features/x/a-0001.parquet",
        ),
        (
            *(f"{RUN}/{name}" for name in ("plan.json", "items/0001.json", *_RESULTS[:2])),
            *(f"{SCORED}/{name}" for name in ("plan.json", "cuts.json", "results/score_shard/0001.json")),
            f"features/x/{LOG}",
            LINE,
        ),
        (PROMOTED, GOLD, "features/x/a-0001.parquet", f"{SCORED}/scored/0001.parquet"),
        (BRONZE, MATCHED, RECORD),
    ),
    "DescribeFeatures": Rights(("catalogue/2026-01-01.json",), (LINE, "features/x/a"), (LINE,), (PROMOTED, GOLD)),
    "ReportFeatures": Rights((), ("catalogue/2026-01-01.json", LINE), ("catalogue/2026-01-01.json",), (PROMOTED, RUN)),
    "PlanScoring": Rights(
        tuple(f"{SCORED}/{name}" for name in ("plan.json", "items.json", "items/0001.json")),
        tuple(f"{SCORED}/{name}" for name in ("receipt.json", "cuts.json", "scored/0001.parquet", "drift.json")),
        (PROMOTED, LINE),
        (BRONZE, RECORD, f"{RUN}/plan.json"),
    ),
    "ScoreShard": Rights(
        (f"{SCORED}/scored/0001.parquet", f"{SCORED}/results/score_shard/0001.json"),
        (*(f"{SCORED}/{name}" for name in ("plan.json", "receipt.json", "cuts.json")), GOLD),
        (f"{SCORED}/plan.json", "features/x/a.parquet"),
        (PROMOTED, GOLD, RECORD),
    ),
    "RankRun": Rights(
        (f"{SCORED}/cuts.json",),
        (f"{SCORED}/plan.json", f"{SCORED}/scored/0001.parquet"),
        (f"{SCORED}/scored/0001.parquet",),
        (LINE, PROMOTED),
    ),
    "LabelShard": Rights(
        (f"{SCORED}/results/label_shard/0001.json", GOLD),
        (f"{SCORED}/plan.json", f"{SCORED}/cuts.json", f"gold/scores/{LOG}"),
        ("features/x/a.parquet", f"{SCORED}/earlier/0001.parquet", GOLD),
        (PROMOTED, RECORD),
    ),
    "CommitRun": Rights(
        (
            *(f"{SCORED}/{name}" for name in ("receipt.json", "sanity.json", "forced.json")),
            f"{SCORED}/results/commit_run/0001.json",
            f"{SCORED}/results/commit_run-00000000000000000007/0001.json",
            f"gold/scores/{LOG}",
            f"features/x/{LOG}",
            "gold/scores/model=buy/a-after-7.parquet",
        ),
        (GOLD, "features/x/a.parquet", f"{SCORED}/plan.json", f"{SCORED}/results/label_shard/0001.json"),
        (f"{SCORED}/plan.json",),
        (PROMOTED, f"{RUN}/plan.json"),
    ),
    "PublishScores": Rights(
        (f"{SCORED}/results/publish_scores/0001.json",),
        (f"{SCORED}/plan.json", f"{SCORED}/receipt.json", GOLD),
        (GOLD,),
        (PROMOTED, BRONZE),
    ),
    "ServeScores": Rights(
        (),
        (LINE, "gold/inference_log/a", f"{SCORED}/plan.json"),
        (LINE, RECORD),
        (GOLD, PROMOTED),
        frozenset({"log an answer"}),
    ),
    "LogInference": Rights(("gold/inference_log/a",), (GOLD, MATCHED), ("gold/inference_log/a",), (GOLD, PROMOTED)),
    "ExplainScore": Rights((), (GOLD, "gold/inference_log/a"), (GOLD, LINE), (PROMOTED, f"{SCORED}/plan.json")),
    "PlanTraining": Rights(
        (*(f"{RUN}/{name}" for name in _PLAN), f"{ORIGIN}/judged/items/0001.json", f"{ORIGIN}/origin/items.json"),
        (
            *(f"{RUN}/{name}" for name in (*_RESULTS, "features/0001.parquet", "ladder/ladder.json")),
            *(f"{ORIGIN}/judged.json", f"{BACKTEST}/request.json", LINE),
        ),
        (PROMOTED, RECORD, f"{BACKTEST}/request.json"),
        (BRONZE, GOLD),
    ),
    "FitCandidate": Rights(
        (f"{RUN}/candidates/linear/model.onnx", f"{RUN}/results/fit_candidate/0001.json"),
        (
            *(f"{RUN}/{name}" for name in ("plan.json", "features/0001.parquet", "definition/model.yaml")),
            *(f"{RUN}/{name}" for name in ("evaluation.json", "results/build_features/0001.json")),
            f"{SCORED}/plan.json",
            VERSION,
        ),
        (f"{RUN}/features/0001.parquet",),
        (LINE, PROMOTED),
    ),
    "EvaluateCandidate": Rights(
        (
            *(f"{RUN}/{name}" for name in ("evaluation.json", "calibration.json", "report.json", "card.html")),
            *(f"{RUN}/{name}" for name in ("reference.json", "training.json", "slices.json", "mlflow/MLmodel")),
            "registry/buy/golden/base.parquet",
            "registry/buy/golden/cases/c1.parquet",
        ),
        (
            *(f"{RUN}/{name}" for name in ("plan.json", "definition/model.yaml", "features/0001.parquet")),
            *(f"{RUN}/{name}" for name in (*_RESULTS[1:], "ladder/ladder.json", "ladder/fit.json")),
            "registry/buy/golden/cases.json",  # people write it
            LINE,
            VERSION,
        ),
        (f"{RUN}/candidates/linear/model.onnx", LINE),
        (PROMOTED, GOLD, f"{SCORED}/plan.json"),
    ),
    "FitLadder": Rights(
        tuple(f"{RUN}/ladder/{name}" for name in ("fit.json", "segment-01/model.onnx", "tenant_id=t1/oof.parquet")),
        (
            *(f"{RUN}/{name}" for name in ("plan.json", *_RESULTS, "features/0001.parquet", "calibration.json")),
            *(f"{RUN}/ladder/{name}" for name in ("ladder.json", "reference.json", "files.json")),
            LINE,
            VERSION,
        ),
        (f"{RUN}/features/0001.parquet",),
        (LINE, PROMOTED),
    ),
    "EvaluateLadder": Rights(
        (
            *(f"{RUN}/ladder/{name}" for name in ("ladder.json", "reference.json", "files.json")),
            f"{RUN}/ladder/tenant_id=t1/calibration.json",
        ),
        (
            *(f"{RUN}/{name}" for name in ("plan.json", *_RESULTS, "calibration.json", "reference.json")),
            *(f"{RUN}/ladder/{name}" for name in ("fit.json", "tenant_id=t1/model.onnx", "segment-01/oof.parquet")),
            LINE,
        ),
        (f"{RUN}/ladder/fit.json",),
        (LINE, PROMOTED),
    ),
    "RunMatchback": Rights(
        (f"{SCORED}/outcomes/2026-03-01.parquet", f"{SCORED}/matchback-2026-03-01.json", MATCHED, PROOF),
        (f"{SCORED}/plan.json", f"{SCORED}/receipt.json", f"{SCORED}/drift.json", GOLD, PROMOTED, LINE),
        (PROMOTED, GOLD),
        (BRONZE, f"{RUN}/plan.json"),
    ),
    "CheckDrift": Rights(
        (f"{SCORED}/drift.json", "gold/drift/a.parquet"),
        (f"{SCORED}/plan.json", f"{SCORED}/receipt.json", f"{SCORED}/as_served.json", GOLD),
        ("features/x/a.parquet",),
        (PROMOTED, GOLD),
    ),
    "AuditFeatures": Rights(
        (f"{SCORED}/as_served.json", "gold/as_served/a.parquet"),
        (f"{SCORED}/plan.json", f"{SCORED}/receipt.json", f"{SCORED}/drift.json", GOLD),
        (PROMOTED,),
        (BRONZE, GOLD),
    ),
    "RequestRetraining": Rights(
        ("registry/buy/retraining/2026-01-01.json", "registry/buy/retraining/turns/000001.json"),
        (LINE, VERSION, f"{RUN}/plan.json"),
        (LINE,),
        (PROMOTED, f"{RUN}/plan.json"),
        frozenset({"start a training"}),
    ),
    "ManageTenants": Rights(
        (RECORD, "retractions/sales/tenant_id=t1/0.json"),
        (PROMOTED, REPORTED, LINE, "tenants/t1/other.json"),
        (RECORD,),
        (BRONZE, GOLD, LINE),
        frozenset({"put a landed file"}),  # a link lends it
    ),
    "ExportTenant": Rights(("exports/t1/a.parquet",), (PROMOTED, GOLD, RECORD), (PROMOTED, GOLD), (BRONZE, LINE)),
    "RequestExport": Rights(
        (f"{LIST}/request.json",),
        (f"{LIST}/receipt.json", f"{LIST}/part-0001.csv", LINE, RECORD),
        (LINE, RECORD),
        (PROMOTED, GOLD),
    ),
    "PlanExport": Rights((), (f"{LIST}/request.json", GOLD, LINE), (GOLD, LINE, RECORD), (PROMOTED, BRONZE)),
    "ReviewCustomers": Rights(
        ("gold/review/model=buy/a.parquet",),
        (GOLD, "gold/exports/a.parquet", f"{LIST}/request.json", LINE),
        ("gold/review/model=buy/a.parquet", RECORD),
        (PROMOTED, GOLD, "gold/exports/a.parquet"),
    ),
    "BuildExport": Rights(
        (
            *(f"{LIST}/receipt.json", f"{LIST}/part-0001.csv"),
            *(f"gold/{table}/a.parquet" for table in ("exports", "recalls", "review")),
        ),
        (GOLD, PROMOTED, LINE, RECORD),
        (PROMOTED, GOLD, LINE),
        (BRONZE, RECORD),
    ),
    "ReportLandings": Rights((), (REGISTERED, REPORTED), (REGISTERED, f"silver/sales/{LOG}"), (PROMOTED, QUARANTINED)),
    "ReportReadiness": Rights((), (LINE, RECORD), (LINE, PROMOTED), (BRONZE, GOLD)),
    "StartDueRuns": Rights(
        ("registry/buy/retraining/turns/000001.json",),
        (LINE, f"{RUN}/plan.json", "registry/buy/retraining/2026-01-01-by_hand-001.json"),
        (LINE,),
        (PROMOTED, RECORD),
        frozenset({"start a training", "start a scoring"}),
    ),
    "ReportRuns": Rights(
        (),
        (LINE, f"{RUN}/plan.json", f"{SCORED}/forced.json"),
        (LINE, f"{SCORED}/sanity.json", f"{SCORED}/forced.json"),
        (PROMOTED, f"{RUN}/plan.json", f"{SCORED}/plan.json"),
    ),
    "MaintainTables": Rights(
        (PROMOTED, GOLD),
        (BRONZE, QUARANTINED, LINE, f"{RUN}/plan.json"),
        (PROMOTED, LINE),
        (BRONZE, RECORD),
        frozenset({"delete from the lake"}),
    ),
    "CheckReferences": Rights(
        ("gold/orphans/a.parquet", "gold/references/a.parquet"), (GOLD, PROMOTED), (PROMOTED,), (BRONZE, LINE)
    ),
    "RebucketSilver": Rights((PROMOTED, "rebucket/a.json"), (BRONZE, GOLD), (PROMOTED,), (BRONZE, LINE)),
    "RebuildSilver": Rights((PROMOTED,), (BRONZE, REGISTERED, GOLD), (BRONZE, REGISTERED), (QUARANTINED, LINE)),
    "EraseCustomer": Rights(
        ("audit/erasures/T-1.json", BRONZE), ("contracts/a", "rebucket/a", "catalogue/a"), (BRONZE, LINE), (), REMOVES
    ),
    "EraseTenant": Rights(
        ("audit/erasures/T-1.json", BRONZE), ("contracts/a", "rebucket/a", "catalogue/a"), (BRONZE, LINE), (), REMOVES
    ),
    "RegisterModel": Rights(
        (LINE, VERSION, "registry/buy/claims/000009.json"),
        ("registry/buy/golden/cases.json", "registry/buy/retraining/x.json", f"{RUN}/evaluation.json", PROMOTED),
        (f"{RUN}/evaluation.json",),
        (PROMOTED, GOLD),
        frozenset({"put a ledger line"}),
    ),
    "ManageRegistry": Rights(
        (LINE,), (VERSION, "audit/x"), (LINE,), (PROMOTED, f"{RUN}/plan.json"), frozenset({"put a ledger line"})
    ),
    "RecalibrateModel": Rights(
        ("registry/buy/calibrations/000001/1.json",), (LINE, VERSION), (LINE,), (PROMOTED, f"{SCORED}/plan.json")
    ),
    "ReplayVersion": Rights(
        tuple(f"{REPLAY}/{name}" for name in _PLAN),
        (f"{RUN}/plan.json", f"{REPLAY}/evaluation.json", LINE, VERSION),
        (PROMOTED, LINE),
        (BRONZE, GOLD),
    ),
    "CheckReplay": Rights(
        ("registry/buy/replays/000001/x.json",), (LINE, VERSION, f"{REPLAY}/plan.json"), (LINE,), (PROMOTED, GOLD)
    ),
    "RequestBacktest": Rights(
        (f"{BACKTEST}/request.json", f"{BACKTEST}/definition/model.yaml"),
        (f"{BACKTEST}/report.json", f"{ORIGIN}/judged.json", PROOF, LINE),
        (f"{BACKTEST}/report.json",),
        (PROMOTED, GOLD, f"{ORIGIN}/judged/scores.parquet"),
    ),
    "JudgeOrigin": Rights(
        (f"{ORIGIN}/judged/scores.parquet", f"{ORIGIN}/judged.json"),
        (f"{RUN}/judged.json", f"{ORIGIN}/plan.json", f"{ORIGIN}/evaluation.json", PROOF, LINE, VERSION),
        (f"{ORIGIN}/judged/features/0001.parquet", VERSION),
        (PROMOTED, GOLD, f"{RUN}/plan.json"),
    ),
    "ReportBacktest": Rights(
        (f"{BACKTEST}/report.json", f"{BACKTEST}/report.html", PROOF),
        (f"{BACKTEST}/request.json", f"{ORIGIN}/judged.json", LINE, VERSION),
        (f"{ORIGIN}/judged/scores.parquet",),
        (PROMOTED, GOLD, LINE),
    ),
}
