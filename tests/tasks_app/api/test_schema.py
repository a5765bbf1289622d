"""/api/v1/schema and /api/v1/docs: all that there is, as it is."""

import re
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import URLPattern, get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tasks_app.api.v1 import schema
from tasks_app.api.v1.examples import BODIES
from tests.notifications.making import delivery_to
from tests.notifications.making import made as endpoint_of
from tests.tasks_app.api.conftest import Caller

METHODS = {"get", "post", "put", "patch", "delete"}


def test_it_describes_every_method_of_every_address_and_no_other() -> None:
    views = {path: METHODS & set(dir(view)) for path, view in _views() if view is not schema.Schema}
    described = {path: set(operations) for path, operations in schema.document()["paths"].items()}
    assert {**views, "/healthz": {"get"}, "/livez": {"get"}} == described


def _views() -> list[tuple[str, Any]]:
    found = []

    def walk(patterns: Any, prefix: str) -> None:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if not isinstance(pattern, URLPattern):
                walk(pattern.url_patterns, route)
            elif view := getattr(pattern.callback, "cls", None):
                found.append(("/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route), view))

    walk(get_resolver().url_patterns, "")
    return found


def test_the_generator_has_nothing_to_complain_of() -> None:
    GENERATOR_STATS.reset()
    made = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    assert not GENERATOR_STATS
    assert made["openapi"] == "3.1.1"


def test_operations_have_names_of_their_own_and_say_what_they_do() -> None:
    operations = [item for path in schema.document()["paths"].values() for item in path.values()]
    names = [item["operationId"] for item in operations]
    assert len(names) == len(set(names))
    assert all(item["summary"] for item in operations)
    assert all(item["description"] for item in operations if item["tags"] != ["health"])


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    document = schema.document()
    for name in set(re.findall(r"'#/components/(\w+/\w+)'", str(document))):
        section, key = name.split("/")
        assert key in document["components"][section], name
    for part in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(part)


def test_json_and_yaml_say_the_same(db: None) -> None:
    answer = Client().get("/api/v1/schema")
    assert answer.headers["Content-Type"] == "application/json"
    for other in (
        Client().get("/api/v1/schema?format=yaml"),
        Client().get("/api/v1/schema", headers={"Accept": "application/yaml"}),
    ):
        assert other.headers["Content-Type"] == "application/yaml"
        assert yaml.safe_load(other.content) == answer.json()


@pytest.mark.parametrize("name", sorted(BODIES))
def test_the_example_of_an_operation_is_accepted_and_its_answer_as_described(ada: Caller, name: str) -> None:
    document = schema.document()
    path, method, operation = next(
        (path, method, item)
        for path, operations in document["paths"].items()
        for method, item in operations.items()
        if item["operationId"] == name
    )
    made = ada.submit()
    if name == "reopenTask":
        ada.post(f"/api/v1/tasks/{made['id']}/cancel")
    _validator(operation["requestBody"]["content"]).validate(BODIES[name])
    endpoint = endpoint_of(ada.user)
    places = {
        "task_id": made["id"],
        "endpoint_id": endpoint.pk,
        "delivery_id": delivery_to(endpoint).pk,
        "token_id": "",
    }
    answer = ada.call(method.upper(), path.format(**places), BODIES[name])
    assert str(answer.status_code) in operation["responses"], answer.content
    assert answer.status_code < 300
    _validator(operation["responses"][str(answer.status_code)]["content"]).validate(answer.json())


def _validator(content: Any) -> Draft202012Validator:
    resource = Resource.from_contents(schema.document(), default_specification=DRAFT202012)
    reference = {"$ref": "urn:api" + content["application/json"]["schema"]["$ref"]}
    return Draft202012Validator(reference, registry=Registry().with_resource("urn:api", resource))


def test_the_page_shows_every_operation_without_script_or_style_of_its_own(db: None) -> None:
    answer = Client().get("/api/v1/docs", headers={"Host": "localhost:8123"})
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    page = answer.content.decode()
    for operations in schema.document()["paths"].values():
        for operation in operations.values():
            assert f'id="{operation["operationId"]}"' in page
    assert "curl -X POST http://localhost:8123/api/v1/tasks" in page
    assert not re.search(r"localhost:8123/\S*\{", page), "a place in a path without an example"
    assert "requests.post(" in page and "await fetch(" in page
    assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=|src=\"(?!/static/)", page)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {link for link in re.findall(r'href="#([^"]+)"', page) if not link.startswith("icon-")} <= set(ids)
