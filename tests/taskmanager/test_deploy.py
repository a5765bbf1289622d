"""What deploy/ holds: the passwords of compose.yml, and the health check of the image. compose.yml itself needs Docker."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import CLEAN, ROOT, Deployment, Role, make_vhost
from tests.services.processes import PATIENCE, eventually, free_port

pytestmark = pytest.mark.anywhere

SECRETS = {"POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "REDIS_PASSWORD", "SECRET_KEY", "WEBHOOK_SIGNING_KEY",
           "WEBHOOK_ENCRYPTION_KEYS", "WEBHOOK_URL_SECRET", "FLOWER_PASSWORD"}  # fmt: skip


def make_secrets(directory: Path, anonymous: str = "") -> subprocess.CompletedProcess[str]:
    (directory / "deploy").mkdir(exist_ok=True)
    shutil.copy(ROOT / "deploy" / "secrets", directory / "deploy")
    environment = {**CLEAN, **({"ANONYMOUS": anonymous} if anonymous else {})}
    command = [directory / "deploy" / "secrets"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)


def read(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_secrets_are_long_all_different_and_for_nobody_else(tmp_path: Path) -> None:
    done = make_secrets(tmp_path)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    made = read(tmp_path / ".env")
    secrets = [made[name] for name in SECRETS]
    assert len(set(secrets)) == len(SECRETS)
    assert min(map(len, secrets)) >= 32
    assert not [secret for secret in secrets if secret in done.stdout + done.stderr]


def test_an_existing_env_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SECRET_KEY=mine\n")
    done = make_secrets(tmp_path)
    assert done.returncode != 0
    assert ".env exists" in done.stderr
    assert (tmp_path / ".env").read_text() == "SECRET_KEY=mine\n"


@pytest.mark.parametrize(("asked", "written"), [("", "off"), ("off", "off"), ("on", "on")])
def test_the_api_is_open_only_where_somebody_asked_for_it(tmp_path: Path, asked: str, written: str) -> None:
    assert make_secrets(tmp_path, asked).returncode == 0
    assert read(tmp_path / ".env")["ANONYMOUS_API"] == written


def test_another_word_for_open_is_refused(tmp_path: Path) -> None:
    done = make_secrets(tmp_path, "yes please")
    assert done.returncode != 0
    assert not (tmp_path / ".env").exists()


def test_the_server_takes_the_settings_that_were_made(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    made = read(tmp_path / ".env")
    urls = {
        "DATABASE_URL": f"postgresql://taskmanager:{made['POSTGRES_PASSWORD']}@db:5432/taskmanager",
        "RABBITMQ_URL": f"amqp://taskmanager:{made['RABBITMQ_PASSWORD']}@rabbitmq:5672/",
        "REDIS_URL": f"redis://:{made['REDIS_PASSWORD']}@redis:6379/0",
    }
    show = "from django.conf import settings as s; print(s.DATABASES['default']['PASSWORD'], s.SECRET_KEY)"
    environment = {**CLEAN, **made, **urls, "DJANGO_SETTINGS_MODULE": "taskmanager.settings"}
    done = subprocess.run([sys.executable, "-c", show], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == [made["POSTGRES_PASSWORD"], made["SECRET_KEY"]], done.stderr


# ---- The health check of the image -----------------------------------------------------------------------------------


def check_health(role: Role, directory: Path, **other: str) -> subprocess.CompletedProcess[str]:
    """Asks as inside the role's container, where an init and this role are all there is in /proc."""
    for number, command in (("1", b"docker-init\0--\0python\0manage.py\0role\0"), ("7", command_line(role))):
        (directory / number).mkdir(exist_ok=True)
        (directory / number / "cmdline").write_bytes(command)
    script = f"from pathlib import Path; from deploy import healthcheck; healthcheck.main(Path({str(directory)!r}))"
    environment = {**(role.environment or {}), "HOST": "0.0.0.0", **other}
    return subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True,
                          timeout=PATIENCE)  # fmt: skip


def command_line(role: Role) -> bytes:
    return Path(f"/proc/{role.pid}/cmdline").read_bytes()


@pytest.mark.services
@pytest.mark.parametrize("name", ["web", "live", "worker", "notifier"])
def test_a_role_that_answers_is_healthy(deployment: Deployment, name: str, tmp_path: Path) -> None:
    done = check_health(getattr(deployment, name), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.services
def test_a_server_under_another_name_is_asked_by_that_name(deployment: Deployment, tmp_path: Path) -> None:
    web = deployment.extra("web", ALLOWED_HOSTS=".example.org,localhost", HTTPS_ONLY="on")
    web.launch()
    try:
        eventually(lambda: check_health(web, tmp_path).returncode == 0, interval=0.5)
    finally:
        web.stop()


@pytest.mark.services
def test_a_role_that_does_not_answer_is_unhealthy(deployment: Deployment, tmp_path: Path) -> None:
    elsewhere = {"PORT": str(free_port())}
    assert check_health(deployment.web, tmp_path, **elsewhere).returncode != 0
    other_vhost = make_vhost(deployment.services, f"{deployment.name}-other")
    done = check_health(deployment.worker, tmp_path, RABBITMQ_URL=other_vhost)
    assert "does not answer" in done.stderr


def test_a_container_in_which_nothing_runs_yet_is_unhealthy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path; from deploy.healthcheck import main; main(Path({str(tmp_path)!r}))"],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip
    assert done.returncode != 0
    assert "No role runs here yet." in done.stderr
