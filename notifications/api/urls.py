"""This room's part of /api/v1. No trailing slashes."""

from django.urls import path

from notifications.api import deliveries, endpoints, events, openapi  # noqa: F401 - openapi describes the views

_ONE, _DELIVERY, _REPLAY = (
    "webhooks/endpoints/<str:endpoint_id>", "webhooks/deliveries/<str:delivery_id>", "webhooks/replays/<str:replay_id>",
)  # fmt: skip

urlpatterns = [
    path("tasks/<str:task_id>/deliveries", deliveries.TaskDeliveries.as_view(), name="task-deliveries"),
    path("events", events.EventFeed.as_view(), name="event-feed"),
    path("webhooks/endpoints", endpoints.EndpointList.as_view(), name="endpoints"),
    path(_ONE, endpoints.EndpointDetail.as_view(), name="endpoint"),
    path(f"{_ONE}/pause", endpoints.EndpointPause.as_view(), name="endpoint-pause"),
    path(f"{_ONE}/enable", endpoints.EndpointEnable.as_view(), name="endpoint-enable"),
    path(f"{_ONE}/test", endpoints.EndpointTest.as_view(), name="endpoint-test"),
    path(f"{_ONE}/secret/rotate", endpoints.SecretRotate.as_view(), name="secret-rotate"),
    path(f"{_ONE}/secret/reveal", endpoints.SecretReveal.as_view(), name="secret-reveal"),
    path(f"{_ONE}/secret/revoke-old", endpoints.SecretRevokeOld.as_view(), name="secret-revoke-old"),
    path(f"{_ONE}/history", endpoints.EndpointHistory.as_view(), name="endpoint-history"),
    path(f"{_ONE}/recover", endpoints.EndpointRecover.as_view(), name="endpoint-recover"),
    path(f"{_ONE}/replays", endpoints.EndpointReplays.as_view(), name="endpoint-replays"),
    path(_REPLAY, endpoints.ReplayDetail.as_view(), name="replay"),
    path(f"{_REPLAY}/cancel", endpoints.ReplayCancel.as_view(), name="replay-cancel"),
    path("webhooks/deliveries", deliveries.DeliveryList.as_view(), name="deliveries"),
    path("webhooks/deliveries/export", deliveries.DeliveryExport.as_view(), name="deliveries-export"),
    path("webhooks/deliveries/retry", deliveries.DeliveryRetryMany.as_view(), name="deliveries-retry"),
    path(_DELIVERY, deliveries.DeliveryDetail.as_view(), name="delivery"),
    path(f"{_DELIVERY}/attempts", deliveries.DeliveryAttempts.as_view(), name="delivery-attempts"),
    path(f"{_DELIVERY}/retry", deliveries.DeliveryRetry.as_view(), name="delivery-retry"),
    path(f"{_DELIVERY}/cancel", deliveries.DeliveryCancel.as_view(), name="delivery-cancel"),
    path(f"{_DELIVERY}/curl", deliveries.DeliveryCurl.as_view(), name="delivery-curl"),
    path("webhooks/event-types", events.EventTypes.as_view(), name="event-types"),
    path("webhooks/signing-key", events.SigningKey.as_view(), name="signing-key"),
    path("webhooks/verify", events.Verify.as_view(), name="verify"),
]
