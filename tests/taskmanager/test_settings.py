"""Every setting is read at start: what makes no sense is refused in one sentence, and what is taken works."""

import os
import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import kombu
import pytest
import redis
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifications import checks
from notifications.targets import EgressPolicy
from taskmanager import env, process
from tests.servers import CLEAN, MANAGE, ROOT

SECRET = "hunter2"
WEBHOOK_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
SOUND = {
    "SECRET_KEY": "a key for tests only, " + "x" * 50,
    "WEBHOOK_SIGNING_KEY": "a signing key for tests only",
    "WEBHOOK_URL_SECRET": WEBHOOK_SECRET,
}


def load(directory: Path, **environment: str) -> dict[str, Any]:
    """All that a process does with the environment `environment` when it starts, in this one. Raises ImproperlyConfigured."""
    given = {"DATA_DIR": str(directory), **SOUND, **environment}
    with mock.patch.dict(os.environ, given, clear=True):
        found = runpy.run_path(str(ROOT / "taskmanager" / "settings.py"))
    process.try_apps(found["INSTALLED_APPS"], extra=found["EXTRA_APPS"])
    with override_settings(**{name: value for name, value in found.items() if name.startswith("WEBHOOK_")}):
        checks.refuse_errors()
    return found


def names_of_the_readme() -> set[str]:
    table = (ROOT / "README.md").read_text().split("\n## Settings\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[A-Z].*?) \|", table, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"[A-Z][A-Z0-9_]+", row)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


NAMES = sorted(names_of_the_readme())


def test_the_table_of_the_readme_names_every_setting_and_no_other(directory: Path) -> None:
    env.known.clear()
    load(directory)
    assert env.known - {"ROLE"} == names_of_the_readme()


# ---- Nonsense --------------------------------------------------------------------------------------------------------

GOOD = [
    "on", "8000", "0.5", "task.*", "80,443", "localhost", "::1", "[::1]", "tasks.example.org", "*", "a@example.org",
    f"https://example.org/{SECRET}", "http://localhost:3000", "10.0.0.0/8,fd00::/8:443", "tests.bad_handlers",
    f"postgresql://user:{SECRET}@host:5432/name", f"amqp://user:{SECRET}@host:5672/vhost",
    f"redis://:{SECRET}@host:6379/0", "unix:///run/redis.sock?db=1", WEBHOOK_SECRET, "/tmp", "web",
]  # fmt: skip
BAD = [
    "1_000", "٣", "१", "²", "1e400", "nan", "inf", "-inf", "-0", "0x10", "1" * 5000, "9" * 30, "+", ".", "1.", "true false",
    "None", "null", "undefined", "{}", "[]", '""', "''", '"8000"', "${PORT}", "<PORT>", ",", ",,", ";", "a,,b", "a, b c",
    "my_host", "http://host", "host:80", "example.org.", ".example.org", "*.example.org", "-x", "x" * 300, "münchen.example",
    "10.0.0.1/8", "10.0.0.0/99", "::ffff:10.0.0.0/104", "10.0.0.0/8:99999", "300.1.1.1", "[::1", "::1]", "fe80::1%eth0",
    "tcp://10.0.0.1:6379", "udp://[fd00::1]:53", "file:///etc/passwd", "javascript:alert(1)", "//host", "host/path",
    f"https://user:{SECRET}@host/", f"https://host:99999/{SECRET}", f"https://host:٣/{SECRET}", f"https://ho st/{SECRET}",
    f"https://host/#{SECRET}", f"https://host/?{SECRET}", "https://", "https://host\\path", "HTTPS://HOST", "https://[::1",
    f"amqp://user:{SECRET}#x@host/", f"amqp://user:{SECRET}/x@host/", f"amqp://user:{SECRET}%zz@host", f"amqp:///{SECRET}",
    f"amqp://u:{SECRET}@host:0/", f"amqp://u:{SECRET}@host/a%00b", f"amqp://u:{SECRET}@host?heartbeat=1", "amqp://a;amqp://",
    f"redis://:{SECRET}@host/zero", f"redis://:{SECRET}@host/0?db=x", f"redis://:{SECRET}@host/?nonsense=1", "unix://",
    f"redis://:{SECRET}@host/-1", f"rediss://:{SECRET}@host/0?ssl_cert_reqs=perhaps", "unix://host/path", "redis://host/1/2",
    f"postgresql://u:{SECRET}@host:x/name", f"postgresql://u:{SECRET}@host", f"postgresql://u:{SECRET}@h/n?sslmode=perhaps",
    f"postgresql://u:{SECRET}@h/n?nonsense=1", f"postgresql://u:{SECRET}#@h/n", f"postgresql://u:{SECRET}@h/n%00", "mysql://x",
    f"postgresql://u:{SECRET}@a,b:1,c:x/n", f"postgresql://u:{SECRET}@h/n?connect_timeout=soon", "sqlite://", "postgres:",
    "nowhere.at.all", "os", "tests.taskmanager", "tasks_app", "1.2", "a-b", "django.contrib.auth", "tests..x", ".tests",
    "a@", "@b", "a@b@c", "A <a@b", "a b@c.d", "/dev/null", "/dev/null/x", "/proc/x", "x/" * 3000, "\x7f", "a\tb", "a\nb",
    "a\u2028b", "a\u00a0b", "\ufeffa", "a\u202eb", "\udcff", "ａ", "́",
]  # fmt: skip
_character = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
nonsense = st.one_of(
    st.sampled_from(BAD),
    st.text(_character, max_size=20),
    st.builds(
        lambda good, at, thing: good[: at % (len(good) + 1)] + thing + good[at % (len(good) + 1) :],
        st.sampled_from(GOOD), st.integers(0, 60), st.text(_character, min_size=1, max_size=3) | st.sampled_from(BAD),
    ),
    st.builds(lambda good, at: good[: at % len(good)], st.sampled_from(GOOD), st.integers(0, 60)),
    st.builds(lambda good, quote: quote + good + quote, st.sampled_from(GOOD), st.sampled_from(["'", '"', " ", "%"])),
)  # fmt: skip


def _works_as_hosts(found: dict[str, Any]) -> None:
    for host in found["ALLOWED_HOSTS"]:
        with override_settings(ALLOWED_HOSTS=found["ALLOWED_HOSTS"]):
            name = {"*": "any.example"}.get(host, f"x{host}" if host.startswith(".") else host)
            assert RequestFactory().get("/", headers={"host": name}).get_host() == name


def _works_as_origins(found: dict[str, Any]) -> None:
    for origin in found["CORS_ALLOWED_ORIGINS"]:
        assert origin == origin.lower() and re.fullmatch(r"[^/]+://[^/@]+", origin)


def _works_as_broker(found: dict[str, Any]) -> None:
    if found["RABBITMQ_URL"]:
        assert kombu.Connection(found["RABBITMQ_URL"]).as_uri()


def _works_as_redis(found: dict[str, Any]) -> None:
    if found["REDIS_URL"]:
        redis.Redis.from_url(found["REDIS_URL"]).connection_pool.make_connection()
        pool: Any = redis.asyncio.ConnectionPool.from_url(found["REDIS_URL"])
        pool.make_connection()


def _works_as_rules(found: dict[str, Any]) -> None:
    EgressPolicy.from_settings(
        mock.Mock(**{name: value for name, value in found.items() if name.startswith("WEBHOOK_")})
    )


WORKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "ALLOWED_HOSTS": _works_as_hosts,
    "CORS_ALLOW_ORIGINS": _works_as_origins,
    "RABBITMQ_URL": _works_as_broker,
    "REDIS_URL": _works_as_redis,
    "WEBHOOK_ALLOWED_NETWORKS": _works_as_rules,
    "WEBHOOK_URL": _works_as_rules,
    "WEBHOOK_DENIED_HOSTS": _works_as_rules,
    "WEBHOOK_PORTS": _works_as_rules,
}
HOLDS_SECRETS = re.compile(r"URL|SECRET|KEY|PASSWORD|LINK")


def assert_is_one_sentence(sentence: str, name: str) -> None:
    assert name in sentence or (name, "DATABASE_URL" in sentence) == ("DB_URL", True)
    assert sentence.strip() and len(sentence) < 600
    if HOLDS_SECRETS.search(name):
        assert SECRET not in sentence


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(value=nonsense)
def test_nonsense_is_taken_and_works_or_is_refused_in_a_sentence(name: str, value: str, directory: Path) -> None:
    try:
        found = load(directory, **{name: value})
    except ImproperlyConfigured as error:
        assert_is_one_sentence(" ".join(str(error).split()), name)
    else:
        if name in WORKS:
            WORKS[name](found)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [b"a\0b", b"\xff\xfe", b"a\r\nb", b"\n"])
def test_so_it_is_in_a_file(name: str, content: bytes, directory: Path, tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(content)
    environment = {name: "", f"{name}_FILE": str(tmp_path / "value")}
    try:
        load(directory, **environment)
    except ImproperlyConfigured as error:
        assert_is_one_sentence(" ".join(str(error).split()), name)
    else:
        assert not content.strip()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_written_by_windows_is_read(name: str, directory: Path, tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(b"\xef\xbb\xbf" + b" \r\n")
    load(directory, **({name: "", f"{name}_FILE": str(tmp_path / "value")}))


# ---- From outside ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("check", "WEBHOOK_URL", f"https://user:{SECRET}@receiver.example/"),
        ("standalone", "WEBHOOK_URL", "http://169.254.169.254/"),
        ("role web", "WEBHOOK_ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("role live", "ALLOWED_HOSTS", "https://tasks.example.org"),
        ("role worker", "EXTRA_APPS", "nowhere.at.all"),
        ("role notifier", "FLOWER_PORT", "five"),
        ("role flower", "WEB_WORKERS", "many"),
        ("doctor", "WEBHOOK_EVENTS", "task.nonsense"),
        ("migrate", "RABBITMQ_URL", f"amqp://user:{SECRET}#x@host/"),
        ("createsuperuser --no-input", "EXTRA_APPS", "tasks_app"),
        ("wait_for_services", "SECRET_KEY_FILE", "/nowhere"),
    ],
)
def test_every_command_refuses_in_one_line(command: str, name: str, value: str, tmp_path: Path) -> None:
    environment = {**CLEAN, "DATA_DIR": str(tmp_path), name: value}
    done = subprocess.run([*MANAGE, *command.split()], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and done.stdout == ""
    assert name in done.stderr and len(done.stderr.splitlines()) == 1
    assert SECRET not in done.stderr


@pytest.mark.parametrize("password", ["a#b", "a/b", "a?b", "a:b/", "a%b", "a b", "[a", "100%"])
@pytest.mark.parametrize("name", ["RABBITMQ_URL", "REDIS_URL"])
def test_a_password_that_is_not_encoded_gets_the_hint_to_encode_it(name: str, password: str, directory: Path) -> None:
    scheme = "amqp" if name == "RABBITMQ_URL" else "redis"
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} .*%.*%25") as refusal:
        load(directory, **{name: f"{scheme}://user:{password}@host:1234/0"})
    assert password not in str(refusal.value)


# ---- What Kubernetes sets ------------------------------------------------------------------------------------------------

PORTS = {"PORT": 8000, "API_PORT": 8000, "FLOWER_PORT": 5555, "EMAIL_PORT": 25}


@pytest.mark.parametrize(
    "link", ["tcp://10.96.0.1:6379", "udp://10.96.0.1:53", "tcp://[fd00::1]:80", "sctp://10.0.0.1:1"]
)
@pytest.mark.parametrize("name", PORTS)
def test_the_link_to_a_service_of_that_name_is_no_port(name: str, link: str, directory: Path) -> None:
    env.ignored.clear()
    found = load(directory, **{name: link})
    assert found["PORT" if name == "API_PORT" else name] == PORTS[name]
    assert all(name in sentence and link in sentence for sentence in env.ignored) and env.ignored


def test_beside_such_a_link_the_other_name_of_the_port_counts(directory: Path) -> None:
    assert load(directory, API_PORT="tcp://10.96.0.1:80", PORT="8001")["PORT"] == 8001
    with pytest.raises(ImproperlyConfigured, match="PORT='tcp://'"):
        load(directory, PORT="tcp://")


def test_an_ignored_value_is_one_line_and_the_command_goes_on(tmp_path: Path) -> None:
    environment = {**CLEAN, "DATA_DIR": str(tmp_path), "FLOWER_PORT": "tcp://10.96.0.1:5555"}
    done = subprocess.run([*MANAGE, "check"], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1 and "FLOWER_PORT='tcp://10.96.0.1:5555' is ignored" in done.stderr
