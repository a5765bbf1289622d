"""The shape of what comes in: names and types. What the values may be is asked in tasks_app/validation.py."""

from functools import lru_cache
from typing import Any

from rest_framework import serializers

from tasks_app.validation import DEFAULT_KIND, NewTask


class TextField(serializers.CharField):
    """Text and nothing else: DRF's own takes numbers, and trims."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "allow_blank": True, **options})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class WholeNumberField(serializers.IntegerField):
    """A number and nothing else: DRF's own takes texts and booleans."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class SwitchField(serializers.BooleanField):
    """true or false and nothing else."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class ObjectField(serializers.Field):  # type: ignore[type-arg]
    """A JSON object."""

    default_error_messages = {"not_an_object": "A JSON object is wanted."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("not_an_object")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class TaskFields(serializers.Serializer):  # type: ignore[type-arg]
    """What may be said of a task, by creation and by change. Unknown fields are ignored."""

    title = TextField(required=False, error_messages={"required": "A title is required."})
    description = TextField(required=False, allow_null=True)
    payload = ObjectField(required=False, allow_null=True)
    tags = serializers.ListField(child=TextField(), required=False)
    metadata = ObjectField(required=False)
    callback_url = TextField(required=False)
    priority = WholeNumberField(required=False)
    max_attempts = WholeNumberField(required=False)
    timeout = WholeNumberField(required=False)
    run_at = serializers.DateTimeField(required=False)

    default_error_messages = {"invalid": "A JSON object is wanted."}

    def validate_description(self, value: str | None) -> str:
        return value or ""


class NewTaskSerializer(TaskFields):
    """A task to submit."""

    kind = TextField(required=False, default=DEFAULT_KIND)

    def get_fields(self) -> Any:
        fields = super().get_fields()
        fields["title"].required = True
        return fields

    @classmethod
    def read(cls, data: Any) -> NewTask:
        """The task that `data` asks for. Raises ValidationError."""
        if data is None:
            cls(data=data).is_valid(raise_exception=True)
        return NewTask(**_shared(cls).run_validation(data))


@lru_cache
def _shared(kind: type[NewTaskSerializer]) -> NewTaskSerializer:
    """One for all requests: validating changes nothing in it, and a new one copies every field."""
    return kind()


class TaskChangeSerializer(TaskFields):
    """Changes to a task; `done` is how the to-do clients end and reopen one."""

    done = SwitchField(required=False)

    def read(self) -> tuple[dict[str, Any], bool | None]:
        """The changed fields, and what was said of `done`. Raises ValidationError."""
        self.is_valid(raise_exception=True)
        changes = dict(self.validated_data)
        done = changes.pop("done", None)
        return changes, done
