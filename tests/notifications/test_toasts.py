"""Toasts are for one's own tasks and those one watches, on every page with a socket; other rows change without a word."""

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User

from notifications.routing import router
from tasks_app.models import Task, Watch
from tests.database import django_db_setup  # noqa: F401
from tests.notifications.test_page_consumer import Page, anna, asynchronous, do, person, quiet_end, row, submit  # noqa: F401

pytestmark = pytest.mark.usefixtures("committed")


async def watch(user: User, task: Task, *, is_on: bool = True) -> None:
    await Watch.objects.aupdate_or_create(user=user, task=task, defaults={"is_on": is_on})


def page_of(user: User, task: Task) -> Page:
    """The open page of one task."""
    page = Page(user)
    page.socket = WebsocketCommunicator(router, f"/ws/dashboard?task={task.pk.hex}")
    page.socket.scope["user"] = user  # type: ignore[typeddict-unknown-key]
    return page


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


@asynchronous
async def test_who_watches_a_task_is_told_of_it_and_others_are_not(anna: User) -> None:  # noqa: F811
    otto, vera = [await sync_to_async(person)(name, "viewer") for name in ("otto", "vera")]
    hers = await submit(anna, "Hers")
    await watch(otto, hers)
    async with Page(otto) as his, Page(vera) as another:
        await his.show()
        await another.show(hers)
        await do("complete", hers)
        text = await his.until('class="toast"')
        assert f'<a class="toast-link" href="/dashboard/tasks/{hers.pk}/">Hers</a>' in text
        assert "toast" not in await another.until(row(hers)) + await another.all_within(0.3)


@asynchronous
async def test_an_owner_who_wants_to_be_left_alone_is(anna: User) -> None:  # noqa: F811
    loud, quiet = await submit(anna, "Loud"), await submit(anna, "Quiet")
    await watch(anna, quiet, is_on=False)
    async with Page(anna) as page:
        await page.show(loud, quiet)
        await do("complete", quiet)
        await do("complete", loud)
        text = await page.until('class="toast"') + await page.all_within(0.6)
        assert f"toast-{loud.pk}" in text
        assert f"toast-{quiet.pk}" not in text


@asynchronous
async def test_the_page_of_another_task_is_told_too_but_not_of_itself(anna: User) -> None:  # noqa: F811
    shown, other = await submit(anna, "Shown"), await submit(anna, "Other")
    async with page_of(anna, shown) as page:
        await page.until("changed")
        await do("complete", shown)
        assert "toast" not in await page.until("changed") + await page.all_within(0.5)
        await do("complete", other)
        text = await page.until('class="toast"')
        assert "Other" in text
        assert 'class="task' not in text.replace('class="task-', "")


@asynchronous
async def test_a_watched_task_that_may_no_longer_be_seen_says_nothing(anna: User) -> None:  # noqa: F811
    bert = await sync_to_async(person)("bert", "member")
    hers, his = await submit(anna, "Hers"), await submit(bert, "His")
    await watch(bert, hers)
    async with Page(bert) as page:
        await page.show(his)
        await do("complete", hers)
        await do("complete", his)
        text = await page.until('class="toast"') + await page.all_within(0.3)
        assert "Hers" not in text
