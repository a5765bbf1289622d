"""PUBLIC_URL, its origin and its path, and names of cookies."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from taskmanager import instance


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://tasks.example", ("https://tasks.example", "https://tasks.example", "")),
        ("https://Tasks.Example:443/", ("https://Tasks.Example:443", "https://tasks.example", "")),
        ("http://[::1]:8000/a/b/", ("http://[::1]:8000/a/b", "http://[::1]:8000", "/a/b")),
        ("", ("", "", "")),
    ],
)
def test_an_address_has_an_origin_as_browsers_spell_it_and_a_path(
    monkeypatch: pytest.MonkeyPatch, url: str, found: tuple[str, str, str]
) -> None:
    monkeypatch.setenv("PUBLIC_URL", url)
    assert instance.public_url("PUBLIC_URL") == found


@pytest.mark.parametrize(
    "url",
    [
        "https://host/tasks", "https://host/api/x", "https://host/ws", "https://host/a?b", "https://host/a#b", "https://u:p@host",
        "https://host/a b", "https://host/a/../b", "https://host/%61", "https://host//a", "https://host/é",
    ],
)  # fmt: skip
def test_an_address_that_could_not_work_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PUBLIC_URL", url)
    with pytest.raises(ImproperlyConfigured, match="PUBLIC_URL"):
        instance.public_url("PUBLIC_URL")


def test_two_keys_make_two_names_and_one_key_one() -> None:
    one, again, other = (instance.cookie_names(key, host_only=False) for key in ("a" * 50, "a" * 50, "b" * 50))
    assert one == again
    assert not set(one) & set(other)
