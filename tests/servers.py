"""The product as users run it: as processes, over its own commands. Everything in a directory and on ports of its own."""

import os
import re
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import requests

from tests.services.postgres import Postgres
from tests.services.processes import PATIENCE, ManagedProcess, eventually, free_port
from tests.services.receiver import Receiver
from tests.services.stack import Services

ROOT = Path(__file__).resolve().parent.parent
MANAGE = [sys.executable, str(ROOT / "manage.py")]
# What the surrounding run was told must not leak into a server under test.
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "CI", "USER")
}


MIGRATED = "migrated"
"""The database of a test server that deployments copy: all migrations, and nothing else in it."""

ADMIN = {"username": "admin", "password": "a long one for tests"}

# Of the default receiver: `whsec_` and 32 bytes in base64, as Standard Webhooks has it.
WEBHOOK_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def told(receiver: Receiver) -> dict[str, str]:
    """Settings of a server that tells this receiver, and whose handlers include those of tests/bad_handlers."""
    return {
        "WEBHOOK_URL": receiver.url("/hook"),
        "WEBHOOK_URL_SECRET": WEBHOOK_SECRET,
        "EXTRA_APPS": "tests.bad_handlers",
    }


class Gate:
    """Holds tasks of the kind `held` (tests/bad_handlers) until it is opened."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def order(self) -> dict[str, Any]:
        """What to submit for a task that runs until then."""
        return {"kind": "held", "payload": {"until": str(self._file)}}

    def open(self) -> None:
        self._file.touch()


class Api:
    """A client of one server: `requests` with the base URL. `call` never raises for a status."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._suffix = ""
        self.session = requests.Session()
        self.session.trust_env = False

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + path, **{"timeout": PATIENCE, **options})

    def cookie(self, name: str) -> str:
        """What this server calls its cookie `sessionid` or `csrftoken`: each has names of its own."""
        if not self._suffix:
            found = requests.get(f"{self.url}/login/", timeout=20).cookies.keys()
            self._suffix = next(one for one in found if "csrftoken" in one).partition("csrftoken")[2]
        return name + self._suffix

    def submit(self, title: str = "A task", **fields: Any) -> dict[str, Any]:
        answer = self.call("POST", "/tasks", json={"title": title, **fields})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def task(self, task_id: str) -> dict[str, Any]:
        answer = self.call("GET", f"/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait(self, task_id: str, *, status: str | None = None) -> dict[str, Any]:
        """The task once it is finished, or has `status`."""

        def reached() -> dict[str, Any]:
            task = self.task(task_id)
            wanted = task["status"] in ("DONE", "FAILED", "CANCELLED") if status is None else task["status"] == status
            return task if wanted else {}

        return eventually(reached, message=f"task {task_id} did not reach {status or 'its end'}")

    def all(self) -> list[dict[str, Any]]:
        """Every task, over all pages."""
        found, path = [], "/tasks"
        while path:
            body = self.call("GET", path).json()
            found += body["tasks"]
            path = (body["next"] or "").removeprefix(self.url)
        return found


class Standalone(ManagedProcess):
    """`manage.py standalone` on a data directory of its own."""

    def __init__(self, directory: Path | None = None, /, **environment: str) -> None:
        self.directory = directory or Path(tempfile.mkdtemp(prefix="taskmanager-standalone-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"
        self.api = Api(self.url)
        own = {"PORT": str(self.port), "DATA_DIR": str(self.directory / "data"), **environment}
        super().__init__(
            name="standalone",
            command=[*MANAGE, "standalone"],
            directory=self.directory,
            environment={**CLEAN, **own},
            working_directory=ROOT,
        )

    def is_ready(self) -> bool:
        return _answers(f"{self.url}/livez")

    @property
    def password(self) -> str:
        """Of the administrator that the first start made."""
        found = re.search(r"password: (\S+)", self.log.read_text())
        assert found, "no password was printed"
        return found.group(1)


class Role(ManagedProcess):
    """`manage.py role NAME`. With a port it serves `url` and `ws_url`."""

    def __init__(self, name: str, directory: Path, environment: dict[str, str], *, port: int = 0) -> None:
        self.port = port
        self.url, self.ws_url = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
        self.api = Api(self.url)
        self._log_start = 0
        super().__init__(name=name, command=[*MANAGE, "role", name], directory=directory, environment=environment,
                         working_directory=ROOT)  # fmt: skip

    def launch(self) -> None:
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        super().launch()

    def is_ready(self) -> bool:
        return _answers(f"{self.url}/livez") if self.port else " ready." in self.printed

    @property
    def printed(self) -> str:
        """What it printed since its latest start."""
        return self.log.read_bytes()[self._log_start :].decode(errors="replace") if self.log.exists() else ""


class Deployment:
    """The production roles on real services: web, live, worker, notifier, with a database and a vhost of their own."""

    def __init__(self, services: Services, **environment: str) -> None:
        self.services = services
        self.name = f"t{uuid.uuid4().hex[:12]}"
        self.directory = Path(tempfile.mkdtemp(prefix="taskmanager-deployment-"))
        services.postgres.create_database(self.name)
        self.broker_url = make_vhost(services, self.name)
        web_port, live_port = free_port(), free_port()
        self.environment = {
            **CLEAN, **services.environment(self.name), "RABBITMQ_URL": self.broker_url,
            "SECRET_KEY": uuid.uuid4().hex * 2, "WEBHOOK_SIGNING_KEY": uuid.uuid4().hex, "ANONYMOUS_API": "on",
            "WORKER_CONCURRENCY": "2", "NOTIFIER_CONCURRENCY": "8", "WEB_WORKERS": "1", **environment,
        }  # fmt: skip
        self.url, self.ws_url = f"http://127.0.0.1:{web_port}", f"ws://127.0.0.1:{live_port}"
        self.api = Api(self.url)
        self.web = self._role("web", port=web_port)
        self.live = self._role("live", port=live_port)
        self.worker = self._role("worker")
        self.notifier = self._role("notifier")

    def extra(self, name: str, **environment: str) -> Role:
        """One more process of a role, with other settings. Not started; whoever starts it stops it."""
        role = self._role(name, port=free_port() if name in ("web", "live") else 0, **environment)
        if not role.port:  # Celery wants nodes of one machine to have different names
            role.command += ["--", "-n", f"{name}-{uuid.uuid4().hex[:6]}@%h"]
        return role

    def _role(self, name: str, *, port: int = 0, **other: str) -> Role:
        directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.directory))
        own = {"DATA_DIR": str(directory), **({"PORT": str(port)} if port else {})}
        return Role(name, directory, {**self.environment, **own, **other}, port=port)

    @property
    def roles(self) -> tuple[Role, ...]:
        return self.web, self.live, self.worker, self.notifier

    def manage(self, *arguments: str) -> str:
        """Runs a management command and returns what it printed."""
        import subprocess

        done = subprocess.run(
            [*MANAGE, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> None:
        self._migrate()
        for role in self.roles:
            role.launch()
        for role in self.roles:
            role.wait_until_ready()

    def _migrate(self) -> None:
        """As `migrate` does. On one and the same server only the first takes its seconds; those after it get a copy."""
        postgres = self.services.postgres
        # A server of another sort, or another way to it, makes its databases as its tests want them.
        if type(postgres) is not Postgres or self.environment["DATABASE_URL"] != postgres.url(self.name):
            self.manage("migrate", "--verbosity", "0")
            return
        if not postgres.has_migrated:
            self.manage("migrate", "--verbosity", "0")
            postgres.create_database(MIGRATED, template=self.name)
            postgres.has_migrated = True
            return
        postgres.drop_database(self.name)
        postgres.create_database(self.name, template=MIGRATED)

    def stop(self) -> None:
        for role in self.roles:
            role.stop()
        self.services.postgres.drop_database(self.name)

    def __enter__(self) -> "Deployment":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def make_vhost(services: Services, name: str) -> str:
    """A RabbitMQ of one's own, as far as queues go; returns its URL."""
    answer = requests.put(
        f"{services.rabbitmq.management_url}/api/vhosts/{name}", auth=("guest", "guest"), timeout=PATIENCE
    )
    answer.raise_for_status()
    return services.rabbitmq.url.rsplit("/", 2)[0].rstrip("/") + f"/{name}"


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).status_code == 200
    except requests.RequestException:
        return False
