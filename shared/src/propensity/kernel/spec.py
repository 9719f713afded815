"""Base classes of what files are parsed into: a pack's YAML, and the JSON records of the lake."""

from __future__ import annotations

from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

NAME_LENGTH = 50
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=NAME_LENGTH)]


class Frozen(BaseModel):
    """A value that cannot change once it is made; a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(BaseModel):
    """A JSON object of the lake that this package writes and reads again.

    A key that an object of an earlier release lacks is a field with a default. A key of a later one is passed over.
    """

    model_config = ConfigDict(frozen=True)

    def to_json(self) -> dict[str, Any]:
        """The fields that were set: an optional one that was left out has no key."""
        return self.model_dump(mode="json", exclude_unset=True)


class Query(Frozen):
    """SQL, and what it selects in a sentence."""

    description: str
    sql: str


def load_yaml(text: str) -> object:
    """The document's value. Raises yaml.YAMLError, which names line and column."""
    return yaml.load(text, Loader=yaml.CSafeLoader)
