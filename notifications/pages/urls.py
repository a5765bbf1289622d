"""This room's pages for people."""

from django.urls import path

from notifications.pages import deliveries

app_name = "webhooks"
urlpatterns = [
    path(
        "dashboard/tasks/<uuid:task_id>/deliveries/<uuid:delivery_id>/replay", deliveries.replay, name="replay_delivery"
    ),
]
