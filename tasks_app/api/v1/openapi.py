"""Says of every operation what drf-spectacular cannot read from the code: bodies, parameters, answers, errors."""

from collections.abc import Iterable, Sequence
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view

from tasks_app import search
from tasks_app.api import root
from tasks_app.api.v1 import events, filters, kinds, query, tasks, tokens, waiting
from tasks_app.api.v1.components import MOMENT, UUID, array, ref, texts, whole
from tasks_app.models import TaskStatus


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tokens. schema.py adds sessions, and nobody where ANONYMOUS_API lets them in."""

    target_class = "tasks_app.api.authentication.Credentials"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer tm_…`"}


def parameter(name: str, schema: dict[str, Any], description: str, *, where: Any = OpenApiParameter.QUERY) -> Any:
    """One parameter. Those in the path are required."""
    required = where == OpenApiParameter.PATH
    return OpenApiParameter(name, schema, where, description=description, required=required)


TASK_ID = parameter("task_id", UUID, "The task's id", where=OpenApiParameter.PATH)
IF_MATCH = parameter(
    "If-Match", {"type": "string"}, 'The version that may be changed, as `"3"`; another one: 412',
    where=OpenApiParameter.HEADER,
)  # fmt: skip
LIMIT = parameter("limit", {**whole(1, query.MOST), "default": query.PAGE}, "Rows of a page")
CURSOR = parameter("cursor", {"type": "string"}, "Opaque; follow `next` instead of making one")
_KEY = f"[A-Za-z0-9_-]{{1,{search.LONGEST_KEY}}}"
PAYLOAD = OpenApiParameter(
    "payload.<path>",
    {
        "type": "object", "additionalProperties": False, "maxProperties": search.MOST_PATHS,
        "patternProperties": {rf"^payload(\.{_KEY}){{1,{search.MOST_KEYS}}}$": texts(1, search.LONGEST_VALUE)},
    },
    OpenApiParameter.QUERY, style="form", explode=True,
    description="The payload's value at a path of keys with dots between: `payload.customer.id=42`. The value is read "
    "as a text and, where it is one, as a JSON number, `true`, `false` or `null`; either may be there",
)  # fmt: skip
FILTERS = [
    parameter("status", array({"type": "string", "enum": TaskStatus.values}), "May be repeated"),
    parameter("kind", texts(1, 100), "Exactly this kind"),
    parameter("tag", texts(1, 50), "Carries this tag"),
    parameter("owner", texts(1, 150), "User name; for those who see all tasks"),
    parameter("q", texts(3, 200), "Words or parts of words in title or description, in any case; one of 3 characters or more"),
    PAYLOAD,
    parameter("created_after", MOMENT, "At or after"),
    parameter("created_before", MOMENT, "Before"),
    parameter("finished_after", MOMENT, "At or after; the order is then by `finished`"),
    parameter("finished_before", MOMENT, "Before; the order is then by `finished`"),
    parameter(
        "order", {"type": "string", "enum": list(filters.ORDERS)},
        "`-` is descending. `finished` leaves out what has not ended; `priority` goes with status=PENDING",
    ),
    LIMIT, CURSOR,
]  # fmt: skip


def _health(name: str, summary: str, statuses: Sequence[int], component: str) -> dict[str, Any]:
    answer = {"description": summary, "content": {"application/json": {"schema": ref(component)}}}
    answers = {str(status): answer for status in statuses}
    said = {"operationId": name, "summary": summary, "tags": ["health"], "responses": answers, "security": []}
    return {"get": {**said, "responses": {**answers, "400": {"$ref": "#/components/responses/400"}}}}


HEALTH = {
    "/healthz": _health("healthz", "Whether all that the server needs answers: 200, else 503", (200, 503), "Health"),
    "/livez": _health("livez", "Whether the process answers", (200,), "Alive"),
}
"""Paths that are no views of Django REST Framework."""


def operation(
    name: str, *, summary: str, tag: str, answers: dict[int, str | None], takes: str | None = None,
    parameters: Sequence[Any] = (),
) -> Any:  # fmt: skip
    """One operation. `answers` maps a status to a component, or None for no body."""
    responses = {
        status: OpenApiResponse(response=ref(component) if component else None, description=_SAID.get(status, "Done"))
        for status, component in answers.items()
    }
    return extend_schema(
        operation_id=name, summary=summary, tags=[tag], responses=responses, parameters=list(parameters),
        request={"application/json": ref(takes)} if takes else None,
    )  # fmt: skip


_SAID = {
    200: "Done",
    201: "Made; Location says where it is",
    202: "Begun; see Location",
    204: "Done; there is nothing to say",
}


def describe(view: type, **operations: Any) -> None:
    """Puts operations on a view's methods."""
    extend_schema_view(**operations)(view)


def _verbs() -> Iterable[tuple[type, str, str, int, str]]:
    yield tasks.TaskComplete, "completeTask", "End a task by hand", 200, "Nothing"
    yield tasks.TaskCancel, "cancelTask", "Cancel a task", 200, "Reason"
    yield tasks.TaskReopen, "reopenTask", "Reopen a task", 200, "Reason"
    yield tasks.TaskRerun, "rerunTask", "Run a task again as a new one", 201, "Rerun"


def describe_all() -> None:
    """Called once, when the URLs are read."""
    describe(
        tasks.TaskList,
        get=operation("listTasks", summary="List tasks", tag="tasks", answers={200: "TaskPage"}, parameters=FILTERS),
        post=operation("createTask", summary="Create a task", tag="tasks", answers={201: "Task"}, takes="NewTask"),
    )
    describe(
        tasks.TaskBatch,
        post=operation(
            "createTasks", summary="Create many tasks", tag="tasks", answers={201: "Batch"}, takes="NewBatch"
        ),
    )
    wait = parameter("wait", {**whole(0, waiting.MOST_SECONDS), "default": 0}, "Seconds to wait for its end")
    describe(
        tasks.TaskDetail,
        get=operation(
            "readTask", summary="Read a task", tag="tasks", answers={200: "Task"}, parameters=[TASK_ID, wait]
        ),
        patch=operation(
            "updateTask", summary="Change a task", tag="tasks", answers={200: "Task"}, takes="TaskChanges",
            parameters=[TASK_ID, IF_MATCH],
        ),
        delete=operation(
            "deleteTask", summary="Delete a task", tag="tasks", answers={204: None}, parameters=[TASK_ID, IF_MATCH]
        ),
    )  # fmt: skip
    for view, name, summary, status, takes in _verbs():
        component = operation(
            name, summary=summary, tag="tasks", answers={status: "Task"}, takes=takes, parameters=[TASK_ID]
        )
        describe(view, post=component)
    order = parameter("order", {"type": "string", "enum": list(events.ORDERS), "default": "oldest"}, "Which come first")
    describe(
        events.TaskEvents,
        get=operation(
            "listEvents", summary="Read a task's history", tag="tasks", answers={200: "EventPage"},
            parameters=[TASK_ID, order, LIMIT, CURSOR],
        ),
    )  # fmt: skip
    kind = parameter("kind", texts(1, 100), "Its name", where=OpenApiParameter.PATH)
    describe(kinds.KindList, get=operation("listKinds", summary="List kinds", tag="kinds", answers={200: "Kinds"}))
    describe(
        kinds.KindDetail,
        get=operation("readKind", summary="Read a kind", tag="kinds", answers={200: "Kind"}, parameters=[kind]),
    )
    describe(tokens.Me, get=operation("whoAmI", summary="Who you are", tag="access", answers={200: "Me"}))
    describe(
        tokens.TokenList,
        get=operation("listTokens", summary="List your tokens", tag="access", answers={200: "Tokens"}),
        post=operation(
            "createToken", summary="Make a token", tag="access", answers={201: "MadeToken"}, takes="NewToken"
        ),
    )
    number = parameter("token_id", whole(1, 2**63 - 1), "The token's id", where=OpenApiParameter.PATH)
    describe(
        tokens.TokenDetail,
        get=operation("readToken", summary="Read a token", tag="access", answers={200: "Token"}, parameters=[number]),
        delete=operation(
            "revokeToken", summary="Revoke a token", tag="access", answers={204: None}, parameters=[number]
        ),
    )
    _describe_root()


def _describe_root() -> None:
    limit = parameter("limit", {**whole(1, root.PAGE), "default": root.PAGE}, "Rows of a page")
    after = parameter("after", UUID, "Of the page before; follow `next`")
    tag = "root"
    describe(
        root.TaskList,
        get=operation(
            "rootListTasks", summary="List tasks", tag=tag, answers={200: "RootPage"}, parameters=[limit, after]
        ),
        post=operation(
            "rootCreateTask", summary="Create a task", tag=tag, answers={201: "RootCreated"}, takes="RootNewTask"
        ),
    )
    describe(
        root.TaskDetail,
        get=operation(
            "rootReadTask", summary="Read a task", tag=tag, answers={200: "RootTask"}, parameters=[TASK_ID]
        ),
        put=operation(
            "rootChangeTask", summary="Change a task", tag=tag, answers={200: "RootEnvelope"}, takes="RootChanges",
            parameters=[TASK_ID],
        ),
        delete=operation(
            "rootDeleteTask", summary="Delete a task", tag=tag, answers={200: "RootMessage"}, parameters=[TASK_ID]
        ),
    )  # fmt: skip
    describe(
        root.TaskComplete,
        put=operation(
            "rootCompleteTask", summary="End a task by hand", tag=tag, answers={200: "RootEnvelope"},
            parameters=[TASK_ID],
        ),
    )  # fmt: skip
