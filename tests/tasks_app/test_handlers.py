"""What a handler sees of its task, and the built-in kind `message`."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tasks_app import handlers
from tasks_app.exceptions import AttemptSuperseded, LogTooLarge, PermanentError
from tasks_app.handlers import TaskContext, base


def context(*, given: bool = True, flush: Callable[[TaskContext], None] = lambda context: None) -> TaskContext:
    return TaskContext(task_id=uuid.uuid4(), attempt=1, payload_given=given, flush=flush)


# ---- The context -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said, kept", [(0, 0), (42.9, 42), (100, 100), (101, 100), (-5, 0), (1e9, 100)])
def test_progress_is_kept_within_percent(said: float, kept: int) -> None:
    found = context()
    found.progress(said, "message")
    report = found.take_report()
    assert (report.progress, report.message, report.changed) == (kept, "message", True)


def test_each_report_is_flushed_and_taken_once() -> None:
    flushed: list[TaskContext] = []
    found = context(flush=flushed.append)
    found.progress(1, "one")
    found.log("a line")
    assert flushed == [found, found]
    assert found.take_report().logs == ["a line"]
    second = found.take_report()
    assert (second.logs, second.changed, second.progress, second.message) == ([], False, 1, "one")


def test_messages_are_cut_and_cleaned() -> None:
    found = context()
    found.progress(1, "nul\0 half\ud800 " + "x" * 5000)
    message = found.take_report().message
    assert message.startswith("nul half? xxx") and len(message) <= 2000


def test_logging_has_a_limit_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MAX_LOG_CHARACTERS", 10)
    found = context()
    found.log("12345")
    with pytest.raises(LogTooLarge):
        found.log("67890")
    assert found.take_report().logs == ["12345"]


def test_a_stop_is_seen_and_raised() -> None:
    found = context()
    found.check()
    assert not found.cancelled
    found.stop_reason = "cancelled"
    assert found.cancelled
    with pytest.raises(AttemptSuperseded, match="cancelled"):
        found.check()


# ---- The kind `message` ----------------------------------------------------------------------------------------------


def run(payload: Any, **options: Any) -> tuple[Any, TaskContext]:
    found = handlers.get("message")
    assert found is not None
    seen = context(**options)
    return found.run(found.parse(payload), seen), seen


def test_its_message_is_passed_on() -> None:
    result, seen = run({"message": "Hello"})
    assert result == {"message": "Hello"}
    report = seen.take_report()
    assert (report.progress, report.message) == (100, "Hello")


@pytest.mark.parametrize("message", [1, None, {"a": ["ü"]}, [1, 2], True])
def test_a_message_need_not_be_text(message: Any) -> None:
    assert run({"message": message})[0] == {"message": message}


def test_without_a_payload_there_is_nothing_to_check() -> None:
    assert run(None, given=False)[0] == {}


@pytest.mark.parametrize("payload", [{}, {"seconds": 1}, {"Message": "x"}])
def test_a_payload_without_a_message_fails_for_good_and_at_once(payload: Any) -> None:
    with pytest.raises(PermanentError, match="no field 'message'") as caught:
        run(payload)
    assert caught.value.code == "payload_field_missing"


def test_simulated_work_takes_its_time_and_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[str] = []
    run({"message": "x", "seconds": 0.05}, flush=lambda found: reports.append(found.take_report().message))
    assert reports[0] == "0 of 0.05 s"
    assert reports[-1] == "x"


def test_simulated_work_heeds_a_stop() -> None:
    def stop(found: TaskContext) -> None:
        found.stop_reason = "cancelled"

    with pytest.raises(AttemptSuperseded):
        run({"message": "x", "seconds": 3600}, flush=stop)


@pytest.mark.parametrize("payload, short", [({}, True), ({"message": "x"}, True), ({"seconds": 0}, True),
                                            ({"seconds": 0.1}, False)])  # fmt: skip
def test_only_a_message_without_seconds_rides_along(payload: Any, short: bool) -> None:
    found = handlers.get("message")
    assert found is not None
    assert found.is_short(payload) is short
