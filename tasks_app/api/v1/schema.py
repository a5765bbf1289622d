"""`/api/v1/schema`: OpenAPI 3.1, made once for each process. What all operations share is added here by rule."""

from functools import lru_cache
from typing import Any

import orjson
import yaml
from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from tasks_app.api.codes import CODES
from tasks_app.api.v1.components import COMPONENTS, ref
from tasks_app.api.v1.openapi import HEALTH, describe_all

describe_all()

DESCRIPTION = """
Background work behind a REST API. Errors are problem documents (RFC 9457) with a stable `code`. Every answer has
`X-Request-ID`; send your own and you find it in our log. Lists are read page by page: follow `next`. Unknown fields and
parameters under `/api/v1` are refused, at the root they are ignored. A number comes back with the value that it came with,
or is refused by the name of its field: whole numbers have up to 1,000 digits, fractions those of a double (`0.1`, not
`0.10000000000000000555`); send longer ones as texts. JavaScript reads whole numbers over 2^53 as other ones: use texts.
""".strip()
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
_REQUEST_ID = {"description": "Names this request", "schema": TEXT}
_REQUEST_ID_SENT = {
    "name": "X-Request-ID", "in": "header", "schema": TEXT,
    "description": "Your name for this request: 1 to 128 letters, digits and ._:+/=-; another is replaced",
}  # fmt: skip
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key", "in": "header", "description": "The same key and body again: the same answer",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}  # fmt: skip
_RATE = {
    "RateLimit-Limit": {"description": "Requests a minute", "schema": NUMBER},
    "RateLimit-Remaining": {"description": "Of them left", "schema": NUMBER},
    "RateLimit-Reset": {"description": "Seconds until all are back", "schema": NUMBER},
}
_MORE = {
    "ETag": {"description": "The task's version, quoted", "schema": TEXT},
    "Location": {"description": "Where it is", "schema": TEXT},
    "Link": {"description": 'The next page, `rel="next"`', "schema": TEXT},
    "Retry-After": {"description": "Seconds", "schema": NUMBER},
    "Idempotent-Replayed": {"description": "`true`: this answer was given before", "schema": TEXT},
    "WWW-Authenticate": {"description": "`Bearer`", "schema": TEXT},
}


class Schema(APIView):
    """`/api/v1/schema`, for anybody."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes: list[Any] = []

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """JSON, or YAML with `?format=yaml` or an Accept header that names it."""
        wanted = request.query_params.get("format") or request.headers.get("Accept", "")
        if "yaml" in wanted.lower():
            return HttpResponse(_as_yaml(), content_type="application/yaml")
        return HttpResponse(_as_json(), content_type="application/json")


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


@lru_cache(maxsize=1)
def _as_json() -> bytes:
    return orjson.dumps(document())


@lru_cache(maxsize=1)
def _as_yaml() -> str:
    return yaml.safe_dump(orjson.loads(_as_json()), sort_keys=False, allow_unicode=True, width=120)


def complete(result: Any, generator: Any, request: Any, public: bool) -> Any:
    """Hook of drf-spectacular: adds components, credentials, and the errors and headers each operation may have."""
    result["info"]["description"] = DESCRIPTION
    parts = result.setdefault("components", {})
    parts["schemas"] = COMPONENTS
    parts["securitySchemes"]["session"] = {
        "type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME,
        "description": "Of a person who logged in; writing then needs X-CSRFToken",
    }  # fmt: skip
    parts["responses"] = {str(status): _problem(status) for status in sorted({code.status for code in CODES.values()})}
    parts["parameters"] = {"RequestId": _REQUEST_ID_SENT}
    prefix: str = settings.PATH_PREFIX  # stands in `servers`
    result["paths"] = {path.removeprefix(prefix): operations for path, operations in result["paths"].items()}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            _complete_operation(path, method, operation)
    result["paths"] |= HEALTH
    return result


def _complete_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    open_to_all = settings.ANONYMOUS_API == "on" or settings.ANONYMOUS_ON_LOOPBACK
    operation["security"] = [{"token": []}, {"session": []}, *([{}] if open_to_all else [])]
    parameters = operation.setdefault("parameters", [])
    if method == "post":
        parameters.append(_IDEMPOTENCY_KEY)
    parameters.append({"$ref": "#/components/parameters/RequestId"})
    if body := operation.get("requestBody"):
        name = body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        body["required"] = "required" in COMPONENTS[name]
    for status, answer in operation["responses"].items():
        headers = _headers(path, method, int(status))
        answer["headers"] = {"X-Request-ID": _REQUEST_ID, **_RATE, **headers}
    errors = {str(status): {"$ref": f"#/components/responses/{status}"} for status in _errors(path, method, operation)}
    operation["responses"] = dict(sorted({**operation["responses"], **errors}.items()))


def _lists(path: str, method: str) -> bool:
    """Whether it answers with a page."""
    return method == "get" and path.endswith(
        ("/tasks", "/{task_id}/events", "/deliveries", "/endpoints", "/attempts", "/history", "/replays")
    )


def _headers(path: str, method: str, status: int) -> dict[str, Any]:
    names = []
    if path.startswith("/api/v1/tasks/{task_id}") and status in (200, 201) and "{task_id}/e" not in path:
        names.append("ETag")
    if (status == 201 and not path.endswith("/batch")) or status == 202:
        names.append("Location")
    if method == "post":
        names.append("Idempotent-Replayed")
    if _lists(path, method):
        names.append("Link")
    return {name: _MORE[name] for name in names}


def _errors(path: str, method: str, operation: dict[str, Any]) -> set[int]:
    found = {400, 401, 403, 429, 500, 503}  # 400: also a Host that is not ours
    if "{" in path:
        found.add(404)
    if "requestBody" in operation or method in ("put", "post"):
        found |= {413, 415}
    if method in ("post", "patch", "put") or path.endswith(("/curl", "/signing-key")):
        found.add(409)
    if any(parameter.get("name") == "If-Match" for parameter in operation.get("parameters", [])):
        found.add(412)
    return found


def _problem(status: int) -> dict[str, Any]:
    meanings = "; ".join(f"`{name}`: {code.meaning}" for name, code in CODES.items() if code.status == status)
    headers = {"X-Request-ID": _REQUEST_ID}
    if status in (429, 503):
        headers["Retry-After"] = _MORE["Retry-After"]
    if status == 401:
        headers["WWW-Authenticate"] = _MORE["WWW-Authenticate"]
    content = {"application/problem+json": {"schema": ref("Problem")}}
    return {"description": meanings, "headers": headers, "content": content}
