"""Each reader of the environment, and the sentence it says when it cannot read."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from taskmanager import env
from tests.servers import ROOT

pytestmark = pytest.mark.anywhere


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets variables for this test."""

    def given(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return given


def refused(read: Any, *words: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        read()
    for word in words:
        assert word in str(caught.value)


# ---- Text ------------------------------------------------------------------------------------------------------------


def test_an_empty_value_counts_as_absent(given: Any) -> None:
    given(XX="  ")
    assert env.text("XX", default="else") == "else"
    assert env.text("XX_ABSENT") == ""


def test_two_names_of_one_setting_may_both_be_set_if_they_agree(given: Any) -> None:
    given(XX="same", YY="same")
    assert env.text("XX", "YY") == "same"
    given(YY="other")
    refused(lambda: env.text("XX", "YY"), "XX and YY are one setting", "different values")


def test_a_secret_may_come_from_a_file(given: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    given(XX_FILE=str(tmp_path / "secret"))
    assert env.text("XX") == "from a file"
    given(XX="and from a variable")
    refused(lambda: env.text("XX"), "XX and XX_FILE are both set")


def test_a_file_that_cannot_be_read_is_named(given: Any, tmp_path: Path) -> None:
    given(XX_FILE=str(tmp_path / "nowhere"))
    refused(lambda: env.text("XX"), "XX_FILE=", "nowhere", "cannot be read")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    given(XX_FILE=str(tmp_path / "binary"))
    refused(lambda: env.text("XX"), "cannot be read")


# ---- Numbers, switches, lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value, found", [("1", True), ("On", True), ("TRUE", True), ("yes", True), ("0", False),
                                          ("off", False), ("False", False), ("no", False), ("", True)])  # fmt: skip
def test_a_switch_has_words_for_on_and_off(value: str, found: bool, given: Any) -> None:
    given(XX=value)
    assert env.flag("XX", default=True) is found


@pytest.mark.parametrize("value", ["2", "maybe", "disabled", "-1"])
def test_anything_else_is_neither_on_nor_off(value: str, given: Any) -> None:
    given(XX=value)
    refused(lambda: env.flag("XX", default=False), f"XX={value!r}", "neither on nor off")


def integer() -> int:
    return env.integer("XX", "YY", default=5, minimum=1, maximum=10)


def test_a_whole_number_within_its_bounds(given: Any) -> None:
    assert integer() == 5
    given(XX="1")
    assert integer() == 1
    given(XX=" 10 ")
    assert integer() == 10


@pytest.mark.parametrize("value, word", [("0", "1 to 10"), ("11", "1 to 10"), ("-3", "1 to 10"), ("1.5", "no whole number"),
                                         ("ten", "no whole number"), ("1e1", "no whole number")])  # fmt: skip
def test_a_number_that_is_none_or_out_of_bounds_is_refused(value: str, word: str, given: Any) -> None:
    given(XX=value)
    refused(integer, "XX=", word)


@pytest.mark.parametrize("value", ["abc", "99"])
def test_the_sentence_names_the_variable_that_was_set(value: str, given: Any) -> None:
    given(YY=value)
    refused(integer, "YY=")


@pytest.mark.parametrize("value", ["-1", "31", "nan", "inf", "-inf", "1e1", "1e400", "٣", "1_0", "", "."])
def test_a_duration_is_finite_and_bounded(value: str, given: Any) -> None:
    given(XX=value or "-0.1")
    refused(lambda: env.seconds("XX", default=1, maximum=30), "XX=", "0 to 30")


def test_a_duration_may_have_fractions(given: Any) -> None:
    given(XX="0.25")
    assert env.seconds("XX", default=1, maximum=30) == 0.25
    given(XX="soon")
    refused(lambda: env.seconds("XX", default=1, maximum=30), "XX='soon'", "no number of seconds")


def test_a_list_is_separated_by_commas_and_blanks_do_not_count(given: Any) -> None:
    given(XX=" a, b ,,c,")
    assert env.words("XX") == ["a", "b", "c"]
    assert env.words("XX_ABSENT", default="x,y") == ["x", "y"]


def test_a_choice_is_one_of_a_few_words(given: Any) -> None:
    given(XX="LOUD")
    assert env.choice("XX", "quiet", "loud", default="quiet") == "loud"
    given(XX="deafening")
    refused(lambda: env.choice("XX", "", "quiet", "loud", default="quiet"), "XX='deafening'", "quiet, loud")


# ---- Secrets that are kept -------------------------------------------------------------------------------------------


def test_a_secret_is_made_once_readable_by_nobody_else(tmp_path: Path) -> None:
    made: list[str] = []

    def make() -> str:
        made.append(f"secret {len(made)}")
        return made[-1]

    directory = tmp_path / "data"
    assert [env.kept_secret("XX_KEY", directory=directory, make=make) for _ in range(2)] == ["secret 0"] * 2
    assert stat.S_IMODE((directory / "xx_key").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [path.name for path in directory.iterdir()] == ["xx_key"]


MAKES = """
import sys
from pathlib import Path
from taskmanager import env
print(env.kept_secret("XX_KEY", directory=Path(sys.argv[1]), make=env.random_key))
"""


def test_of_many_processes_at_once_the_first_one_decides(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKES, str(tmp_path / "data")]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    made = {process.communicate(timeout=120)[0] for process in processes}
    assert len(made) == 1 and len(made.pop().strip()) >= 64
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["xx_key"]


def test_a_secret_is_made_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert env.kept_secret("XX_KEY", directory=tmp_path, make=lambda: "made") == "made"


def test_what_a_process_left_that_died_while_it_wrote_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / ".xx_key.new").write_text("half of a much longer secret")
    assert env.kept_secret("XX_KEY", directory=tmp_path, make=lambda: "made") == "made"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"a\0b"])
def test_a_kept_secret_that_is_damaged_is_said(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "xx_key").write_bytes(content)
    refused(lambda: env.kept_secret("XX_KEY", directory=tmp_path, make=lambda: "made"), "XX_KEY", str(tmp_path))


@pytest.mark.parametrize("place", ["/proc/nowhere", "/sys/nowhere", "/dev/null", "/dev/null/below"])
def test_where_nothing_can_be_written_the_sentence_names_the_place(place: str) -> None:
    refused(
        lambda: env.kept_secret("XX_KEY", directory=Path(place), make=lambda: "made"), f"DATA_DIR={place}", "XX_KEY"
    )


def test_the_environment_comes_first_and_without_a_directory_nothing_is_made(given: Any, tmp_path: Path) -> None:
    assert env.kept_secret("XX_KEY", directory=None, make=lambda: "made") == ""
    given(XX_KEY="given")
    assert env.kept_secret("XX_KEY", directory=tmp_path, make=lambda: "made") == "given"
    assert list(tmp_path.iterdir()) == []


def test_made_secrets_have_their_form() -> None:
    from notifications import signing

    assert len(signing.parse_secret(env.random_webhook_secret())) == 32
    assert len(env.random_key()) >= 64
    assert env.random_key() != env.random_key()
