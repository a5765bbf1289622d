"""What the OpenAPI document says of this room's operations. Their bodies: components.py."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from notifications.api import components, deliveries, endpoints, events, metrics  # noqa: F401 - components adds its schemas
from notifications.fields import EVENT_TYPES
from notifications.models import Delivery
from tasks_app.api.v1.components import MOMENT, SWITCH, TEXT, UUID, array
from tasks_app.api.v1.openapi import CURSOR, LIMIT, TASK_ID, describe, operation, parameter

TAG = "webhooks"
ENDPOINT_ID, DELIVERY_ID, REPLAY_ID = (
    parameter(f"{name}_id", UUID, f"The {name}'s id", where=OpenApiParameter.PATH)
    for name in ("endpoint", "delivery", "replay")
)
TYPES = parameter("type", array({"type": "string", "enum": EVENT_TYPES}), "May be repeated")
FILTERS = [
    parameter("endpoint", UUID, "Exactly this endpoint"), TYPES,
    parameter("status", array({"type": "string", "enum": Delivery.Status.values}), "May be repeated"),
    parameter("task", UUID, "Of this task"), parameter("since", MOMENT, "Made at or after"),
    parameter("until", MOMENT, "Made before"),
]  # fmt: skip


def _one(parameters: list[Any]) -> Any:
    def make(name: str, summary: str, answer: str | None, *, status: int = 200, takes: str | None = None) -> Any:
        return operation(name, summary=summary, tag=TAG, answers={status: answer}, takes=takes, parameters=parameters)

    return make


_bare, _endpoint, _delivery, _replay = _one([]), _one([ENDPOINT_ID]), _one([DELIVERY_ID]), _one([REPLAY_ID])

describe(
    deliveries.TaskDeliveries,
    get=operation("listTaskDeliveries", summary="Read a task's webhook deliveries", tag="tasks",
                  answers={200: "DeliveryPage"}, parameters=[TASK_ID, LIMIT, CURSOR]),
)  # fmt: skip
describe(
    endpoints.EndpointList, get=_one([LIMIT, CURSOR])("listEndpoints", "List endpoints", "EndpointPage"),
    post=_bare("createEndpoint", "Make an endpoint", "EndpointAndSecret", status=201, takes="NewEndpoint"),
)  # fmt: skip
describe(
    endpoints.EndpointDetail, get=_endpoint("readEndpoint", "Read an endpoint", "EndpointAndFigures"),
    patch=_endpoint("changeEndpoint", "Change an endpoint", "Endpoint", takes="EndpointChanges"),
    delete=_endpoint("deleteEndpoint", "Delete an endpoint", None, status=204),
)  # fmt: skip
for _view, _name, _summary, _takes in (
    (endpoints.EndpointPause, "pauseEndpoint", "Pause an endpoint", "Nothing"),
    (endpoints.EndpointEnable, "enableEndpoint", "Enable an endpoint", "Force"),
    (endpoints.SecretRevokeOld, "revokeOldSecrets", "Revoke the old secrets", "Nothing"),
):
    describe(_view, post=_endpoint(_name, _summary, "Endpoint", takes=_takes))
describe(
    endpoints.EndpointTest, post=_endpoint("testEndpoint", "Test an endpoint", "Delivery", status=202, takes="Nothing")
)
describe(
    endpoints.SecretRotate, post=_endpoint("rotateSecret", "Rotate the secret", "EndpointAndSecret", takes="Rotation")
)
describe(endpoints.SecretReveal, post=_endpoint("revealSecret", "Reveal the secrets", "Secrets", takes="Nothing"))
describe(
    endpoints.EndpointHistory,
    get=_one([ENDPOINT_ID, LIMIT, CURSOR])("readEndpointHistory", "Read an endpoint's history", "EndpointHistory"),
)
describe(
    endpoints.EndpointRecover,
    post=operation(
        "recover", summary="Send held or failed deliveries again", tag=TAG, answers={200: "Preview", 202: "Replay"},
        takes="Recovery", parameters=[ENDPOINT_ID, parameter("preview", {**SWITCH, "default": False}, "Only count")],
    ),
)  # fmt: skip
describe(
    endpoints.EndpointReplays,
    get=_one([ENDPOINT_ID, LIMIT, CURSOR])("listReplays", "List an endpoint's replays", "Replays"),
)
describe(endpoints.ReplayDetail, get=_replay("readReplay", "Read a replay", "Replay"))
describe(endpoints.ReplayCancel, post=_replay("cancelReplay", "Cancel a replay", "Replay", takes="Nothing"))
describe(
    deliveries.DeliveryList, get=_one([*FILTERS, LIMIT, CURSOR])("listDeliveries", "List deliveries", "DeliveryPage")
)
describe(
    deliveries.DeliveryExport,
    get=extend_schema(
        operation_id="exportDeliveries", summary="Export deliveries with their attempts", tags=[TAG], parameters=FILTERS,
        responses={(200, "application/x-ndjson"): OpenApiResponse(TEXT, description="One JSON object a line")},
    ),
)  # fmt: skip
describe(
    deliveries.DeliveryRetryMany,
    post=_bare("retryDeliveries", "Send several again", "RetryResults", status=202, takes="DeliveryIds"),
)
describe(deliveries.DeliveryDetail, get=_delivery("readDelivery", "Read a delivery", "DeliveryAndBody"))
describe(
    deliveries.DeliveryAttempts,
    get=_one([DELIVERY_ID, LIMIT, CURSOR])("listAttempts", "List a delivery's attempts", "Attempts"),
)
describe(
    deliveries.DeliveryRetry, post=_delivery("retryDelivery", "Send it again", "Delivery", status=202, takes="Reason")
)
describe(deliveries.DeliveryCancel, post=_delivery("cancelDelivery", "Give it up", "Delivery", takes="Nothing"))
describe(deliveries.DeliveryCurl, get=_delivery("curlDelivery", "The request as a command", "Curl"))
_AFTER = parameter("after", TEXT, "Opaque: the `after` of the answer before")
describe(events.EventFeed, get=_one([_AFTER, LIMIT, TYPES])("readFeed", "Pull events", "Feed"))
describe(events.EventTypes, get=_bare("listEventTypes", "List the types of events", "EventTypes"))
describe(events.SigningKey, get=_bare("readSigningKey", "The secret of your callbacks", "Secret"))
describe(events.Verify, post=_bare("verifySignature", "Check a signature", "Verdict", takes="SignedRequest"))
describe(
    metrics.Metrics,
    get=extend_schema(
        operation_id="metrics", summary="Webhooks in numbers for Prometheus", tags=["health"],
        responses={(200, "text/plain"): OpenApiResponse(TEXT, description="The text format of Prometheus")},
    ),
)  # fmt: skip
