"""What a person may do to a delivery from its task's page."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.views.decorators.http import require_POST

from notifications import deliveries
from notifications.models import Delivery
from notifications.pages.reach import reason
from tasks_app.pages.task import now_part, visible
from tasks_app.pages.viewer import Viewer, failure, for_viewers, is_htmx


@require_POST
@for_viewers
def replay(request: HttpRequest, viewer: Viewer, task_id: uuid.UUID, delivery_id: uuid.UUID) -> HttpResponse:
    """Sends it again, for those who may change the task. Who and why stay in the log of attempts."""
    visible(viewer, task_id, "change")
    if not Delivery.objects.filter(pk=delivery_id, event__task_id=task_id).exists():
        return failure(request, 404, "There is no such delivery.")
    done = deliveries.replay(delivery_id, who=viewer.who, why=reason(request))
    said = "It is sent again in a moment." if done else "It is being sent right now."
    if is_htmx(request):
        answer = now_part(request, viewer, task_id)
        if not done:
            context = {"key": "replay", "status": "FAILED", "title": said, "oob": True}
            answer.write(render_to_string("tasks_app/_toast.html", context))
        return answer
    messages.add_message(request, messages.SUCCESS if done else messages.ERROR, said)
    return redirect("tasks:detail", task_id=task_id)
