"""Log lines: one for one event, whatever it quotes."""

import logging

import pytest

from taskmanager import logs


def formatted(message: str, error: BaseException | None = None) -> str:
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("a", logging.WARNING, "file.py", 1, message, (), info)
    record.request = ""
    return logs.LineFormatter().format(record)


@pytest.mark.parametrize(
    "text", ["a\n2026 ERROR forged", "a\r\nb", "\x1b[2J\x1b]0;title\x07", "\x9b31m", "a\u2028b\x85c", "\0"]
)
def test_what_is_quoted_stays_in_its_line_and_steers_no_terminal(text: str) -> None:
    line = formatted(text)
    assert line.splitlines() == [line]
    assert line.isprintable()


def test_a_traceback_is_indented_so_that_its_message_is_no_line_of_the_log() -> None:
    first, *rest = formatted("Failed", ValueError("x\n2026 ERROR forged \x1b[31m")).split("\n")
    assert first.endswith("Failed")
    assert rest
    assert all(line.startswith("  ") and line.isprintable() for line in rest)


def test_a_very_long_line_loses_its_middle() -> None:
    line = formatted("begin" + "x" * 1_000_000 + "end")
    assert len(line) < 2 * logs.MAX_CHARACTERS
    assert line.endswith("end")
    assert "characters left out" in line
