"""JSON schemas: what the inputs and outputs of examples, and answers, must look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from groundling.errors import EvaluationError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator


class Checker:
    """Checks examples against the schemas of their data set.

    Args:
        inputs: schema of the inputs; None: any.
        outputs: schema of the outputs, where an example has some.

    Raises:
        EvaluationError: a schema is none.
    """

    def __init__(self, inputs: Mapping[str, Any] | None, outputs: Mapping[str, Any] | None) -> None:
        self._inputs = None if inputs is None else validator(inputs)
        self._outputs = None if outputs is None else validator(outputs)

    def check(self, what: str, inputs: Any, outputs: Any) -> None:
        """Check one example.

        Raises:
            EvaluationError: it does not keep to a schema.
        """
        for name, against, value in (
            ("inputs", self._inputs, inputs),
            ("outputs", self._outputs, outputs),
        ):
            if against is None or (name == "outputs" and value is None):
                continue
            if problem := first_problem(against, value):
                raise EvaluationError(
                    f"{what}: {name}{problem}",
                    hint="The data set has a schema; groundling dataset show NAME prints it.",
                )


def validator(schema: Mapping[str, Any]) -> Validator:
    """Return what checks values against a schema; it never fetches another one.

    Raises:
        EvaluationError: the schema is none.
    """
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    kind = validator_for(schema)
    try:
        kind.check_schema(dict(schema))
    except SchemaError as error:
        raise EvaluationError(
            f"This is no JSON schema: {error.json_path}: {error.message}",
            hint="https://json-schema.org/understanding-json-schema tells how one is written.",
        ) from error
    return kind(dict(schema), registry=Registry())


def first_problem(against: Validator, value: Any) -> str | None:
    """Return where and why a value does not keep to a schema; None if it does."""
    from referencing.exceptions import Unresolvable

    try:
        errors = sorted(against.iter_errors(value), key=lambda error: list(map(str, error.path)))
    except Unresolvable as error:
        raise EvaluationError(
            f"The schema refers to {error.ref}, which is not in it.",
            hint="Put what it refers to under $defs; nothing is fetched.",
        ) from error
    if not errors:
        return None
    return f"{errors[0].json_path[1:]}: {errors[0].message}"
