"""The root paths (docs: CONTRACTS in README). No trailing slashes."""

from django.urls import path

from tasks_app.api import root

urlpatterns = [
    path("tasks", root.TaskList.as_view(), name="root-list"),
    path("tasks/<str:task_id>", root.TaskDetail.as_view(), name="root-detail"),
    path("tasks/<str:task_id>/complete", root.TaskComplete.as_view(), name="root-complete"),
]
