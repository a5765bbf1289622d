"""The socket of the dashboard: what a page is sent, and what it is not."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser, Group, User

from notifications.live import announcer
from notifications.pages.feed import Feed
from notifications.pages.push import Change, Push
from notifications.pages.viewers import View, Viewer
from notifications.routing import router
from tasks_app import lifecycle, pipeline
from tasks_app.access import Access
from tasks_app.models import Task
from tasks_app.validation import NewTask
from tests.database import django_db_setup  # noqa: F401
from tests.services.processes import PATIENCE

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def quiet_end() -> Any:
    yield
    assert pipeline.publisher.flush(timeout=PATIENCE)
    assert announcer.flush(timeout=PATIENCE)


@pytest.fixture
def anna() -> User:
    return person("anna", "member")


def person(name: str, *roles: str) -> User:
    user = User.objects.create(username=name)
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def asynchronous(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs the test in an event loop of its own; database work stays in the test's thread."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        async_to_sync(test)(*arguments, **fixtures)

    return run


class Page:
    """An open dashboard."""

    def __init__(self, user: Any) -> None:
        self.socket = WebsocketCommunicator(router, "/ws/dashboard")
        scope: dict[str, Any] = self.socket.scope  # type: ignore[assignment]
        scope["user"] = user  # as AuthMiddlewareStack does

    async def __aenter__(self) -> "Page":
        connected, _ = await self.socket.connect()
        assert connected
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.disconnect()

    async def show(self, *tasks: Task, query: str = "", floor: str = "") -> str:
        """Says what is on the page and waits for the answer."""
        said = {"shown": {str(task.pk): task.version for task in tasks}, "query": query, "floor": floor}
        await self.socket.send_to(text_data=orjson.dumps(said).decode())
        return await self.until('id="news"')

    async def until(self, text: str) -> str:
        """Everything that was sent up to the message with `text`."""
        received, deadline = "", time.monotonic() + PATIENCE
        while text not in received:
            received += str(await self.socket.receive_from(timeout=max(0.01, deadline - time.monotonic())))
        return received

    async def all_within(self, seconds: float) -> str:
        """Everything that is sent in the next seconds."""
        received, deadline = "", time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            # receive_from() would end the socket at its timeout.
            if await self.socket.receive_nothing(timeout=left):
                break
            received += str(await self.socket.receive_from())
        return received


async def submit(user: User, title: str = "A task", **fields: Any) -> Task:
    task: Task = await sync_to_async(lifecycle.submit)(NewTask(title=title, **fields), owner_id=user.pk, who="test")
    return task


async def do(verb: str, task: Task) -> Any:
    return await sync_to_async(getattr(lifecycle, verb))(task.pk, who="test")


def row(task: Task) -> str:
    return f'id="task-{task.pk}"'


# ---- What a page is sent --------------------------------------------------------------------------------------------


@asynchronous
async def test_a_task_on_the_page_changes_in_place_and_so_do_the_counts(anna: User) -> None:
    task = await submit(anna, "Hello")
    async with Page(anna) as page:
        await page.show(task)
        await do("cancel", task)
        text = await page.until(f'{row(task)} data-version="2" data-status="CANCELLED" hx-swap-oob="true"')
        text += await page.until('id="count-CANCELLED" hx-swap-oob="true">1<') if "count-CANCELLED" not in text else ""
        assert 'id="toast-' in text
        assert f'<strong>Cancelled</strong> <a class="toast-link" href="/dashboard/tasks/{task.pk}/">Hello</a>' in text


@asynchronous
async def test_a_new_task_is_announced_and_not_pushed(anna: User) -> None:
    shown = await submit(anna)
    async with Page(anna) as page:
        await page.show(shown)
        first, second = await submit(anna), await submit(anna)
        text = await page.until("2 new")
        assert row(first) not in text
        assert row(second) not in text


@asynchronous
async def test_once_the_page_shows_the_new_task_there_is_no_news(anna: User) -> None:
    async with Page(anna) as page:
        await page.show()
        task = await submit(anna)
        await page.until("1 new")
        await page.socket.send_to(
            text_data=orjson.dumps({"shown": {str(task.pk): 1}, "query": "", "floor": ""}).decode()
        )
        assert "0 new" in await page.until("hidden>")


@asynchronous
async def test_a_page_with_a_filter_hears_of_what_comes_to_match_it(anna: User) -> None:
    task = await submit(anna)
    async with Page(anna) as page:
        await page.show(query="status=CANCELLED")
        assert "1 new" not in await page.all_within(0.5)
        await do("cancel", task)
        assert "/dashboard/?status=CANCELLED" in await page.until("1 new")


@asynchronous
async def test_an_older_page_is_not_told_of_new_tasks(anna: User) -> None:
    task = await submit(anna)
    async with Page(anna) as page:
        await page.show(task, floor="ffffffff-ffff-ffff-ffff-ffffffffffff")
        await submit(anna)
        assert "1 new" not in await page.all_within(1)


@asynchronous
async def test_the_row_of_a_deleted_task_goes(anna: User) -> None:
    task = await submit(anna)
    async with Page(anna) as page:
        await page.show(task)
        await do("delete", task)
        await page.until(f'<li {row(task)} class="task" hx-swap-oob="delete">')


@asynchronous
async def test_a_page_that_comes_back_is_sent_what_it_missed(anna: User) -> None:
    changed, same, gone = await submit(anna), await submit(anna), await submit(anna)
    await do("cancel", changed)
    await do("delete", gone)
    missed = await submit(anna)
    assert missed
    async with Page(anna) as page:
        said = {"shown": {str(task.pk): 1 for task in (changed, same, gone)}, "query": "", "floor": ""}
        await page.socket.send_to(text_data=orjson.dumps(said).decode())
        text = await page.until("1 new")
        assert f'{row(changed)} data-version="2"' in text
        assert row(same) not in text
        assert f'<li {row(gone)} class="task" hx-swap-oob="delete">' in text
        assert 'id="count-ALL" hx-swap-oob="true">3<' in text


@asynchronous
async def test_the_beat_comes_about_once_a_second(anna: User) -> None:
    async with Page(anna) as page:
        started = time.monotonic()
        for beats in range(1, 4):
            await page.until("beat")
            assert time.monotonic() - started > 0.8 * (beats - 1)


@asynchronous
async def test_progress_is_shown_although_it_is_no_new_version(anna: User) -> None:
    task = await submit(anna, payload={"message": "m"})
    await sync_to_async(lifecycle.start)([task.pk], worker="w1")
    async with Page(anna) as page:
        await page.show(task)
        await sync_to_async(lifecycle.report_progress)(task.pk, attempt=1, progress=37, message="Reading")
        assert "toast" not in await page.until("37 %")


@asynchronous
async def test_many_changes_make_few_messages(anna: User) -> None:
    tasks = [await submit(anna) for _ in range(20)]
    async with Page(anna) as page:
        await page.show(*tasks)
        started, messages = time.monotonic(), 0
        for task in tasks:
            await do("cancel", task)
        while time.monotonic() - started < 3:
            if await page.socket.receive_nothing(timeout=0.5):
                break
            messages += await page.socket.receive_from() != "beat"
        assert messages <= 4 * (time.monotonic() - started) + 1


# ---- What it is not sent --------------------------------------------------------------------------------------------


@asynchronous
async def test_a_page_is_sent_nothing_of_tasks_its_user_may_not_see(anna: User) -> None:
    bert = await sync_to_async(person)("bert", "member")
    foreign = await submit(bert, "Secret")
    async with Page(anna) as page:
        await page.show(foreign)  # a page may claim to show anything
        await do("cancel", foreign)
        await submit(bert, "Secret too")
        text = await page.all_within(1.2)
        assert "Secret" not in text
        assert "new</a>" not in text
        assert "toast" not in text
        assert "count-" not in text


@asynchronous
async def test_who_sees_all_tasks_is_sent_rows_without_buttons(anna: User) -> None:
    vera = await sync_to_async(person)("vera", "viewer")
    task = await submit(anna)
    async with Page(vera) as page:
        await page.show(task)
        await do("cancel", task)
        text = await page.until(row(task))
        assert "formaction" not in text
        assert "data-dialog" not in text


@asynchronous
async def test_nobody_is_told_to_log_in() -> None:
    async with Page(AnonymousUser()) as page:
        assert await page.socket.receive_output(timeout=PATIENCE) == {"type": "websocket.close", "code": 4401}


@pytest.mark.parametrize(
    "said",
    [
        "[]", "null", "{}", '{"shown": [], "query": "", "floor": ""}', '{"shown": {"x": 1}, "query": "", "floor": ""}',
        '{"shown": {}, "query": "status=NEW", "floor": ""}', '{"shown": {}, "query": "", "floor": "<b>"}', "x" * 20_001,
    ],
)  # fmt: skip
@asynchronous
async def test_a_page_that_makes_no_sense_is_hung_up_on(anna: User, said: str) -> None:
    async with Page(anna) as page:
        await page.socket.send_to(text_data=said)
        while (sent := await page.socket.receive_output(timeout=PATIENCE))["type"] == "websocket.send":
            pass
        assert sent == {"type": "websocket.close", "code": 4400}


@asynchronous
async def test_when_the_last_page_closes_nothing_listens_any_more(anna: User) -> None:
    before = _tasks_of_ours()
    async with Page(anna) as first, Page(anna) as second:
        await first.until("beat")
        await second.until("beat")
        assert len(Feed.of_this_loop()._viewers) == 2
    assert _tasks_of_ours() == before


def _tasks_of_ours() -> "set[asyncio.Task[object]]":
    # The Redis layer keeps its one connection for the loop, whoever listens.
    return {
        task for task in asyncio.all_tasks() if "channels_redis" not in repr(task) and "RedisLayer" not in repr(task)
    }


# ---- One push -------------------------------------------------------------------------------------------------------


async def _nowhere(text: str) -> None:
    raise AssertionError(text)


def watching(user: User, *tasks: Task) -> Viewer:
    return Viewer(
        access=Access(user=user, door="socket"), sees_all=False, send=_nowhere,
        view=View(shown={str(task.pk): task.version for task in tasks}, floor=""),
    )  # fmt: skip


def changes(*tasks: Task, what: str = "cancelled") -> dict[str, Change]:
    item = {"status": "CANCELLED", "version": 2, "what": what}
    return {str(task.pk): Change.of({**item, "owner_id": task.owner_id}) for task in tasks}


@pytest.mark.parametrize("count", [1, 50])
def test_a_change_is_read_once_however_many_watch(anna: User, count: int, django_assert_num_queries: Any) -> None:
    task = lifecycle.submit(NewTask(title="A task"), owner_id=anna.pk, who="test")
    viewers = [watching(anna, task) for _ in range(count)]
    viewers[0].access.may("change", task)  # its permissions are remembered by the user
    with django_assert_num_queries(3):  # who watches, the row, the counts
        push = Push(changes(task), viewers, audiences={anna.pk})
    assert len({text for _, text in push.messages}) == 1
    assert len(push.messages) == count


def test_many_ends_are_told_in_one_toast(anna: User) -> None:
    tasks = lifecycle.submit_many([NewTask(title="A task")] * 5, owner_id=anna.pk, who="test")
    viewer = watching(anna)
    ((_, text),) = Push(changes(*tasks), [viewer], audiences=[]).messages
    assert text.count('class="toast"') == 1
    assert "5 cancelled" in text
    ((_, text),) = Push(changes(*tasks[:2]), [viewer], audiences=[]).messages
    assert "7 cancelled" in text


def test_a_change_in_between_hides_no_end() -> None:
    item = {"owner_id": 1, "status": "DONE", "version": 3, "what": "succeeded"}
    late = {**item, "status": "PROCESSING", "version": 2, "what": "progress"}
    change = Change.of(item).then(Change.of(late))
    assert (change.status, change.is_told, change.is_counted, change.is_gone) == ("DONE", True, True, False)
