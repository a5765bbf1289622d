"""Examples for the docs page: request bodies, and each call as curl, Python and JavaScript."""

import json
from typing import Any

EXAMPLE_ID = "01990000-0000-7000-8000-000000000000"
BODIES: dict[str, Any] = {
    "createTask": {"title": "Hello", "kind": "message", "payload": {"message": "It works"}, "tags": ["demo"]},
    "createTasks": {"tasks": [{"title": "First"}, {"title": "Second", "priority": 5}]},
    "updateTask": {"title": "A better title", "tags": ["demo", "urgent"]},
    "cancelTask": {"reason": "No longer needed"},
    "reopenTask": {"reason": "The service is back"},
    "rerunTask": {"payload": {"message": "Once more"}},
    "createToken": {"name": "nightly import", "scopes": ["tasks:read", "tasks:write"]},
    "createEndpoint": {"url": "https://example.org/hooks", "event_types": ["task.completed", "task.failed"]},
    "changeEndpoint": {"event_types": ["task.*"], "tags": ["urgent"]},
    "enableEndpoint": {"force": True},
    "rotateSecret": {"overlap_seconds": 3600},
    "recover": {"since": "2026-01-31T12:00:00Z", "which": ["held", "failed"]},
    "retryDelivery": {"reason": "The receiver is mended"},
    "retryDeliveries": {"ids": [EXAMPLE_ID]},
    "verifySignature": {
        "secret": "whsec_" + "A" * 43 + "=", "body": "{}",
        "headers": {"webhook-id": "evt_1", "webhook-timestamp": "1769860800", "webhook-signature": "v1,…"},
    },
    "rootCreateTask": {"title": "Hello", "payload": {"message": "It works"}},
    "rootChangeTask": {"done": True},
}  # fmt: skip
"""Operation → a body that is accepted; tests send each."""
_PLACES = {
    **dict.fromkeys(("{task_id}", "{endpoint_id}", "{delivery_id}", "{replay_id}"), EXAMPLE_ID),
    "{kind}": "message", "{token_id}": "1",
}  # fmt: skip


def snippets(base: str, method: str, path: str, body: Any) -> dict[str, str]:
    """Language → code."""
    for place, value in _PLACES.items():
        path = path.replace(place, value)
    url = base + path
    return {
        "curl": _curl(method, url, body),
        "Python": _python(method, url, body),
        "JavaScript": _script(method, url, body),
    }


def _curl(method: str, url: str, body: Any) -> str:
    lines = [f"curl -X {method} {url}" if method != "GET" else f"curl {url}"]
    lines.append('-H "Authorization: Bearer $TOKEN"')
    if method == "POST":
        lines.append('-H "Idempotency-Key: $(uuidgen)"')
    if body is not None:
        text = json.dumps(body).replace("'", "'\\''")
        lines += ["-H 'Content-Type: application/json'", f"-d '{text}'"]
    return " \\\n  ".join(lines)


def _python(method: str, url: str, body: Any) -> str:
    arguments = [repr(url), "headers=headers", *([f"json={body!r}"] if body is not None else []), "timeout=30"]
    headers = ['"Authorization": f"Bearer {token}"']
    imports = ["import requests"]
    if method == "POST":
        imports.insert(0, "import uuid")
        headers.append('"Idempotency-Key": str(uuid.uuid4())')
    inner = ",\n    ".join(arguments)
    show = "print(answer.status_code)" if method == "DELETE" else "print(answer.json())"
    return "\n".join([
        *imports, "", f"headers = {{{', '.join(headers)}}}", f"answer = requests.{method.lower()}(\n    {inner},\n)",
        "answer.raise_for_status()", show,
    ])  # fmt: skip


def _script(method: str, url: str, body: Any) -> str:
    headers = ["Authorization: `Bearer ${token}`"]
    if method == "POST":
        headers.append('"Idempotency-Key": crypto.randomUUID()')
    if body is not None:
        headers.append('"Content-Type": "application/json"')
    lines = [f"const answer = await fetch({json.dumps(url)}, {{", f"  method: {json.dumps(method)},",
             f"  headers: {{ {', '.join(headers)} }},"]  # fmt: skip
    if body is not None:
        lines.append(f"  body: JSON.stringify({json.dumps(body)}),")
    show = "console.log(answer.status);" if method == "DELETE" else "console.log(await answer.json());"
    return "\n".join([*lines, "});", show])
