"""`manage.py role flower`: the real Flower beside a real worker, and what it refuses to start with."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers import CLEAN, MANAGE, ROOT, Deployment
from tests.services.processes import PATIENCE, ManagedProcess, eventually, free_port

pytestmark = pytest.mark.anywhere

LOGIN = ("operator", "a password: with spaces")


class Flower(ManagedProcess):
    """Flower of one deployment, on a port of its own."""

    def __init__(self, deployment: Deployment) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        directory = Path(tempfile.mkdtemp(prefix="flower-", dir=deployment.directory))
        (directory / "password").write_text(LOGIN[1] + "\n")
        own = {"FLOWER_USER": LOGIN[0], "FLOWER_PASSWORD_FILE": str(directory / "password"), "FLOWER_PORT": str(port)}
        # Flower needs the broker only: it starts also while the database is away.
        nowhere = {"DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/nowhere", "DB_CONNECT_ATTEMPTS": "1"}
        super().__init__(name="flower", command=[*MANAGE, "role", "flower"], directory=directory,
                         environment={**deployment.environment, **nowhere, **own}, working_directory=ROOT)  # fmt: skip

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthcheck", timeout=10).status_code == 200
        except requests.RequestException:
            return False

    def get(self, path: str) -> Any:
        """What the API answers to whoever logged in."""
        answer = requests.get(self.url + path, auth=LOGIN, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def flower(deployment: Deployment) -> Iterator[Flower]:
    with Flower(deployment) as started:
        yield started


@pytest.mark.services
@pytest.mark.parametrize("path", ["/", "/tasks", "/broker", "/api/workers", "/api/tasks"])
def test_flower_asks_for_its_login(flower: Flower, path: str) -> None:
    url = flower.url + path
    assert requests.get(url, timeout=PATIENCE).status_code == 401
    assert requests.get(url, auth=(LOGIN[0], "a guess"), timeout=PATIENCE).status_code == 401
    assert requests.get(url, auth=LOGIN, timeout=PATIENCE).status_code == 200


@pytest.mark.services
def test_a_processed_task_appears_under_its_readable_name(flower: Flower, deployment: Deployment) -> None:
    # Workers send events only once Flower has asked them to; it says so in the list of workers it hears.
    eventually(lambda: flower.get("/api/workers?refresh=1"), message="Flower sees no worker")

    def seen() -> bool:
        task = deployment.api.submit("For Flower", payload={"message": "seen"})
        deployment.api.wait(task["task_id"])
        found = flower.get("/api/tasks?limit=1000").values()
        mine = [one for one in found if task["task_id"] in str(one["args"])]
        return any(one["name"] == "tasks_app.process_tasks" and one["state"] == "SUCCESS" for one in mine)

    eventually(seen, interval=0.5, message="the Celery task did not appear")
    names = {one["name"] for one in flower.get("/api/tasks?limit=1000").values()}
    assert all(name.startswith(("tasks_app.", "notifications.")) for name in names), names


@pytest.mark.services
def test_flower_only_looks(flower: Flower, deployment: Deployment) -> None:
    node = eventually(lambda: next(iter(flower.get("/api/workers")), ""))
    answer = requests.post(f"{flower.url}/api/worker/shutdown/{node}", auth=LOGIN, timeout=PATIENCE)
    assert answer.status_code == 403
    assert all(role.is_running() for role in deployment.roles)


@pytest.mark.services
def test_the_password_shows_in_no_list_of_processes_and_no_log(flower: Flower) -> None:
    arguments = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert LOGIN[1].encode() not in arguments
    assert LOGIN[1] not in flower.log.read_text()


@pytest.mark.parametrize(
    ("login", "sentence"),
    [
        ({}, "set FLOWER_USER and FLOWER_PASSWORD"),
        ({"FLOWER_USER": "operator"}, "set FLOWER_USER and FLOWER_PASSWORD"),
        ({"FLOWER_PASSWORD": "secret"}, "set FLOWER_USER and FLOWER_PASSWORD"),
        ({"FLOWER_USER": "operator", "FLOWER_PASSWORD": "two,words"}, "without commas"),
        ({"FLOWER_USER": "operator", "FLOWER_PASSWORD": "secret"}, "RABBITMQ_URL is not set"),
    ],
)
def test_flower_refuses_to_start_with_a_sentence(login: dict[str, str], sentence: str, tmp_path: Path) -> None:
    environment = {**CLEAN, "DATA_DIR": str(tmp_path), **login}
    done = subprocess.run(
        [*MANAGE, "role", "flower"], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
