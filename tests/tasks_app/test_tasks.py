"""Celery's entry point: what is not ours goes to the dead letters."""

from typing import Any

import pytest
from celery.exceptions import Reject

from tasks_app.tasks import process_tasks


@pytest.mark.parametrize(
    ("ids", "sent_at"), [(["no id"], None), ([7], None), (7, None), (["01a203ae-7f82-7716-9d1a-01c0d6189aeb"], "soon")]
)
def test_a_message_that_is_not_ours_is_rejected_and_not_requeued(ids: Any, sent_at: Any) -> None:
    with pytest.raises(Reject) as rejected:
        process_tasks(ids, sent_at=sent_at)

    reject: Any = rejected.value
    assert reject.requeue is False
