"""What is configured for webhooks and cannot work is said at start."""

from typing import Any

import pytest

from notifications import checks
from notifications.validators import check_callback

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture(autouse=True)
def configured(settings: Any) -> None:
    settings.WEBHOOK_URL, settings.WEBHOOK_URL_SECRET = "https://receiver.example/hook", SECRET
    settings.WEBHOOK_EVENTS = ["task.completed"]


def found() -> list[str | None]:
    return [message.id for message in checks.webhook_settings()]


def test_a_sound_configuration_raises_nothing() -> None:
    assert found() == []


@pytest.mark.parametrize("pattern", ["task.done", "task", "Task.completed", ""])
def test_a_pattern_that_matches_no_event_is_an_error_that_names_those_there_are(pattern: str, settings: Any) -> None:
    settings.WEBHOOK_EVENTS = ["task.*", pattern]
    (message,) = checks.webhook_settings()
    assert message.id == "notifications.E001"
    assert repr(pattern) in message.msg and "task.completed" in str(message.hint)


@pytest.mark.parametrize("secret", ["secret", "whsec_", "whsec_short", SECRET[:-1]])
def test_a_secret_of_the_wrong_form_is_an_error_that_does_not_repeat_it(secret: str, settings: Any) -> None:
    settings.WEBHOOK_URL_SECRET = secret
    (message,) = checks.webhook_settings()
    assert message.id == "notifications.E002"
    assert len(secret) < 8 or secret not in message.msg


def test_a_signing_key_that_is_too_short_is_an_error(settings: Any) -> None:
    settings.WEBHOOK_SIGNING_KEY = "fifteen letters"
    assert found() == ["notifications.E004"]


@pytest.mark.parametrize("key", ["short", SECRET, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNk"])
def test_an_encryption_key_of_the_wrong_form_is_an_error_that_does_not_repeat_it(key: str, settings: Any) -> None:
    good = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    settings.WEBHOOK_ENCRYPTION_KEYS = [good]
    assert found() == []
    settings.WEBHOOK_ENCRYPTION_KEYS = [good, key]
    (message,) = checks.webhook_settings()
    assert message.id == "notifications.E003" and key not in message.msg


def test_a_receiver_without_a_signature_is_a_warning(settings: Any) -> None:
    settings.WEBHOOK_URL_SECRET = ""
    assert found() == ["notifications.W001"]
    settings.WEBHOOK_URL = ""
    assert found() == []


# ---- A task's own callback -------------------------------------------------------------------------------------------


def test_a_task_without_a_callback_has_nothing_to_check(settings: Any) -> None:
    settings.WEBHOOK_SIGNING_KEY = ""
    assert check_callback({}) == check_callback({"callback_url": ""}) == {}


def test_without_a_signing_key_there_are_no_callbacks(settings: Any) -> None:
    settings.WEBHOOK_SIGNING_KEY = ""
    assert "WEBHOOK_SIGNING_KEY" in check_callback({"callback_url": "https://receiver.example/"})["callback_url"]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "https://10.0.0.1/",
        "ftp://receiver.example/",
        "not an address",
        "https://user:x@a.example/",
    ],
)
def test_an_address_that_we_may_not_send_to_is_refused(url: str, settings: Any) -> None:
    settings.WEBHOOK_SIGNING_KEY = "a signing key for tests only"
    assert set(check_callback({"callback_url": url})) == {"callback_url"}


def test_a_public_address_is_taken(settings: Any) -> None:
    settings.WEBHOOK_SIGNING_KEY = "a signing key for tests only"
    assert check_callback({"callback_url": "https://receiver.example/done?x=1"}) == {}
