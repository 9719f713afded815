"""What every YAML file of a pack is parsed into: frozen, and strict about what it does not know."""

from __future__ import annotations

from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

NAME_LENGTH = 50
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=NAME_LENGTH)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Query(Frozen):
    description: str
    sql: str


def load_yaml(text: str) -> object:
    """The document's value. Raises yaml.YAMLError, which names line and column."""
    return yaml.load(text, Loader=yaml.CSafeLoader)
