"""What the models of a pack's YAML files are made of: the base class, names, and queries."""

from __future__ import annotations

from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

NAME_LENGTH = 50
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=NAME_LENGTH)]


class Frozen(BaseModel):
    """A value that cannot change once it is made; a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Query(Frozen):
    """SQL, and what it selects in a sentence."""

    description: str
    sql: str


def load_yaml(text: str) -> object:
    """The document's value. Raises yaml.YAMLError, which names line and column."""
    return yaml.load(text, Loader=yaml.CSafeLoader)
