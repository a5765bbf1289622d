"""Every variable of the two contracts: a test sets each and sees its effect."""

import math
import subprocess
import time
from pathlib import Path

import pytest

from tests.contracts.clients import about, handshake_status, management
from tests.servers import MANAGE, ROOT, Deployment, Role, Standalone
from tests.services.processes import PATIENCE, eventually, free_port
from tests.services.receiver import Receiver


def _refusal(command: str, server: Standalone | Role, **environment: str) -> str:
    """The one sentence with which a command refuses to start."""
    done = subprocess.run(
        [*MANAGE, *command.split()], env={**(server.environment or {}), **environment}, cwd=ROOT, capture_output=True,
        text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr.strip()


def _setting(name: str, **environment: str) -> str:
    """A setting as the server reads it."""
    server = Standalone(**environment)
    environment = {key: value for key, value in (server.environment or {}).items() if value}
    code = f"from django.conf import settings; print('value', settings.{name})"
    printed = subprocess.run(
        [*MANAGE, "shell", "--no-imports", "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True,
        timeout=PATIENCE, check=True,
    )  # fmt: skip
    return printed.stdout.split("value ", 1)[1].strip()


# ---- API_PORT, PORT -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("also_port", [False, True], ids=["alone", "with the same PORT"])
def test_api_port_is_where_the_server_listens(also_port: bool) -> None:
    server = Standalone()
    port = str(server.port)
    server.environment = {**(server.environment or {}), "API_PORT": port, "PORT": port if also_port else ""}
    with server:
        assert server.api.call("GET", "/healthz").status_code == 200


@pytest.mark.services
def test_api_port_is_where_a_production_role_listens(told_deployment: Deployment) -> None:
    web = told_deployment.extra("web")
    web.environment = {**(web.environment or {}), "API_PORT": str(web.port), "PORT": ""}
    with web:
        assert web.api.call("GET", "/healthz").status_code == 200


def test_the_port_is_8000_where_nothing_is_said() -> None:
    assert _setting("PORT", PORT="", API_PORT="") == "8000"


def test_two_different_ports_are_an_error() -> None:
    sentence = _refusal("standalone", Standalone(), PORT="8001", API_PORT="8002")
    assert "PORT" in sentence and "API_PORT" in sentence and "different" in sentence
    assert len(sentence.splitlines()) == 1


@pytest.mark.parametrize("port", ["http", "0", "65536"])
def test_a_port_that_is_none_is_an_error(port: str) -> None:
    assert "PORT" in _refusal("standalone", Standalone(), PORT=port)


# ---- DATABASE_URL, DB_URL -------------------------------------------------------------------------------------------


@pytest.mark.services
@pytest.mark.parametrize(
    ("name", "scheme"),
    [("DB_URL", "postgres"), ("DB_URL", "postgresql+psycopg2"), ("DATABASE_URL", "postgresql+asyncpg")],
)
def test_an_address_of_postgresql_is_read_whatever_driver_it_names(
    told_deployment: Deployment, name: str, scheme: str
) -> None:
    url = told_deployment.environment["DATABASE_URL"].replace("postgresql://", f"{scheme}://")
    environment = {**told_deployment.environment, "DATABASE_URL": "", name: url}
    code = "from tasks_app.models import Task; from django.db import connection as c; print(c.vendor, Task.objects.exists())"
    printed = subprocess.run(
        [*MANAGE, "shell", "--no-imports", "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True,
        timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert "postgresql" in printed.stdout


@pytest.mark.services
def test_a_role_with_db_url_shares_the_tasks_of_the_others(told_deployment: Deployment) -> None:
    url = told_deployment.environment["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://")
    with told_deployment.extra("web", DATABASE_URL="", DB_URL=url) as web:
        task_id = web.api.submit("By the other name")["id"]
        assert told_deployment.api.wait(task_id)["status"] == "DONE"


@pytest.mark.parametrize(
    ("name", "scheme"), [("DB_URL", "mysql"), ("DATABASE_URL", "mysql+pymysql"), ("DB_URL", "mariadb+asyncmy")]
)
def test_an_address_of_mysql_stops_with_a_sentence(name: str, scheme: str) -> None:
    sentence = _refusal("standalone", Standalone(), **{name: f"{scheme}://user:secret@db/tasks"})
    assert "PostgreSQL" in sentence and "SQLite" in sentence
    assert "secret" not in sentence and len(sentence.splitlines()) == 1


def test_two_different_databases_are_an_error() -> None:
    sentence = _refusal("standalone", Standalone(), DATABASE_URL="postgresql://a/b", DB_URL="postgresql://a/c")
    assert "DATABASE_URL" in sentence and "DB_URL" in sentence


# ---- RABBITMQ_URL, REDIS_URL ----------------------------------------------------------------------------------------


@pytest.mark.services
@pytest.mark.parametrize(("name", "check"), [("RABBITMQ_URL", "broker"), ("REDIS_URL", "channel_layer")])
def test_the_address_decides_which_service_is_asked(told_deployment: Deployment, name: str, check: str) -> None:
    with told_deployment.extra("web") as web:
        assert web.api.call("GET", "/healthz").json()["checks"][check]["ok"] is True
    scheme = told_deployment.environment[name].split("://")[0]
    elsewhere = told_deployment.extra("live", **{name: f"{scheme}://127.0.0.1:{free_port()}/"})
    with elsewhere:  # the one role that does not wait for the broker
        answer = elsewhere.api.call("GET", "/healthz")
    assert answer.status_code == 503
    assert [found for found, said in answer.json()["checks"].items() if not said["ok"]] == [check]


@pytest.mark.parametrize("name", ["RABBITMQ_URL", "REDIS_URL"])
def test_the_embedded_server_does_not_quietly_ignore_a_service(name: str) -> None:
    scheme = "amqp" if name == "RABBITMQ_URL" else "redis"
    assert name in _refusal("standalone", Standalone(), **{name: f"{scheme}://127.0.0.1:1/"})
    assert name in _refusal("standalone", Standalone(), **{name: "http://127.0.0.1:1/"})


# ---- CORS_ALLOW_ORIGINS ---------------------------------------------------------------------------------------------

DASHBOARD, OTHER = "https://dashboard.example", "http://localhost:3000"


@pytest.mark.parametrize(
    ("setting", "granted"), [(f"{DASHBOARD},{OTHER}", {DASHBOARD, OTHER}), ("*", {DASHBOARD, OTHER, "https://x.y"})]
)
def test_cors_allow_origins_lets_pages_of_these_origins_in(setting: str, granted: set[str]) -> None:
    with Standalone(CORS_ALLOW_ORIGINS=setting) as server:
        for origin in (DASHBOARD, OTHER, "https://x.y"):
            headers = {"Origin": origin}
            answer = server.api.call("POST", "/tasks", json={"title": "x"}, headers=headers)
            asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
            preflight = server.api.call("OPTIONS", "/tasks", headers={**headers, **asked})
            allowed = {reply.headers.get("Access-Control-Allow-Origin") for reply in (answer, preflight)}
            if origin in granted:
                assert answer.status_code == 201 and allowed in ({origin}, {"*"})
                assert "PUT" in preflight.headers["Access-Control-Allow-Methods"]
                assert "content-type" in preflight.headers["Access-Control-Allow-Headers"].lower()
                assert handshake_status(server, **headers) == 101
            else:
                assert answer.status_code == 401 and allowed == {None}
                assert handshake_status(server, **headers) == 403


@pytest.mark.parametrize("origin", ["dashboard.example", "https://dashboard.example/", "https://a.example/path"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    assert "CORS_ALLOW_ORIGINS" in _refusal("standalone", Standalone(), CORS_ALLOW_ORIGINS=origin)


# ---- WORKER_PREFETCH ------------------------------------------------------------------------------------------------


@pytest.mark.services
@pytest.mark.parametrize(("prefetch", "concurrency"), [(5, 2), (7, 3)])
def test_worker_prefetch_becomes_a_multiplier(told_deployment: Deployment, prefetch: int, concurrency: int) -> None:
    def limits() -> list[int]:
        consumers = management(told_deployment, f"consumers/{told_deployment.name}")
        return [found["prefetch_count"] for found in consumers if found["queue"]["name"] == "task_created"]

    eventually(lambda: limits() == [2])
    settings = {"WORKER_PREFETCH": str(prefetch), "WORKER_CONCURRENCY": str(concurrency)}
    with told_deployment.extra("worker", **settings):
        expected = math.ceil(prefetch / concurrency) * concurrency
        eventually(lambda: sorted(limits()) == sorted([2, expected]), message=f"prefetch {expected}")
    assert told_deployment.api.wait(told_deployment.api.submit()["id"])["status"] == "DONE"


# ---- WEBHOOK_URL_FILE and the like ----------------------------------------------------------------------------------


def test_a_secret_may_come_from_a_file(tmp_path: Path, receiver: Receiver) -> None:
    port = tmp_path / "url"
    port.write_text(receiver.url("/from-file") + "\n")
    with Standalone(WEBHOOK_URL_FILE=str(port)) as server:
        task_id = server.api.submit()["id"]
        [request] = receiver.wait_for(1, where=about(task_id))
    assert request.path == "/from-file"


@pytest.mark.services
def test_a_database_address_may_come_from_a_file(told_deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(told_deployment.environment["DATABASE_URL"])
    file = {"DATABASE_URL": "", "DATABASE_URL_FILE": str(tmp_path / "url")}
    with told_deployment.extra("web", **file) as web:
        assert web.api.call("GET", "/healthz").json()["checks"]["database"]["name"] == "postgresql"


def test_a_value_and_a_file_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://127.0.0.1/")
    both = {"WEBHOOK_URL": "http://127.0.0.1/", "WEBHOOK_URL_FILE": str(tmp_path / "url")}
    assert "WEBHOOK_URL_FILE" in _refusal("standalone", Standalone(), **both)
    assert "nowhere" in _refusal("standalone", Standalone(), WEBHOOK_URL_FILE="/nowhere/at/all")


# ---- *_CONNECT_ATTEMPTS, *_CONNECT_BACKOFF --------------------------------------------------------------------------


@pytest.mark.services
@pytest.mark.parametrize("service", ["DB", "RABBITMQ"])
def test_start_up_gives_up_after_its_attempts_with_a_sentence(told_deployment: Deployment, service: str) -> None:
    url = {"DB": "DATABASE_URL", "RABBITMQ": "RABBITMQ_URL"}[service]
    scheme = {"DB": "postgresql", "RABBITMQ": "amqp"}[service]
    nobody = {url: f"{scheme}://guest:secret@127.0.0.1:{free_port()}/x"}
    patience = {f"{service}_CONNECT_ATTEMPTS": "3", f"{service}_CONNECT_BACKOFF": "0.5"}
    started = time.monotonic()
    sentence = _refusal("role web", told_deployment.extra("web"), **nobody, **patience)
    assert time.monotonic() - started >= 2 * 0.5
    assert url in sentence and "3 attempts" in sentence
    assert "secret" not in sentence


@pytest.mark.services
@pytest.mark.parametrize(("service", "role"), [("DB", "web"), ("DB", "worker"), ("RABBITMQ", "notifier")])
def test_start_up_waits_for_a_service_that_comes_late(breakable: Deployment, service: str, role: str) -> None:
    late = breakable.services.postgres if service == "DB" else breakable.services.rabbitmq
    patience = {f"{service}_CONNECT_ATTEMPTS": "200", f"{service}_CONNECT_BACKOFF": "0.2"}
    waiting = breakable.extra(role, **patience)
    late.stop()
    try:
        waiting.launch()
        eventually(lambda: waiting.printed.count("Waiting for") >= 2, message="waits")
        assert waiting.is_running()
    finally:
        late.start()
    try:
        waiting.wait_until_ready()
    finally:
        waiting.stop()
    eventually(lambda: breakable.api.call("GET", "/healthz").status_code == 200)
    assert breakable.api.wait(breakable.api.submit()["id"])["status"] == "DONE"
