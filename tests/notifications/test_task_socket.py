"""The socket of the page of one task: it hears of that task and of nothing else."""

from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User

from notifications.routing import router
from tasks_app.models import Task
from tests.database import django_db_setup  # noqa: F401
from tests.notifications.test_page_consumer import Page, anna, asynchronous, do, person, quiet_end, submit  # noqa: F401
from tests.services.processes import PATIENCE

pytestmark = pytest.mark.usefixtures("committed")


class TaskPage(Page):
    """An open page of one task."""

    def __init__(self, user: Any, task_id: Any) -> None:
        super().__init__(user)
        self.socket = WebsocketCommunicator(router, f"/ws/dashboard?task={task_id}")
        scope: dict[str, Any] = self.socket.scope  # type: ignore[assignment]
        scope["user"] = user


async def made_by(user: User) -> Task:
    return await submit(user, "Hello")


@asynchronous
async def test_it_is_told_at_the_start_and_at_every_change_of_its_task(anna: User) -> None:  # noqa: F811
    task = await made_by(anna)
    async with TaskPage(anna, task.pk.hex) as page:
        await page.until("changed")
        await do("cancel", task)
        text = await page.until("changed")
        assert "<" not in text


@asynchronous
async def test_of_other_tasks_it_is_told_by_a_toast_alone(anna: User) -> None:  # noqa: F811
    task, other = await made_by(anna), await made_by(anna)
    async with TaskPage(anna, task.pk) as page:
        await page.until("changed")
        await do("complete", other)
        heard = await page.until("toast") + await page.all_within(1.0)
        assert "changed" not in heard and "count-" not in heard


@asynchronous
async def test_of_a_task_that_may_not_be_seen_it_hears_nothing(anna: User) -> None:  # noqa: F811
    from asgiref.sync import sync_to_async

    bert = await sync_to_async(person)("bert", "member")
    task = await made_by(anna)
    async with TaskPage(bert, task.pk) as page:
        await page.until("changed")  # to look once is told to everybody; HTTP then says that there is no such task
        await do("complete", task)
        assert "changed" not in await page.all_within(1.0)


@asynchronous
async def test_an_address_that_makes_no_sense_closes_it(anna: User) -> None:  # noqa: F811
    async with TaskPage(anna, "x'; DROP TABLE--") as page:
        closed = await page.socket.receive_output(timeout=PATIENCE)
        assert closed["code"] == 4400
