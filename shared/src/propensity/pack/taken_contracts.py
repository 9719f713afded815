"""The contracts that a lake has taken.

Each version is taken once, and none breaks with the rows already in the lake.
"""

from __future__ import annotations

from propensity.kernel.errors import ContractError, NotFoundError
from propensity.pack.current import contract_of
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.contract_changes import breaking_changes, changes
from propensity.pack.domain.contract_parser import parse_contract
from propensity.ports import ObjectStore, Ports

CONTRACTS = "contracts"  # the folder of the lake


def taken_contract(ports: Ports, dataset: str) -> Contract:
    """The pack's contract. The lake keeps the contract below `contracts/` from its first use on.

    Raises ContractError, which names every difference, in two cases: the version breaks with the newest version taken,
    or the version's number is taken with another content. The names of Bronze files carry the number.
    """
    contract = contract_of(ports, dataset)
    text = ports.pack_files[f"contracts/{dataset}.yaml"]
    key = f"{CONTRACTS}/{dataset}/{contract.version}.yaml"
    where = f"{ports.pack}/contracts/{dataset}.yaml"
    try:
        taken = ports.lake.get(key)
    except NotFoundError:
        newest = _newest(ports.lake, dataset)
        broken = breaking_changes(newest, contract) if newest else []
        if newest and broken:
            raise ContractError(
                f"{where}: version {contract.version} breaks with {newest.version}: {'; '.join(broken)}; "
                "bring what is new in other columns, or as another dataset"
            ) from None
        if ports.lake.put_new(key, text.encode()):
            return contract
        taken = ports.lake.get(key)
    differ = changes(parse_contract(taken.decode(), where=key), contract)
    if differ:
        raise ContractError(
            f"{where}: version {contract.version} is in use with another content: {'; '.join(differ)}; "
            "give the changed contract a higher version"
        )
    return contract


def _newest(lake: ObjectStore, dataset: str) -> Contract | None:
    prefix = f"{CONTRACTS}/{dataset}/"
    versions = [key.removeprefix(prefix).removesuffix(".yaml") for key in lake.keys(prefix)]
    if not versions:
        return None
    key = f"{prefix}{max(versions, key=lambda version: tuple(map(int, version.split('.'))))}.yaml"
    return parse_contract(lake.get(key).decode(), where=key)
