"""A tenant's record: the lines of a ledger with the tenant's state and settings, and the order of its states."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from propensity.kernel.errors import BadInputError, ConflictError, ContractError
from propensity.kernel.spec import Frozen
from propensity.kernel.tenant import TENANT_NAME, TENANT_RULE
from propensity.pack.domain.contract import Contract, TextForm
from propensity.pack.domain.formats import read_text_form
from propensity.pack.domain.model_spec import LabelWindow

State = Literal["onboarding", "active", "suspended", "offboarded"]
STATES: tuple[State, ...] = get_args(State)
TENANTS = "tenants"
DATASETS = "datasets"  # the setting that lists the datasets a tenant is to send
TEXT_FORMAT = "text_format"  # the setting with the form of the tenant's CSV files, by dataset

_NEXT: Mapping[State | None, tuple[State, ...]] = {
    None: STATES,
    "onboarding": ("active", "suspended", "offboarded"),
    "active": ("suspended", "offboarded"),
    "suspended": ("active", "offboarded"),
    # a tenant that comes back begins again
    "offboarded": ("onboarding",),
}
_REFUSED: tuple[State, ...] = ("suspended", "offboarded")
# This time is longer than an API call takes plus the difference of clocks. So no file is validated before the line that
# decides on the file is written.
TAKES_EFFECT = timedelta(seconds=60)
_SETTING = re.compile(r"[a-z][a-z0-9_]{0,49}")
_MAX_SETTINGS, _MAX_TEXT, _MAX_NUMBER = 20, 500, 10**18


class RecordLine(Frozen):
    """One line of a tenant's record: the state and all settings from a change on.

    `at` is the RFC 3339 instant of the request for the change.
    """

    number: int
    tenant_id: str
    state: State
    settings: dict[str, Any]
    by: str
    why: str
    at: str

    @property
    def files_from(self) -> datetime:
        """The instant from which this line decides on arriving files, until the next line does."""
        return datetime.fromisoformat(self.at) + TAKES_EFFECT

    @property
    def refuses(self) -> bool:
        """Whether the tenant's files and upload links are refused."""
        return self.state in _REFUSED


def closed_tenants(
    periods: Mapping[str, Sequence[Sequence[str | None]]], window: LabelWindow, settle_days: int
) -> list[str]:
    """The tenants, sorted by name, whose files were refused while outcomes of a label window came in.

    `periods` has each tenant's (start, end) as RFC 3339 instants; a period without an end goes on. Outcomes of the
    window's last days arrive up to `settle_days` later.
    """
    until = (window.end + timedelta(days=settle_days)).isoformat()
    return sorted(
        tenant
        for tenant, spans in periods.items()
        if any(str(start) < until and (end is None or end > window.start.isoformat()) for start, end in spans)
    )


def check_tenant(tenant_id: str) -> str:
    """Return the tenant's name unchanged. Raises BadInputError for a name that a landing key could not carry."""
    if not TENANT_NAME.fullmatch(tenant_id):
        raise BadInputError(f"tenant {tenant_id[:80]!r}: expected {TENANT_RULE}")
    return tenant_id


def record_prefix(tenant_id: str) -> str:
    """The prefix of the keys of a tenant's lines.

    The slash at the end of the prefix keeps out tenants whose names begin with this tenant's name.
    """
    return f"{TENANTS}/{check_tenant(tenant_id)}/record/"


def line_key(tenant_id: str, number: int) -> str:
    return f"{record_prefix(tenant_id)}{number:06d}.json"


def next_line(
    last: RecordLine | None, tenant_id: str, body: Mapping[str, Any], datasets: Sequence[str], *, by: str, at: str
) -> RecordLine:
    """The line for a request {state, why, settings}. A request that changes nothing gives the last line itself.

    A request without settings keeps the settings of the last line. Raises BadInputError naming the field, and
    ConflictError for a state that cannot follow the last line's state.
    """
    unknown = sorted(set(body) - {"state", "why", "settings"})
    if unknown:
        raise BadInputError(f"body: unknown field {unknown[0]!r}, expected state, why and settings")
    state = next((known for known in STATES if known == body.get("state")), None)
    if state is None:
        raise BadInputError(f"state: expected one of {', '.join(STATES)}")
    settings = check_settings(body["settings"], datasets) if "settings" in body else dict(last.settings if last else {})
    if last and (last.state, last.settings) == (state, settings):
        return last
    allowed = _NEXT[last.state if last else None]
    if last and state != last.state and state not in allowed:
        raise ConflictError(f"tenant {tenant_id}: is {last.state}, from where it may become {', '.join(allowed)}")
    why = check_why(body.get("why"))
    number = last.number + 1 if last else 1
    return RecordLine(number=number, tenant_id=tenant_id, state=state, settings=settings, by=by, why=why, at=at)


def check_why(why: object) -> str:
    """The sentence that gives the reason for a change, without blanks at its ends. Raises BadInputError."""
    if not isinstance(why, str) or not why.strip() or len(why) > _MAX_TEXT:
        raise BadInputError(f"why: expected a sentence of at most {_MAX_TEXT} characters for the record")
    _no_address(why, "why")
    return why.strip()


def check_settings(settings: object, datasets: Sequence[str]) -> dict[str, Any]:
    """Return the settings unchanged. Raises BadInputError naming the setting that is wrong.

    A setting may have any name; its value is a text, a number, true or false, or a list of texts. The setting
    `datasets` lists datasets of the pack that the tenant is to send. The setting `text_format` is an object of text
    forms by dataset. An address of a person is refused, because a
    record is never erased.
    """
    if not isinstance(settings, dict) or len(settings) > _MAX_SETTINGS:
        raise BadInputError(f"settings: expected an object of at most {_MAX_SETTINGS} names")
    for name, value in settings.items():
        if not _SETTING.fullmatch(name):
            raise BadInputError("settings: a name is 1 to 50 small letters, digits and _, beginning with a letter")
        if name == TEXT_FORMAT:
            _check_text_formats(value, datasets)
            continue
        texts = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
        plain = len(texts) == len(value) if isinstance(value, list) else isinstance(value, str | int | float)
        if not plain or any(len(item) > _MAX_TEXT for item in texts):
            raise BadInputError(
                f"settings: {name}: expected a text of at most {_MAX_TEXT} characters, a number, true or false, or a "
                "list of texts"
            )
        # a float that is not finite would make the record invalid JSON, and a record is never rewritten
        if isinstance(value, int | float) and not -_MAX_NUMBER <= value <= _MAX_NUMBER:
            raise BadInputError(f"settings: {name}: expected a finite number of at most 18 digits")
        for item in texts:
            _no_address(item, f"settings: {name}")
    expected = settings.get(DATASETS, [])
    if not isinstance(expected, list) or set(expected) - set(datasets):
        raise BadInputError(f"settings: {DATASETS}: expected a list of {', '.join(datasets)}")
    return dict(settings)


def _check_text_formats(value: object, datasets: Sequence[str]) -> None:
    if not isinstance(value, dict) or set(value) - set(datasets):
        raise BadInputError(f"settings: {TEXT_FORMAT}: expected an object with some of {', '.join(datasets)}")
    for dataset, raw in value.items():
        try:
            read_text_form(raw, TextForm(), f"settings: {TEXT_FORMAT}: {dataset}")
        except ContractError as error:
            raise BadInputError(str(error)) from None


def text_form_for(contract: Contract, line: RecordLine | None) -> Contract:
    """The contract with the text form that a tenant's record has for its dataset. `line` is the line in force."""
    raw = line.settings.get(TEXT_FORMAT, {}).get(contract.dataset) if line else None
    if raw is None:
        return contract
    return replace(contract, text=read_text_form(raw, contract.text, f"settings: {TEXT_FORMAT}"))


def _no_address(value: str, where: str) -> None:
    if "@" in value:
        raise BadInputError(f"{where}: holds an @, like a person's address; name a role or a ticket instead")
