"""The switch on a task's page that says whether one is told of it."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tasks_app import lifecycle
from tasks_app.models import Watch
from tests.tasks_app.making import person
from tests.tasks_app.test_pages import HTMX, task_of

pytestmark = pytest.mark.django_db


def test_an_owner_watches_until_they_say_otherwise(page: Client, anna: Any) -> None:
    url = f"/dashboard/tasks/{task_of(anna).pk}/"
    assert 'aria-pressed="true"' in page.get(url).content.decode()
    assert page.post(f"{url}unwatch").headers["Location"] == url
    text = page.get(url).content.decode()
    assert "You are no longer told of this task." in text
    assert 'aria-pressed="false"' in text
    for _ in range(2):
        page.post(f"{url}watch")
    assert 'aria-pressed="true"' in page.get(url).content.decode()
    assert Watch.objects.count() == 1


def test_who_may_only_look_may_watch(client: Client, anna: Any) -> None:
    task = task_of(anna)
    url = f"/dashboard/tasks/{task.pk}/"
    client.force_login(person("vera", "viewer"))
    assert 'aria-pressed="false"' in client.get(url).content.decode()
    text = client.post(f"{url}watch", headers=HTMX).content.decode()
    assert 'id="now"' in text
    assert 'aria-pressed="true"' in text
    assert client.get(f"{url}watch").status_code == 405


def test_the_built_in_user_watches_too(client: Client, settings: Any) -> None:
    settings.ANONYMOUS_API = "on"
    local = User.objects.get(username="local")
    url = f"/dashboard/tasks/{task_of(local).pk}/"
    client.post(f"{url}unwatch")
    assert Watch.objects.get().user == local


def test_a_task_that_is_not_seen_cannot_be_watched_and_goes_with_its_watchers(page: Client, anna: Any) -> None:
    foreign, mine = task_of(person("bert", "member")), task_of(anna)
    assert page.post(f"/dashboard/tasks/{foreign.pk}/watch").status_code == 404
    page.post(f"/dashboard/tasks/{mine.pk}/watch")
    lifecycle.delete(mine.pk, who="test")
    assert not Watch.objects.exists()
