"""The page of one's own API tokens."""

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks_app import tokens
from tasks_app.access import SCOPES
from tasks_app.models import ApiToken
from tests.tasks_app.making import came_to, person

pytestmark = pytest.mark.django_db
URL = "/dashboard/tokens/"
TYPED = {"name": "Nightly import", "scopes": ["tasks:read", "tasks:write"], "days": "90"}


def test_a_token_is_made_and_its_text_is_shown_once(page: Client, anna: Any) -> None:
    before = timezone.now()
    answer = page.post(URL, TYPED)
    assert answer.status_code == 201
    assert "no-store" in answer.headers["Cache-Control"]
    (text,) = re.findall(r'<code id="token-text">(tm_[^<]+)</code>', answer.content.decode())
    found = tokens.find(text)
    assert (found.owner, found.name, found.scopes) == (anna, "Nightly import", ["tasks:read", "tasks:write"])
    assert came_to(found.expires_at, 90 * 86_400, since=before)
    again = page.get(URL).content.decode()
    assert text not in again
    assert text[:9] in again


def test_every_scope_is_explained(page: Client) -> None:
    text = html.unescape(page.get(URL).content.decode())
    for name, says in SCOPES.items():
        assert f'value="{name}"' in text
        assert says in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "  "}, "A name is required."),
        ({"scopes": []}, "Choose what it may do."),
        ({"scopes": ["tasks:read", "root"]}, "root is not one of the available choices"),
        ({"days": "100000"}, None),
        ({"name": "x" * 101}, None),
        ({"name": "a\0b"}, None),
    ],
)
def test_what_is_wrong_makes_no_token(page: Client, change: dict[str, Any], sentence: str | None) -> None:
    answer = page.post(URL, TYPED | change)
    assert answer.status_code == 422
    assert not ApiToken.objects.exists()
    if sentence:
        assert sentence in answer.content.decode()


def test_a_revoked_token_opens_nothing_and_stays_in_the_list(page: Client, anna: Any) -> None:
    token, text = tokens.issue(anna, name="Old", scopes=["tasks:read"])
    assert page.post(f"{URL}{token.pk}/revoke").headers["Location"] == URL
    with pytest.raises(tokens.InvalidToken):
        tokens.find(text)
    shown = page.get(URL).content.decode()
    assert '<span class="tag">revoked</span>' in shown
    assert f"{token.pk}/revoke" not in shown


def test_tokens_of_others_do_not_exist(page: Client) -> None:
    token, text = tokens.issue(person("bert", "member"), name="Bert's", scopes=["tasks:read"])
    assert "Bert" not in page.get(URL).content.decode()
    assert page.post(f"{URL}{token.pk}/revoke").status_code == 404
    assert tokens.find(text)


def test_the_built_in_user_has_none(client: Client, settings: Any) -> None:
    settings.ANONYMOUS_API = "on"
    assert "Log in to make tokens" in client.get(URL).content.decode()
    assert client.post(URL, TYPED).status_code == 403
    assert not ApiToken.objects.exists()


def test_without_the_csrf_token_nothing_happens(anna: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(anna)
    assert browser.post(URL, TYPED).status_code == 403
    assert not ApiToken.objects.exists()


def test_names_are_never_markup(page: Client, anna: Any) -> None:
    evil = "<img src=x onerror=alert(1)>{{ 7 }}\u202e"
    tokens.issue(anna, name=evil, scopes=["tasks:read"])
    text = page.get(URL).content.decode()
    assert "<img" not in text
    assert evil in html.unescape(text)


def test_there_is_an_end_to_the_number_of_tokens(page: Client, anna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks_app.pages.tokens.MOST_TOKENS", 1)
    assert page.post(URL, TYPED).status_code == 201
    assert "Revoke some first" in page.post(URL, TYPED).content.decode()
    assert ApiToken.objects.count() == 1


def test_the_list_takes_the_same_few_queries(page: Client, anna: Any, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        tokens.issue(anna, name=f"T{number}", scopes=["tasks:read"])
    with django_assert_max_num_queries(3):  # session, user, tokens
        page.get(URL)
