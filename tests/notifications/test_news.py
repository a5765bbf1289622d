"""What is new on a page whose list is narrowed: only what fits its filters."""

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from notifications.pages.viewers import View
from tests.database import django_db_setup  # noqa: F401
from tests.notifications.test_page_consumer import Page, anna, asynchronous, do, person, quiet_end, submit  # noqa: F401

pytestmark = pytest.mark.usefixtures("committed")


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("tag=nightly", {"tags": ["nightly"]}),
        ("text=import", {"title": "Import all"}),
        ("status=PENDING&kind=http_request", {"kind": "http_request", "payload": {"url": "https://example.org/"}}),
        ("payload.customer.id=42&size=50", {"payload": {"message": "m", "customer": {"id": 42}}}),
    ],
)
@asynchronous
async def test_only_new_tasks_that_fit_the_filters_are_counted(anna: User, query: str, fits: dict[str, str]) -> None:  # noqa: F811
    async with Page(anna) as page:
        await page.show(query=query)
        await submit(anna, "Does not fit")
        await submit(anna, **fits)
        text = await page.until("1 new")
        assert f'href="/dashboard/?{query.replace("&", "&amp;")}"' in text
        assert "2 new" not in text + await page.all_within(0.6)


@asynchronous
async def test_what_was_missed_is_counted_by_the_filters_too(anna: User) -> None:  # noqa: F811
    shown = await submit(anna, tags=["x"])
    await submit(anna, "Other")
    await submit(anna, tags=["x"])
    async with Page(anna) as page:
        assert "1 new" in await page.show(shown, query="tag=x", floor=str(shown.pk))
        assert "2 new" in await page.show(query="tag=x")


@asynchronous
async def test_a_task_that_no_longer_fits_is_no_news(anna: User) -> None:  # noqa: F811
    async with Page(anna) as page:
        await page.show(query="tag=x&status=PENDING")
        made = await submit(anna, tags=["x"], run_at=None)
        await page.until("1 new")
        await do("complete", made)
        assert "hidden" in await page.until('id="news"')


@asynchronous
async def test_an_owner_asked_for_by_who_may_not_is_nothing_and_breaks_no_other_page(anna: User) -> None:  # noqa: F811
    otto = await sync_to_async(person)("otto", "operator")
    async with Page(anna) as hers, Page(otto) as his:
        await hers.show(query="owner=anna")
        await his.show(query="owner=anna")
        await submit(anna)
        assert "1 new" in await his.until("1 new")
        assert "1 new" not in await hers.all_within(0.6)


@pytest.mark.parametrize("query", ["status=x", "size=7", "payload..=1", "text=ab", 7, None, ["status=DONE"]])
def test_filters_that_make_no_sense_are_malformed(query: object) -> None:
    import orjson

    assert View.parse(orjson.dumps({"shown": {}, "query": query, "floor": ""}).decode()) is None


@pytest.mark.parametrize("floor", ["", "00000000-0000-0000-0000-000000000000", "fffffffe-ffff-ffff-ffff-ffffffffffff"])
def test_any_floor_is_a_time(floor: str) -> None:
    assert View(floor=floor).made_since
