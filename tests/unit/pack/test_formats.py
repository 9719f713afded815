"""Date formats of the contract standard, translated for DuckDB."""

from __future__ import annotations

import pytest

from propensity.kernel.errors import ContractError
from propensity.pack.domain.formats import strptime_format


@pytest.mark.parametrize(
    ("java", "strptime"),
    [
        ("dd.MM.yyyy", "%d.%m.%Y"),
        ("M/d/yy", "%m/%d/%y"),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "%Y-%m-%dT%H:%M:%S%z"),
        ("dd-MMM-yyyy HH:mm", "%d-%b-%Y %H:%M"),
        ("%Y%m%d", "%Y%m%d"),
    ],
)
def test_a_java_format_becomes_a_strptime_format(java: str, strptime: str) -> None:
    assert strptime_format(java, where="c.yaml") == strptime


def test_a_letter_that_stands_for_nothing_is_an_error() -> None:
    with pytest.raises(ContractError, match=r"c\.yaml: 'QQ' in 'QQ yyyy', expected some of yyyy"):
        strptime_format("QQ yyyy", where="c.yaml")
