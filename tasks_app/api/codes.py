"""The catalogue of error codes. A code is stable: clients compare it. docs/errors.md says the same for people."""

from typing import NamedTuple


class Code(NamedTuple):
    """HTTP status, what happened, and what a client does about it."""

    status: int
    meaning: str
    remedy: str


CODES = {
    "invalid": Code(400, "Fields or parameters are not valid; `errors` names each", "Correct them"),
    "parse_error": Code(
        400, "The body is no JSON", "Send UTF-8 JSON without NaN, Infinity, and without a key twice in one object"
    ),
    "bad_request": Code(
        400, "The request is malformed, or its Host is none of this server's names", "See ALLOWED_HOSTS"
    ),
    "bad_cursor": Code(400, "The cursor is not ours, or of a list in another order", "Begin at the first page"),
    "bad_idempotency_key": Code(400, "Idempotency-Key is not 1 to 255 printable ASCII characters", "Send such a key"),
    "unknown_scope": Code(400, "A token was asked for with a scope that does not exist", "Choose from those named"),
    "task_error": Code(400, "The task was refused for another reason", "Read `detail`"),
    "not_authenticated": Code(401, "No token, no session, and ANONYMOUS_API does not open this", "Send a token"),
    "invalid_token": Code(401, "The token is unknown, revoked or expired", "Make a new one"),
    "authentication_failed": Code(401, "The credentials are not good", "Log in again or send a token"),
    "forbidden": Code(403, "You may not do this, or the token lacks the scope", "Read `detail`; ask an operator"),
    "csrf": Code(403, "A session's request came without CSRF token or from another page", "Load the page again"),
    "not_found": Code(404, "There is nothing here, or nothing that you may see", "Check the address"),
    "method_not_allowed": Code(405, "This address knows other methods; Allow names them", "Use one of them"),
    "not_acceptable": Code(406, "This answer has no such form", "Accept application/json"),
    "too_slow": Code(408, "The body did not arrive within REQUEST_SECONDS", "Send it again, faster or in parts"),
    "wrong_status": Code(409, "The task's status does not allow this", "Read the task again"),
    "test_needed": Code(409, "A disabled endpoint needs a test that was taken", "Send a test, or `force`"),
    "new_host": Code(409, "Another host must not get the stored headers", "Send `headers` anew, or `new_host`"),
    "too_many_endpoints": Code(409, "You have as many webhook endpoints as are allowed", "Delete one"),
    "endpoints_off": Code(409, "The operator has set no key for this, or it is gone", "Ask the operator"),
    "replay_runs": Code(409, "A replay of this endpoint is running", "Wait for it, or cancel it"),
    "not_enabled": Code(409, "The endpoint is paused or disabled", "Enable it first"),
    "endpoint_refused": Code(409, "The endpoint's state does not allow this", "Read it again"),
    "delivery_refused": Code(409, "The delivery is being sent, or has ended", "Read it again"),
    "idempotency_key_reused": Code(409, "This Idempotency-Key came with another body before", "Use a new key"),
    "version_conflict": Code(412, "The task changed: If-Match names another version", "Read it again, then repeat"),
    "too_large": Code(413, "The body is larger than 1 MiB", "Send less, or several requests"),
    "unsupported_media_type": Code(
        415, "The body is not application/json, or compressed", "Send that Content-Type, without Content-Encoding"
    ),
    "throttled": Code(429, "Too many requests, or too many failed logins", "Wait for Retry-After seconds"),
    "server_error": Code(500, "Something went wrong on our side; it is in the log", "Report `request_id`"),
    "busy": Code(503, "Too many large requests arrive at the same time", "Wait for Retry-After, then repeat"),
    "unavailable": Code(503, "The database does not answer; nothing was changed", "Wait for Retry-After, then repeat"),
}
