"""Base classes of the values that files are parsed into: a pack's YAML, and the JSON records of the lake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from propensity.kernel.errors import BadInputError

NAME_LENGTH = 50
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=NAME_LENGTH)]


class Frozen(BaseModel):
    """A value that cannot change once it is made. A field that the class does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(BaseModel):
    """A JSON object of the lake that this package writes and reads again.

    An object of an earlier release may lack a key, so the field of that key has a default. A key of a later release is
    passed over.
    """

    model_config = ConfigDict(frozen=True)

    def to_json(self) -> dict[str, Any]:
        """The fields that were set, as JSON. An optional field that was left out has no key."""
        return self.model_dump(exclude_unset=True)


class Query(Frozen):
    """A query of a pack: its SQL, and a sentence that says what the SQL selects."""

    description: str
    sql: str


def load_yaml(text: str) -> object:
    """The value of a YAML document. Raises yaml.YAMLError, which names line and column.

    A day that no calendar has, such as 2024-13-01, is a YAMLError too, of which only the text is known.
    """
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except ValueError as error:
        raise yaml.YAMLError(f"a date that does not exist: {error}") from error


def parse_body[S: Frozen](kind: type[S], body: Mapping[str, Any]) -> S:
    """Parse the body of a call. Raises BadInputError, which names each field and what is expected, and no value."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
            for problem in error.errors()
        )
        # a value may be a customer's id, and an error is told without it
        raise BadInputError(told) from None
