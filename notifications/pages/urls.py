"""This room's pages for people."""

from django.urls import path

from notifications.pages import check, deliveries, delivery, endpoint, endpoint_list, events, verbs

app_name = "webhooks"
urlpatterns = [
    path(
        "dashboard/tasks/<uuid:task_id>/deliveries/<uuid:delivery_id>/replay", deliveries.replay, name="replay_delivery"
    ),
    path("dashboard/webhooks", endpoint_list.without_slash),
    path("dashboard/webhooks/", endpoint_list.endpoint_list, name="endpoints"),
    path("dashboard/webhooks/new", endpoint_list.new, name="new"),
    path("dashboard/webhooks/check", check.check, name="check"),
    path("dashboard/webhooks/events", events.event_types, name="events"),
    path("dashboard/webhooks/deliveries/<uuid:delivery_id>/", delivery.detail, name="delivery"),
    path("dashboard/webhooks/deliveries/<uuid:delivery_id>/replay", delivery.replay, name="send_again"),
    path("dashboard/webhooks/deliveries/<uuid:delivery_id>/cancel", delivery.cancel, name="cancel_delivery"),
    path("dashboard/webhooks/<uuid:endpoint_id>/", endpoint.detail, name="endpoint"),
    path("dashboard/webhooks/<uuid:endpoint_id>/edit", endpoint_list.edit, name="edit"),
    path("dashboard/webhooks/<uuid:endpoint_id>/delete", endpoint_list.delete, name="delete"),
    path("dashboard/webhooks/<uuid:endpoint_id>/pause", verbs.pause, name="pause"),
    path("dashboard/webhooks/<uuid:endpoint_id>/enable", verbs.enable, name="enable"),
    path("dashboard/webhooks/<uuid:endpoint_id>/test", verbs.test, name="test"),
    path("dashboard/webhooks/<uuid:endpoint_id>/rotate", verbs.rotate, name="rotate"),
    path("dashboard/webhooks/<uuid:endpoint_id>/reveal", verbs.reveal, name="reveal"),
    path("dashboard/webhooks/<uuid:endpoint_id>/revoke-old", verbs.revoke_old, name="revoke_old"),
    path("dashboard/webhooks/<uuid:endpoint_id>/recover", verbs.recover, name="recover"),
    path("dashboard/webhooks/<uuid:endpoint_id>/resend", verbs.resend, name="resend"),
    path(
        "dashboard/webhooks/<uuid:endpoint_id>/replays/<uuid:replay_id>/cancel",
        verbs.cancel_replay,
        name="cancel_replay",
    ),
]
