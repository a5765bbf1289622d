"""This room's part of /api/v1. No trailing slashes."""

from django.urls import path

from notifications.api import deliveries, openapi  # noqa: F401 - openapi describes the views

urlpatterns = [path("tasks/<str:task_id>/deliveries", deliveries.TaskDeliveries.as_view(), name="task-deliveries")]
