"""The pack that this stack serves, parsed."""

from __future__ import annotations

from propensity.kernel.errors import PackError
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.contract_parser import parse_contract
from propensity.pack.domain.definition import Definition, PackInfo, parse_definition, parse_pack
from propensity.pack.domain.model_spec import Policy
from propensity.pack.domain.protected import protected_slices
from propensity.ports import Ports


def pack_info(ports: Ports) -> PackInfo:
    return parse_pack(ports.pack_files, ports.pack)


def contract_of(ports: Ports, dataset: str) -> Contract:
    path = f"contracts/{dataset}.yaml"
    if path not in ports.pack_files:
        raise PackError(f"{ports.pack}/{path}: missing; pack.yaml lists dataset {dataset!r}")
    return parse_contract(ports.pack_files[path], where=f"{ports.pack}/{path}")


def pack_definition(ports: Ports, model: str) -> Definition:
    return parse_definition(ports.pack_files, model, where=ports.pack, entity=pack_info(ports).entity)


def training_definition(ports: Ports, model: str) -> Definition:
    """The pack's definition, with a slice for every column that a contract marks as protected.

    Raises PackError for a protected column whose dataset has no column of the entity, because the column's values
    cannot be said of a customer.
    """
    info, definition = pack_info(ports), pack_definition(ports, model)
    slices = {part.name: part for part in definition.model.slices}
    for dataset in info.datasets:
        found = {part.name: part for part in protected_slices(contract_of(ports, dataset), info.entity, slices)}
        slices = {**found, **slices}
    own = definition.model.model_copy(update={"slices": tuple(slices.values())})
    return definition.model_copy(update={"model": own})


def policy_of(ports: Ports, model: str) -> Policy:
    """The promotion policy of a model as the pack has it today. A rollback of a model does not roll back the policy.

    A model that the pack no longer has gets the stricter policy, `two_approvals`.
    """
    if model not in pack_info(ports).models:
        return "two_approvals"
    return pack_definition(ports, model).model.promotion.policy
