"""JSON Schemas (2020-12) of what the API of webhooks takes and gives, beside those of tasks_app/api/v1/components.py."""

from typing import Any

from notifications import fields
from notifications.models import Delivery, Endpoint, Replay
from tasks_app.api.v1.components import (
    COMPONENTS,
    COUNT,
    MOMENT,
    NEXT,
    OBJECT,
    SWITCH,
    TEXT,
    UUID,
    array,
    closed,
    maybe,
    ref,
    texts,
)

_WORDS = array(texts(1, fields.LONGEST_WORD, pattern=r"^[^\u0000]*$"), maxItems=fields.MOST_WORDS)
_SETTABLE: dict[str, Any] = {
    "url": {**texts(1, 2048), "format": "uri", "description": "https, a public address, and a usual port"},
    "event_types": {
        **array(texts(1, fields.LONGEST_WORD), minItems=1, maxItems=fields.MOST_PATTERNS),
        "description": "Types, or patterns such as `task.*`: see GET /api/v1/webhooks/event-types",
    },
    "description": texts(0, fields.LONGEST_DESCRIPTION, pattern=r"^[^\u0000]*$"),
    "kinds": {**_WORDS, "description": "Only tasks of one of these kinds; none: all"},
    "tags": {**_WORDS, "description": "Only tasks with one of these tags; none: all"},
    "metadata": {
        "type": "object", "maxProperties": fields.MOST_METADATA,
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        "description": "Only tasks whose metadata has all of these values",
    },
    "include_result": {**SWITCH, "description": "Whether results of up to 8 KiB are in the body"},
    "headers": {
        "type": "object", "maxProperties": fields.MOST_HEADERS, "additionalProperties": texts(0, fields.LONGEST_HEADER),
        "description": "Sent with each request. Kept encrypted and never shown again",
    },
}  # fmt: skip
_SECRET = {**TEXT, "description": "`whsec_…`, shown this once"}
_ENDPOINT: dict[str, Any] = {
    "id": UUID, "url": TEXT, "description": TEXT, "event_types": array(TEXT), "kinds": array(TEXT), "tags": array(TEXT),
    "metadata": OBJECT, "include_result": SWITCH, "header_names": array(TEXT),
    "state": {"type": "string", "enum": Endpoint.State.values}, "state_reason": TEXT, "state_changed_at": MOMENT,
    "owner": maybe(TEXT), "last_success_at": maybe(MOMENT), "failing_since": maybe(MOMENT),
    "not_before": {**maybe(MOMENT), "description": "Nothing is sent before: see not_before_reason"},
    "not_before_reason": TEXT, "created_at": MOMENT, "updated_at": MOMENT,
}  # fmt: skip
_NUMBER = maybe({"type": "number", "minimum": 0})
_FIGURES: dict[str, Any] = {
    "attempts": {**COUNT, "description": "Of the last day, at most 200"}, "success_rate": _NUMBER, "p50_ms": _NUMBER,
    "p95_ms": _NUMBER, "waiting": COUNT, "waiting_since": maybe(MOMENT), "in_flight": COUNT, "held": COUNT,
    "failed": COUNT, "next_attempt_at": maybe(MOMENT), "breaker": {"enum": ["closed", "open", "half-open"]},
    "disabled_at": {**maybe(MOMENT), "description": "When it will be disabled if it goes on failing"},
}  # fmt: skip
_DELIVERY: dict[str, Any] = {
    "id": UUID, "event_id": {**TEXT, "description": "The webhook-id header"}, "type": TEXT, "task_id": maybe(UUID),
    "sequence": COUNT, "receiver": {"type": "string", "enum": Endpoint.Source.values}, "endpoint_id": maybe(UUID),
    "url": {**maybe(TEXT), "description": "Null where it is the operator's own and not yours to see"},
    "status": {"type": "string", "enum": Delivery.Status.values}, "attempts": COUNT, "reason": TEXT, "created_at": MOMENT,
    "next_attempt_at": maybe(MOMENT), "expires_at": MOMENT, "finished_at": maybe(MOMENT),
}  # fmt: skip
_WHICH = array({"type": "string", "enum": Replay.Which.values}, minItems=1)
_REPLAY: dict[str, Any] = {
    "id": UUID, "endpoint_id": UUID, "which": _WHICH, "since": MOMENT,
    "state": {"type": "string", "enum": Replay.State.values}, "total": COUNT, "sent": COUNT, "asked_by": TEXT,
    "created_at": MOMENT, "finished_at": maybe(MOMENT),
}  # fmt: skip

COMPONENTS.update({
    "Endpoint": closed(_ENDPOINT),
    "EndpointAndFigures": closed({**_ENDPOINT, "figures": closed(_FIGURES)}),
    "EndpointAndSecret": closed({**_ENDPOINT, "secret": _SECRET}),
    "EndpointPage": closed({"endpoints": array(ref("Endpoint")), "next": NEXT}),
    "NewEndpoint": closed({**_SETTABLE, "secret": {**TEXT, "description": "Your own, of 24 to 64 bytes; else one is made"}},
                          required=["url", "event_types"]),
    "EndpointChanges": closed({**_SETTABLE, "new_host": {**SWITCH, "description": "Drop the stored headers for another host"}},
                              required=[]),
    "Force": closed({"force": SWITCH}, required=[]),
    "Rotation": closed({"secret": TEXT, "overlap_seconds": {"type": "integer", "minimum": 0, "maximum": 604_800}}, required=[]),
    "Secrets": closed({"secrets": array(closed({"secret": TEXT, "made_at": MOMENT, "until": maybe(MOMENT)}))}),
    "Secret": closed({"secret": TEXT}),
    "EndpointHistory": closed({"history": array(closed({"at": MOMENT, "who": TEXT, "what": TEXT})), "next": NEXT}),
    "Recovery": closed({"since": MOMENT, "which": _WHICH, "preview": SWITCH}, required=["since"]),
    "Preview": closed({"total": COUNT}),
    "Replay": closed(_REPLAY),
    "Replays": closed({"replays": array(ref("Replay")), "next": NEXT}),
    "Delivery": closed(_DELIVERY),
    "DeliveryAndBody": closed({**_DELIVERY, "body": maybe(OBJECT)}),
    "DeliveryPage": closed({"deliveries": array(ref("Delivery")), "next": NEXT}),
    "Attempts": closed({"attempts": array(closed({
        "number": COUNT, "trigger": {"enum": ["auto", "manual", "replay", "test"]}, "asked_by": TEXT, "started_at": MOMENT,
        "finished_at": maybe(MOMENT), "status_code": maybe(COUNT), "error_code": TEXT, "error_detail": TEXT, "peer": TEXT,
        "timings_ms": {"type": "object", "additionalProperties": {"type": "number"}}, "response_headers": OBJECT,
        "response_excerpt": TEXT,
    })), "next": NEXT}),
    "DeliveryIds": closed({"ids": array(UUID, minItems=1, maxItems=1000)}),
    "RetryResults": closed({"results": array(closed({
        "id": UUID, "result": {"enum": ["retried", "busy", "not_found", "forbidden"]},
    }))}),
    "Curl": closed({"curl": TEXT}),
    "FedEvent": closed({
        "id": {**TEXT, "description": "The webhook-id header"}, "type": TEXT, "task_id": maybe(UUID), "sequence": COUNT,
        "created_at": MOMENT, "body": {**maybe(OBJECT), "description": "Null once it is no longer kept"},
    }),
    "Feed": closed({"events": array(ref("FedEvent")), "after": TEXT, "is_end": SWITCH}),
    "EventTypes": closed({"event_types": array(
        closed({"type": TEXT, "description": TEXT, "example": OBJECT, "schema": OBJECT})
    )}),
    "SignedRequest": closed({
        "secret": texts(1, 200), "headers": {"type": "object", "additionalProperties": texts(0, 4096)},
        "body": texts(0, 262_144),
    }),
    "Verdict": closed({
        "valid": SWITCH, "fault": {"enum": ["", "no_header", "bad_format", "too_old", "too_new", "no_match"]}, "reason": TEXT,
    }),
})  # fmt: skip
