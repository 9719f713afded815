"""The custom properties that say who may be contacted: `consent` of a column, `suppression` of a dataset."""

from __future__ import annotations

from typing import Any, get_args

from propensity.kernel.errors import ContractError
from propensity.pack.domain.contract import Consent, Contract, Suppression
from propensity.pack.domain.destination_spec import Channel

CHANNELS: tuple[str, ...] = get_args(Channel)


def read_consent(raw: Any, where: str) -> Consent | None:
    """Read `{channels: […], basis: text, expires: column}`. Raises ContractError for anything else."""
    if raw is None:
        return None
    expected = (
        f"{where}: custom property consent is {raw!r}, expected {{channels: [{', '.join(CHANNELS)}], basis: text}}, "
        "and expires: column where consents end"
    )
    if not isinstance(raw, dict) or set(raw) - {"channels", "basis", "expires"}:
        raise ContractError(expected)
    channels, basis, expires = raw.get("channels"), raw.get("basis"), raw.get("expires")
    if not isinstance(channels, list) or not channels or set(channels) - set(CHANNELS):
        raise ContractError(expected)
    if not isinstance(basis, str) or not basis or not isinstance(expires, str | None):
        raise ContractError(expected)
    return Consent(tuple(channels), basis, expires)


def read_suppression(raw: Any, where: str) -> Suppression | None:
    """Read `{reason: column, until: column}`, both optional. Raises ContractError for anything else."""
    if raw is None:
        return None
    if not isinstance(raw, dict) or set(raw) - {"reason", "until"} or not all(isinstance(v, str) for v in raw.values()):
        raise ContractError(
            f"{where}: custom property suppression is {raw!r}, expected {{reason: column, until: column}}; leave out "
            "what the dataset lacks"
        )
    return Suppression(raw.get("reason"), raw.get("until"))


def check_permissions(contract: Contract, where: str) -> None:
    """Raises ContractError where a permission names a column that is not there, or stands where it cannot be read."""
    types = {column.name: column.logical_type for column in contract.columns}
    for column in contract.columns:
        if column.consent is None:
            continue
        if contract.kind != "state" or column.logical_type != "boolean":
            raise ContractError(f"{where}: {column.name}: consent needs a boolean column of a state dataset")
        _is_day(types, column.consent.expires, f"{where}: {column.name}: consent, expires")
    if contract.suppression is None:
        return
    if contract.kind != "state":
        raise ContractError(f"{where}: suppression needs a state dataset, so that an entry can be taken back")
    reason = contract.suppression.reason
    if reason is not None and reason not in types:
        raise ContractError(f"{where}: suppression, reason names {reason!r}, which is not a property")
    _is_day(types, contract.suppression.until, f"{where}: suppression, until")


def _is_day(types: dict[str, str], name: str | None, where: str) -> None:
    if name is not None and types.get(name) not in ("date", "timestamp"):
        raise ContractError(f"{where} names {name!r}, expected a date or timestamp of this contract")
