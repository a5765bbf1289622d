"""Every door of the site."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from notifications.api.metrics import Metrics
from taskmanager import health

below: list[Any] = [
    path("", RedirectView.as_view(pattern_name="tasks:dashboard")),
    path("", include("tasks_app.api.urls")),
    path("api/v1/", include("notifications.api.urls")),
    path("", include("tasks_app.pages.urls")),
    path("", include("notifications.pages.urls")),
    path("admin/", admin.site.urls),
    path("metrics", Metrics.as_view(), name="metrics"),
    path("healthz", health.healthz, name="healthz"),
    path("livez", health.livez, name="livez"),
]
urlpatterns = [path(f"{settings.PATH_PREFIX}/".lstrip("/"), include(below))]
handler400 = "tasks_app.api.errors.bad_request"
handler403 = "tasks_app.api.errors.forbidden"
handler404 = "tasks_app.api.errors.not_found"
handler500 = "tasks_app.api.errors.server_error"
