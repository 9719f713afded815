"""The pack that this stack serves, parsed."""

from __future__ import annotations

from propensity.kernel.errors import ContractError, PackError
from propensity.pack.domain.contract import Contract
from propensity.pack.domain.contract_parser import parse_contract
from propensity.pack.domain.definition import Definition, PackInfo, parse_definition, parse_pack
from propensity.pack.domain.load_checks import contract_faults, reads_outcomes
from propensity.pack.domain.model_spec import Policy
from propensity.pack.domain.protected import protected_slices
from propensity.pack.domain.yaml_source import repeated_keys
from propensity.ports import Ports


def pack_info(ports: Ports) -> PackInfo:
    return parse_pack(ports.pack_files, ports.pack)


def contract_of(ports: Ports, dataset: str) -> Contract:
    """The pack's contract of a dataset.

    Raises ContractError, which tells every fault, where a key stands twice, bounds leave no value, a row would be known
    before it happened, or the partition key is missing where rows are spread by entity.
    """
    path = f"contracts/{dataset}.yaml"
    if path not in ports.pack_files:
        raise PackError(f"{ports.pack}/{path}: missing; pack.yaml lists dataset {dataset!r}")
    text, where = ports.pack_files[path], f"{ports.pack}/{path}"
    contract = parse_contract(text, where=where)
    faults = [*repeated_keys(text)]
    faults += [f"{said}; {remedy}" for _, _, said, remedy in contract_faults(contract, pack_info(ports))]
    if faults:
        raise ContractError(f"{where}: {'; '.join(faults)}")
    return contract


def pack_definition(ports: Ports, model: str, text: str | None = None) -> Definition:
    """The pack's definition of a model. `text` stands in for the model's YAML, also for a model the pack lacks."""
    files = ports.pack_files if text is None else {**ports.pack_files, f"models/{model}.yaml": text}
    return parse_definition(files, model, where=ports.pack, entity=pack_info(ports).entity)


def training_definition(ports: Ports, model: str, text: str | None = None) -> Definition:
    """The pack's definition, with a slice for every column that a contract marks as protected.

    `text` stands in for the model's YAML, as in `pack_definition`.

    Raises PackError for a protected column whose dataset has no column of the entity, because the column's values
    cannot be said of a customer. Raises PackError for a target that reads no outcomes: it would say what was.
    """
    info, definition = pack_info(ports), pack_definition(ports, model, text)
    if not reads_outcomes(definition.model.target.sql):
        raise PackError(
            f"{ports.pack}/models/{model}.yaml: target: reads no outcome.<dataset>, so it says what was, not what "
            "comes; read the events of the label window from outcome.<dataset>"
        )
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
