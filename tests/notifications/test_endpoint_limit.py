"""WEBHOOK_ENDPOINTS_MOST holds for who asks many times at once. With PostgreSQL, where transactions overlap."""

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from notifications.endpoints import EndpointRefused
from notifications.models import Endpoint
from tests.notifications.making import made
from tests.services.processes import PATIENCE
from tests.tasks_app.making import person


@pytest.mark.services
def test_who_asks_twice_at_once_gets_no_more_than_allowed(services: Any, transactional_db: None, settings: Any) -> None:
    settings.WEBHOOK_ENDPOINTS_MOST = 1
    owner, refused = person("hasty", "member"), threading.Event()

    def again() -> None:
        try:
            made(owner)
        except EndpointRefused as error:
            assert error.code == "too_many_endpoints"
            refused.set()
        finally:
            connection.close()

    thread = threading.Thread(target=again)
    try:
        with transaction.atomic():
            made(owner)
            thread.start()
            thread.join(1)  # it may not end before this does
            assert thread.is_alive()
        thread.join(PATIENCE)
        assert refused.is_set() and Endpoint.objects.filter(owner=owner).count() == 1
    finally:
        thread.join(PATIENCE)
        Endpoint.objects.filter(owner=owner).delete()
