"""A function that is called without what it needs says which key is missing, and shows an example."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from propensity.kernel.errors import BadInputError
from tests.kit.handlers import CONTEXT, handler
from tests.stack.stack import ROOT

NAMES = sorted(path.parent.name for path in Path(ROOT / "functions").glob("*/handler.py"))
# a call by hand with nothing covers all time
TAKES_NOTHING = {"rebuild_silver"}


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_event_is_answered_by_the_missing_key_and_an_example(aws: SimpleNamespace, name: str) -> None:
    function = handler(name)
    if name in TAKES_NOTHING:
        assert function({}, CONTEXT)["files"] == 0
        return
    try:
        said = json.loads(function({}, CONTEXT)["body"])["message"]
    except BadInputError as error:
        said = str(error)
    key, _, example = said.removeprefix("event: has no '").partition("'; expected an event such as ")
    assert key in json.loads(example), said


@pytest.mark.parametrize("name", NAMES)
def test_an_event_that_is_no_object_is_refused_with_an_example(aws: SimpleNamespace, name: str) -> None:
    nothing: Any = []
    with pytest.raises(BadInputError, match="expected a JSON object; expected an event such as"):
        handler(name)(nothing, CONTEXT)
