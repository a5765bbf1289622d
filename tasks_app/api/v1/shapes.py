"""What may be sent to /api/v1: like the root paths', but an unknown field is an error, since it is a typing mistake."""

from typing import Any

from rest_framework import serializers

from tasks_app.api.serializers import NewTaskSerializer, ObjectField, TaskFields, TextField
from tasks_app.lifecycle import MAX_BATCH
from tasks_app.validation import text_error

MAX_REASON = 1000


class StrictFields(serializers.Serializer):  # type: ignore[type-arg]
    """Refuses what it does not know."""

    default_error_messages = {"invalid": "A JSON object is wanted."}

    def to_internal_value(self, data: Any) -> Any:
        unknown = set(data) - set(self.fields) if isinstance(data, dict) else set()
        if unknown:
            raise serializers.ValidationError({name[:100]: ["There is no such field."] for name in sorted(unknown)})
        return super().to_internal_value(data)


class NewTaskFields(StrictFields, NewTaskSerializer):
    """A task to submit."""


class ChangeFields(StrictFields, TaskFields):
    """Changes to a task; what is not named stays as it is."""

    def changes(self) -> dict[str, Any]:
        """The changed fields. Raises ValidationError."""
        self.is_valid(raise_exception=True)
        return dict(self.validated_data)


class BatchFields(StrictFields):
    """Tasks to submit together."""

    tasks = serializers.ListField(child=NewTaskFields(), min_length=1, max_length=MAX_BATCH)


class EmptyFields(StrictFields):
    """Nothing: an empty body, or {}."""


class ReasonFields(StrictFields):
    """Why, for the history."""

    reason = TextField(required=False, max_length=MAX_REASON)

    def validate_reason(self, value: str) -> str:
        if error := text_error(value):
            raise serializers.ValidationError(f"This {error}")
        return value

    def reason_text(self) -> str:
        """The reason, or an empty text. Raises ValidationError."""
        self.is_valid(raise_exception=True)
        return str(self.validated_data.get("reason", ""))


class RerunFields(StrictFields):
    """How the new task differs."""

    payload = ObjectField(required=False, allow_null=True)

    def new_payload(self) -> Any:
        """The payload; None: that of the old task. Raises ValidationError."""
        self.is_valid(raise_exception=True)
        return self.validated_data.get("payload")


class TokenFields(StrictFields):
    """A token to make."""

    name = TextField(max_length=100, allow_blank=False)
    scopes = serializers.ListField(child=TextField(), min_length=1, max_length=20)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)

    def validate_name(self, value: str) -> str:
        if error := text_error(value):
            raise serializers.ValidationError(f"This {error}")
        return value
