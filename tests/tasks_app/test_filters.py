"""Filters of the dashboard: typed, in the address, as chips."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from tasks_app import lifecycle
from tasks_app.validation import NewTask
from tests.tasks_app.making import person
from tests.tasks_app.test_pages import URL, shown, task_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def several(anna: Any) -> None:
    task_of(anna, "Import customers", tags=["nightly", "two words"], status="DONE", payload={"customer": {"id": 42}})
    task_of(anna, "Import orders", tags=["daily"], status="FAILED",
            payload={"customer": {"id": "42"}, "ok": True, "note": "two words", "secret-long": "x" * 41})  # fmt: skip
    task_of(anna, "Call somebody", kind="http_request", payload={"url": "https://example.org/"})


@pytest.mark.parametrize(
    ("typed", "address", "titles"),
    [
        ("import", "text=import", ["Import orders", "Import customers"]),
        ("kind:http_request", "kind=http_request", ["Call somebody"]),
        ("tag:nightly", "tag=nightly", ["Import customers"]),
        ('tag:"two words"', "tag=two+words", ["Import customers"]),
        ("status:failed import", "status=FAILED&text=import", ["Import orders"]),
        ("IMPORT omers", "text=IMPORT+omers", ["Import customers"]),
        ("payload.customer.id:42", "payload.customer.id=42", ["Import orders", "Import customers"]),
        ('payload.ok: true payload.note:"two words"', "payload.ok=true&payload.note=two+words", ["Import orders"]),
        ("status: failed payload.customer.id: 42", "status=FAILED&payload.customer.id=42", ["Import orders"]),
        ("nothing-like-it", "text=nothing-like-it", []),
    ],
)
def test_what_is_typed_becomes_the_address_and_narrows_the_list(
    page: Client, several: None, typed: str, address: str, titles: list[str]
) -> None:
    answer = page.get(URL, {"q": typed})
    assert answer.headers["Location"] == f"{URL}?{address}"
    assert shown(page.get(answer.headers["Location"]).content.decode()) == titles


def test_each_filter_is_a_chip_that_removes_it_and_the_rest_stays(page: Client, several: None) -> None:
    text = html.unescape(page.get(f"{URL}?status=DONE&tag=nightly&size=50").content.decode())
    assert 'class="filter-chip" href="/dashboard/?status=DONE&size=50"' in text
    assert 'class="filter-chip" href="/dashboard/?tag=nightly&size=50"' in text
    assert 'href="/dashboard/?status=FAILED&tag=nightly&size=50"' in text
    assert page.get(f"{URL}?status=DONE&tag=nightly", {"q": "words", "status": "DONE", "tag": "nightly"}).headers[
        "Location"] == f"{URL}?status=DONE&tag=nightly&text=words"  # fmt: skip


@pytest.mark.parametrize(
    "query", ["size=7", "size=x", "text=ab", f"kind={'x' * 101}", "tag=a%00b", "text=a+b+c+d+e+f+g+h+word",
              "payload.=1", "payload.a.b.c.d.e.f=1", f"payload.{'x' * 101}=1", "payload.a'b=1", f"payload.a={'x' * 201}",
              "&".join(f"payload.k{number}=1" for number in range(6)), "q=payload.a..b:1"]
)  # fmt: skip
def test_filters_that_make_no_sense_are_explained(page: Client, query: str) -> None:
    assert page.get(f"{URL}?{query}").status_code == 400


def test_a_path_that_makes_no_sense_is_explained_in_a_sentence(page: Client) -> None:
    text = html.unescape(page.get(URL, {"q": "payload.a.b.c.d.e.f:1"}).content.decode())
    assert "payload.a.b.c.d.e.f: At most 5 keys, with dots between." in text


def test_a_value_of_the_payload_is_a_chip_that_removes_it(page: Client, several: None) -> None:
    text = html.unescape(page.get(f"{URL}?status=DONE&payload.customer.id=42").content.decode())
    assert '<span class="chip-name">payload.customer.id:</span>42' in text
    assert 'class="filter-chip" href="/dashboard/?status=DONE"' in text
    assert 'name="payload.customer.id" value="42"' in text
    assert 'href="/dashboard/?status=FAILED&payload.customer.id=42"' in text


def test_an_owner_may_be_asked_for_by_who_sees_all(page: Client, client: Client, anna: Any) -> None:
    assert page.get(URL, {"owner": "anna"}).status_code == 400
    task_of(anna, "Anna's")
    client.force_login(person("vera", "viewer"))
    assert len(shown(client.get(URL, {"owner": "anna"}).content.decode())) == 1
    assert shown(client.get(URL, {"owner": "nobody-of-that-name"}).content.decode()) == []


@pytest.mark.parametrize(
    "value", ["'; DROP TABLE tasks_app_task; --", "%", "_%_", "\\", "{{ 7 }}", "<script>x", "🐎🐎🐎"]
)
@pytest.mark.parametrize("name", ["text", "tag", "kind", "payload.customer.id"])
def test_hostile_values_are_only_values(page: Client, several: None, name: str, value: str) -> None:
    answer = page.get(URL, {name: value if name != "text" else value + "xyz"})
    assert answer.status_code == 200
    assert shown(answer.content.decode()) == []
    assert "<script>x" not in answer.content.decode()


def test_pages_of_fifty_keep_their_filters(page: Client, anna: Any) -> None:
    lifecycle.submit_many([NewTask(title=f"T{n:03}", tags=["x"]) for n in range(60)], owner_id=anna.pk, who="test")
    first = page.get(URL, {"tag": "x", "size": "50"}).content.decode()
    assert len(shown(first)) == 50
    older = re.search(r'href="([^"]*after=[^"]*)" rel="next"', first)
    assert older
    second = page.get(html.unescape(older.group(1))).content.decode()
    assert len(shown(second)) == 10
    assert not set(shown(first)) & set(shown(second))


def test_suggestions_come_from_real_values(page: Client, several: None) -> None:
    text = html.unescape(page.get("/dashboard/suggestions").content.decode())
    assert "secret-long" not in text
    assert "owner:" not in text
    assert 'value="payload.note:"two words""' in text
    for value in (
        "payload.customer.id:42",
        "payload.ok:true",
        "kind:http_request",
        "tag:nightly",
        'tag:"two words"',
        "status:failed",
    ):
        assert f'value="{value}"' in text or f'value="{value}"' in text
    assert "foreign" not in text


def test_who_sees_all_is_offered_owners(client: Client, several: None) -> None:
    client.force_login(person("vera", "viewer"))
    assert 'value="owner:anna"' in client.get("/dashboard/suggestions").content.decode()


def test_the_state_of_the_system_is_asked_for_by_pages_that_stay_open(page: Client) -> None:
    assert 'id="system"' in page.get("/dashboard/system").content.decode()
