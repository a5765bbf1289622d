"""Toasts are for the tasks of whoever looks; other rows change without a word."""

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from tests.database import django_db_setup  # noqa: F401
from tests.notifications.test_page_consumer import Page, anna, asynchronous, do, person, quiet_end, row, submit  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


@asynchronous
async def test_who_sees_every_task_is_told_of_their_own_only(anna: User) -> None:  # noqa: F811
    otto = await sync_to_async(person)("otto", "operator")
    hers, his = await submit(anna, "Hers"), await submit(otto, "His")
    async with Page(otto) as page:
        await page.show(hers, his)
        await do("complete", hers)
        text = await page.until(f'{row(hers)} data-version="2"') + await page.all_within(0.6)
        assert "toast" not in text
        await do("complete", his)
        assert "His" in (await page.until('class="toast"'))
