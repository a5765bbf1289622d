"""The root paths that clients of the earlier systems know, and /api/v1. No trailing slashes."""

from django.urls import include, path

from tasks_app.api import root

urlpatterns = [
    path("api/v1/", include("tasks_app.api.v1.urls")),
    path("tasks", root.TaskList.as_view(), name="root-list"),
    path("tasks/<str:task_id>", root.TaskDetail.as_view(), name="root-detail"),
    path("tasks/<str:task_id>/complete", root.TaskComplete.as_view(), name="root-complete"),
]
