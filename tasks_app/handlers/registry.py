"""The kinds this server knows. A handler is registered by the decorator; `handlers.py` of every installed app is loaded."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.validators import extend

from tasks_app.backoff import Backoff, exponential
from tasks_app.handlers.base import TaskContext


def _multiple_of(validator: Any, divisor: float, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # By the numbers as they are written: as floats 0.3 is no multiple of 0.1, and 10**400 cannot be divided at all.
    if validator.is_type(instance, "number") and Fraction(repr(instance)) % Fraction(repr(divisor)):
        yield ValidationError(f"{instance!r} is not a multiple of {divisor!r}")


_Validator = extend(Draft202012Validator, {"multipleOf": _multiple_of})  # type: ignore[no-untyped-call]
Run = Callable[[Any, TaskContext], Any]


@dataclass(frozen=True, kw_only=True)
class Handler:
    """The code for one kind and how it is treated. `timeout` is in seconds, for one attempt."""

    kind: str
    run: Run
    description: str
    schema: Mapping[str, Any]
    model: Any = None
    example: Mapping[str, Any] = field(default_factory=dict)
    timeout: int
    max_attempts: int
    backoff: Backoff
    is_short: Callable[[Mapping[str, Any]], bool]

    def problems(self, payload: Mapping[str, Any] | None) -> dict[str, str]:
        """What is wrong with a payload: path (`payload.seconds`) → sentence. An absent payload is an empty object."""
        value = {} if payload is None else payload
        if self.model is not None:
            return _model_problems(self.model, value)
        errors = _Validator(self.schema).iter_errors(value)
        return {".".join(["payload", *map(str, error.absolute_path)]): _sentence(error) for error in errors}

    def parse(self, payload: Mapping[str, Any] | None) -> Any:
        """What the handler's function gets: a dictionary, or an instance of its pydantic model."""
        return dict(payload or {}) if self.model is None else self.model.model_validate(payload or {})


_handlers: dict[str, Handler] = {}


def handler(
    kind: str, *, schema: Any = None, example: Mapping[str, Any] | None = None, timeout: int = 60, max_attempts: int = 5,
    backoff: Backoff | None = None, is_short: Callable[[Mapping[str, Any]], bool] | None = None,
) -> Callable[[Run], Run]:  # fmt: skip
    """Registers a function `(payload, context) -> result` as the code for `kind`.

    `schema` is a JSON Schema (2020-12) or a pydantic model; a payload that does not fit is refused when it is submitted.
    `timeout` is in seconds per attempt. `is_short(payload)` may say True for work of a few milliseconds, which then
    travels in batches. The result must be JSON. Raise RetryableError or PermanentError to say whether to try again.
    """

    def register(run: Run) -> Run:
        if kind in _handlers and _handlers[kind].run.__module__ != run.__module__:
            raise ImproperlyConfigured(
                f"Kind {kind!r} has two handlers: {_handlers[kind].run.__module__}, {run.__module__}."
            )
        if not 1 <= len(kind) <= 100 or timeout < 1 or not 1 <= max_attempts <= 1000:
            raise ImproperlyConfigured(
                f"Handler {kind!r}: kind of 1 to 100 characters, timeout ≥ 1, max_attempts 1 to 1000."
            )
        model = schema if hasattr(schema, "model_json_schema") else None
        json_schema = model.model_json_schema() if model is not None else schema or {"type": "object"}
        try:
            Draft202012Validator.check_schema(json_schema)
        except SchemaError as error:
            raise ImproperlyConfigured(f"Handler {kind!r}: its schema is no JSON Schema: {error.message}") from error
        _handlers[kind] = Handler(
            kind=kind, run=run, description=(run.__doc__ or "").strip(), schema=json_schema, model=model,
            example=example or {}, timeout=timeout, max_attempts=max_attempts, backoff=backoff or exponential(),
            is_short=is_short or (lambda payload: False),
        )  # fmt: skip
        return run

    return register


def get(kind: str) -> Handler | None:
    """The handler for a kind, or None."""
    return _handlers.get(kind)


def kinds() -> list[str]:
    """Every known kind, sorted."""
    return sorted(_handlers)


def _sentence(error: Any) -> str:
    # jsonschema quotes the whole instance in its message; a client needs the rule, not a megabyte of its own payload.
    return str(error.message) if len(error.message) <= 300 else f"does not fit the schema's rule {error.validator!r}"


def _model_problems(model: Any, payload: Mapping[str, Any]) -> dict[str, str]:
    try:
        model.model_validate(payload)
    except ValueError as error:  # pydantic.ValidationError is one; pydantic itself need not be installed
        if not hasattr(error, "errors"):
            return {"payload": str(error)}
        return {".".join(["payload", *map(str, item["loc"])]): item["msg"] for item in error.errors()}
    return {}
