"""Settings that name what is not there are said at start."""

from typing import Any

import pytest

from tasks_app import checks


def test_the_settings_as_they_come_are_sound() -> None:
    assert checks.seams() == []


def test_an_unknown_link_of_the_pipeline_is_an_error(settings: Any) -> None:
    settings.TASK_PIPELINE = ["tasks_app.process_tasks", "nobody.knows"]
    (message,) = checks.seams()
    assert (message.id, "'nobody.knows'" in message.msg) == ("tasks_app.E001", True)


@pytest.mark.parametrize("name", ["SWEEPS", "TASK_VALIDATORS"])
@pytest.mark.parametrize("path", ["nobody.knows", "tasks_app.recovery.nothing", "plain"])
def test_what_cannot_be_imported_is_an_error(name: str, path: str, settings: Any) -> None:
    setattr(settings, name, [*getattr(settings, name), path])
    (message,) = checks.seams()
    assert (message.id, repr(path) in message.msg) == ("tasks_app.E002", True)


def test_an_open_api_is_said_aloud(settings: Any) -> None:
    settings.ANONYMOUS_API = "loopback"
    assert checks.anonymous() == []
    settings.ANONYMOUS_API = "on"
    assert [message.id for message in checks.anonymous()] == ["tasks_app.W001"]
