"""The feed skips nothing that commits late. With PostgreSQL, where transactions overlap."""

import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from notifications import feed
from notifications.models import Event
from tests.services.processes import PATIENCE


def happen(name: str) -> Event:
    return Event.objects.create(type=name, owner_id=1, created_at=timezone.now(), body="{}")


def pull(after: str = feed.START) -> tuple[list[str], str]:
    found = feed.read(Event.objects.filter(owner_id=1), after=after, limit=100)
    return [event.type for event in found.events], found.after


@pytest.mark.services
def test_one_that_commits_late_is_not_skipped(services: Any, transactional_db: None) -> None:
    assert connection.vendor == "postgresql"
    made, may_commit = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            happen("made first, committed last")
            made.set()
            may_commit.wait(PATIENCE)
        connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        assert made.wait(PATIENCE)
        happen("made last, committed first")
        seen, after = pull()
        assert seen == [], "an older transaction is open: whoever went on would never see what it writes"
    finally:
        may_commit.set()
        thread.join()
    seen, after = pull(after)
    assert seen == ["made first, committed last", "made last, committed first"]
    assert pull(after) == ([], after)


@pytest.mark.django_db
def test_a_page_goes_on_behind_the_last_row_of_the_one_before() -> None:
    names = [str(number) for number in range(7)]
    Event.objects.bulk_create(Event(type=name, owner_id=1, created_at=timezone.now(), body="{}") for name in names)
    if connection.vendor == "postgresql":
        Event.objects.update(transaction=1)  # this transaction is open, and rightly not shown
    seen: list[str] = []
    after, ends = feed.START, False
    while not ends:
        page = feed.read(Event.objects.all(), after=after, limit=3)
        seen, after, ends = seen + [event.type for event in page.events], page.after, page.is_end
    assert seen == names


@pytest.mark.django_db
@pytest.mark.parametrize("after", ["999999999999999999", "99999999999.01990000-0000-7000-8000-000000000000"])
def test_a_cursor_from_before_the_database_was_restored_is_refused(after: str) -> None:
    """A restored PostgreSQL counts transactions from the beginning: nothing would ever be behind such a cursor."""
    with pytest.raises(feed.InvalidCursor, match="restored"):
        feed.read(Event.objects.all(), after=after, limit=3)
