"""The parameters that a candidate may state for each family, for a check before anything is fitted.

The function that plans a training has no room for scikit-learn, so scikit-learn's names and ranges are repeated here.
`tests/unit/training/test_parameters.py` compares this copy with scikit-learn. A candidate may not state other
parameters. The engine sets seeds, threads and stopping, and the model's `imbalance` sets class weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from propensity.kernel.errors import PackError
from propensity.pack.domain.model_spec import Family

_Above0 = Annotated[float, Field(gt=0)]
_From0 = Annotated[float, Field(ge=0)]
_Share = Annotated[float, Field(gt=0, le=1)]
_From1 = Annotated[int, Field(ge=1)]
_From2 = Annotated[int, Field(ge=2)]

PARAMETERS: Mapping[Family, Mapping[str, Any]] = {
    "logistic_regression": {
        "C": _Above0,
        "l1_ratio": Annotated[float, Field(ge=0, le=1)],
        "fit_intercept": bool,
        "max_iter": _From1,
        "tol": _Above0,
    },
    "hist_gradient_boosting": {
        "learning_rate": _Above0,
        "max_iter": _From1,
        "max_leaf_nodes": _From2 | None,
        "max_depth": _From1 | None,
        "min_samples_leaf": _From1,
        "l2_regularization": _From0,
        "max_features": _Share,
        "max_bins": Annotated[int, Field(ge=2, le=255)],
        "interaction_cst": Literal["pairwise", "no_interactions"] | None,
    },
    "random_forest": {
        "n_estimators": _From1,
        "max_depth": _From1,
        "min_samples_leaf": _From1,
        "min_samples_split": _From2,
        "min_impurity_decrease": _From0,
        "max_leaf_nodes": _From2 | None,
        "max_features": _Share | _From1 | Literal["sqrt", "log2"] | None,
        "max_samples": _Share | _From1,
        "criterion": Literal["gini", "entropy", "log_loss"],
        "ccp_alpha": _From0,
    },
}


def check_parameter(family: Family, name: str, value: Any, where: str) -> None:
    """Check one parameter. Raises PackError naming the parameter and the expected values."""
    known = PARAMETERS[family]
    if name not in known:
        expected = f"expected one of {', '.join(known)}"
        raise PackError(f"{where}: candidate {family}, {name}: {expected} (docs/reference/training.md)")
    try:
        TypeAdapter[Any](known[name], config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        expected = " or ".join(dict.fromkeys(fault["msg"] for fault in error.errors()))
        hint = "a range of whole numbers says `whole: true`; " if "valid integer" in expected else ""
        message = f"{where}: candidate {family}, {name} {value!r}: {expected} ({hint}docs/reference/training.md)"
        raise PackError(message) from error
