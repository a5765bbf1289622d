"""What a person types to make a task of the default kind. What the values may be is asked in tasks_app/validation.py."""

from typing import Any

from django import forms

from tasks_app.exceptions import InvalidTask
from tasks_app.pages.json_text import read_value
from tasks_app.validation import NewTask

MOST_SECONDS = 3600


class CreateForm(forms.Form):
    """Title, message and seconds of simulated work."""

    title = forms.CharField(required=False)
    message = forms.CharField(required=False, strip=False)
    seconds = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=MOST_SECONDS,
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), "A number from 0 to 3,600."),
    )

    def clean_seconds(self) -> float | None:
        """As JSON has it, and not rounded."""
        typed = self.cleaned_data["seconds"]
        found, wrong = (None, "") if typed is None else read_value(str(typed))
        if wrong:
            raise forms.ValidationError(wrong)
        return found

    def new_task(self) -> NewTask:
        """The task asked for. Without message and seconds it has no payload, so that there is nothing to check."""
        message, seconds = self.cleaned_data["message"], self.cleaned_data["seconds"]
        payload: dict[str, Any] | None = None
        if message or seconds:
            payload = {"message": message}
        if payload is not None and seconds:
            payload["seconds"] = int(seconds) if seconds == int(seconds) else seconds
        return NewTask(title=self.cleaned_data["title"], payload=payload)

    def take_errors(self, error: InvalidTask) -> None:
        """Puts what the domain refused beside the field it is about."""
        for path, text in error.errors.items():
            name = path.removeprefix("payload.")
            self.add_error(name if name in self.fields else None, text)
