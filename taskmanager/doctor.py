"""Asks everything that the work depends on, and says in plain words what will bite and what to do. For `manage.py doctor`."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import redis
from amqp.exceptions import NotFound, PreconditionFailed
from django.conf import settings
from django.db import close_old_connections, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Q
from django.http.request import split_domain_port, validate_host
from django.utils import timezone

from notifications import endpoints, layers, sealed, secrets, topic
from notifications.models import Delivery, Endpoint
from notifications.redis_replies import Parser
from taskmanager import capacity, health
from taskmanager.celery import app
from tasks_app import broker, clock, database, handlers, leases, quarantine, recovery
from tasks_app.models import Heartbeat, Task, TaskStatus

Level = Literal["ok", "note", "warning", "problem"]

LIMIT_SECONDS = 15.0
CLOCK_SECONDS = 2.0
SWEEP_LATE = timedelta(seconds=30)
DELIVERY_LATE = timedelta(minutes=2)
STUCK_AFTER = 30
MOST_LOOKED_AT = 1000
CONSUMER_TIMEOUT = 1800
"""Seconds, RabbitMQ's default."""
SMALL_DISK = 500 * 2**20
TOO_FEW = (
    "Whoever gets none waits, and web answers 503. Raise max_connections (or the limit of this user or database), lower "
    "WEB_WORKERS, WEB_THREADS or WORKER_CONCURRENCY, or put PgBouncer in between (docs/operating.md)."
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found. `advice` says what to do, where there is something to do."""

    check: str
    level: Level
    text: str
    advice: str = ""


def examine() -> list[Finding]:
    """Runs every check, each in a thread with a limit, so that a service that hangs is a finding, too."""
    found = []
    for check in CHECKS:
        found += _bounded(check)
    return found


def _bounded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    name = check.__name__.strip("_")
    found: list[Finding] = []

    def work() -> None:
        try:
            close_old_connections()
            found.extend(check())
        except Exception as error:  # whatever the drivers raise: an examination names it
            text = f"{type(error).__name__}: {_first_line(error)}"
            found.append(Finding(check=name, level="problem", text=text, advice=_ADVICE.get(name, "")))
        finally:
            connection.close()

    thread = threading.Thread(target=work, daemon=True, name=f"doctor-{name}")
    thread.start()
    thread.join(LIMIT_SECONDS)
    if thread.is_alive():
        text = f"No answer within {LIMIT_SECONDS:g} s."
        return [Finding(check=name, level="problem", text=text, advice=_ADVICE.get(name, ""))]
    return found


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "no reason given")


_ADVICE = {
    "database": "Is it running, and is DATABASE_URL right? Tasks cannot be taken in until it answers.",
    "broker": "Is it running, and is RABBITMQ_URL right? Tasks are taken in and wait in the database meanwhile.",
    "queues": "See the broker above.",
    "redis": "Is it running, and is REDIS_URL right? Work goes on without it; pages and /ws show no changes.",
}


# ---- Services ---------------------------------------------------------------------------------------------------------


def _database() -> Iterator[Finding]:
    connection.ensure_connection()
    before = time.monotonic()
    try:
        health.try_database()
    except health.CannotWrite as error:
        yield Finding(check="database", level="problem", text=f"{connection.vendor} cannot write: {_first_line(error)}",
                      advice="Is it a standby, is default_transaction_read_only on, is its disk full, may this user write? "
                             "Nothing is taken in until it can; work that runs waits for it.")  # fmt: skip
    else:
        milliseconds = (time.monotonic() - before) * 1000
        yield Finding(check="database", level="ok", text=f"{connection.vendor} writes in {milliseconds:.0f} ms.")
    executor = MigrationExecutor(connection)
    if missing := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        names = ", ".join(f"{step.app_label}.{step.name}" for step, _ in missing[:3])
        yield Finding(check="database", level="problem", text=f"{len(missing)} migrations are missing: {names}.",
                      advice="Run manage.py migrate before new code starts.")  # fmt: skip
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA quick_check(1)")
            said = cursor.fetchone()[0]
        if said != "ok":
            yield Finding(check="database", level="problem", text=f"SQLite finds its file damaged: {said}.",
                          advice="Stop the server, keep a copy, and restore a backup (docs/operating.md).")  # fmt: skip


def _clocks() -> Iterator[Finding]:
    if connection.vendor != "postgresql":
        return
    here = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        there: datetime = cursor.fetchone()[0]
    apart = abs((there - here).total_seconds())
    text = f"This machine and the database are {apart:.1f} s apart."
    if apart <= CLOCK_SECONDS:
        yield Finding(check="clocks", level="ok", text=text)
        return
    level: Level = "problem" if apart > settings.LEASE_SECONDS / 3 else "warning"
    advice = (
        "Start a time service (chrony, systemd-timesyncd) on every host: leases, start times and webhook signatures "
        "compare clocks."
    )
    yield Finding(check="clocks", level=level, text=text, advice=advice)


def _connections() -> Iterator[Finding]:
    if connection.vendor != "postgresql":
        return
    by_role = capacity.most()
    wanted, each = sum(by_role.values()), ", ".join(f"{role} {number}" for role, number in by_role.items())
    text = f"One of each role takes {wanted} at most ({each})"
    try:
        limit = capacity.available()
    except database.AWAY as error:
        text = f"{text}; there is none for doctor: {_first_line(error)}"
        yield Finding(check="connections", level="problem", text=text, advice=TOO_FEW)
        return
    if limit is None:
        yield Finding(check="connections", level="ok", text=f"{text}; this is a pooler, and its limits count.")
    elif wanted > limit:
        yield Finding(check="connections", level="warning", text=f"{text}; {limit} are allowed.", advice=TOO_FEW)
    else:
        yield Finding(check="connections", level="ok", text=f"{text}; {limit} are allowed.")


def _broker() -> Iterator[Finding]:
    broker.try_out()
    if not broker.has_dead_letters():
        yield Finding(check="broker", level="ok", text="In-process: messages end with the server, tasks do not.")
        return
    with broker.connect() as link:
        properties: dict[str, Any] = link.connection.server_properties
        product, version = properties.get("product", "broker"), properties.get("version", "?")
        yield Finding(check="broker", level="ok", text=f"{product} {version} takes messages.")


def _queues() -> Iterator[Finding]:
    """Declares each queue as we would: RabbitMQ refuses where the one it has is another."""
    if not broker.has_dead_letters():
        return
    with broker.connect() as link:
        for queue in (*broker.work_queues().values(), broker.FAILED, topic.UPDATED):
            name = f"Queue {queue.name}"
            try:
                found: Any = queue(link.channel()).queue_declare(passive=True)
            except NotFound:
                advice = "A role declares it when it starts, and so does the next task; nothing is lost."
                yield Finding(check="queues", level="warning", text=f"{name} does not exist.", advice=advice)
                continue
            try:
                queue(link.channel()).queue_declare()
            except PreconditionFailed as error:
                advice = (
                    "Arguments never change under a name. Stop the workers, let the queue run empty, delete it in RabbitMQ "
                    "and start a worker: the sweep sends again what waits."
                )
                text = f"{name} was declared with other arguments: {error.reply_text}"
                yield Finding(check="queues", level="problem", text=text, advice=advice)
                continue
            text = f"{name}: {found.message_count} messages, {found.consumer_count} consumers."
            if queue.name in broker.work_queues() and not found.consumer_count:
                role = "worker" if queue.name == "task_created" else "notifier"
                advice = f"Start one: manage.py role {role}. What is due waits in the database."
                yield Finding(check="queues", level="problem", text=f"{text} Nobody listens.", advice=advice)
            else:
                yield Finding(check="queues", level="ok", text=text)


def _redis() -> Iterator[Finding]:
    if not settings.REDIS_URL:
        yield Finding(check="redis", level="ok", text="Not used: live updates stay inside the server.")
        return
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2, parser_class=Parser
    ) as client:
        layers.current().try_out()
        yield Finding(check="redis", level="ok", text=f"Redis {client.info('server')['redis_version']} takes messages.")


# ---- Those who work ---------------------------------------------------------------------------------------------------


def _workers() -> Iterator[Finding]:
    if broker.has_dead_letters():
        names = sorted(name for answer in app.control.ping(timeout=2.0) or [] for name in answer)
        text = f"{len(names)} answer: {', '.join(names)}." if names else "No worker and no notifier answers a ping."
        yield Finding(check="workers", level="ok" if names else "problem", text=text,
                      advice="" if names else "Start them: manage.py role worker, manage.py role notifier.")  # fmt: skip
    now, slack = clock.now(), timedelta(seconds=settings.GRACE_SECONDS + STUCK_AFTER)
    running = Task.objects.filter(status=TaskStatus.PROCESSING, lease_expires_at__gt=now, started_at__lt=now - slack)
    for task in running.order_by("started_at")[:MOST_LOOKED_AT]:
        if task.started_at and now - task.started_at > timedelta(seconds=task.timeout) + slack:
            text = f"Worker {task.worker} is stuck on task {task.pk} ({task.kind}): its time was over long ago."
            advice = "Restart that worker: what it holds is taken back."
            yield Finding(check="workers", level="problem", text=text, advice=advice)


def _sweep() -> Iterator[Finding]:
    sign = Heartbeat.objects.filter(name=leases.SWEEP).first()
    advice = "The sweep runs in every notifier (and in standalone): start one."
    if sign is None:
        yield Finding(check="sweep", level="problem", text="The sweep never ran.", advice=advice)
        return
    ago = clock.now() - sign.at
    text = f"The sweep ran {max(0, ago.total_seconds()):.0f} s ago, by {sign.by}."
    late = ago > SWEEP_LATE
    yield Finding(check="sweep", level="problem" if late else "ok", text=text, advice=advice if late else "")


# ---- What waits -------------------------------------------------------------------------------------------------------


def _tasks() -> Iterator[Finding]:
    lost = recovery.unaccounted()
    advice = "The sweep should have set them moving: see sweep, broker and the log of the notifier."
    yield Finding(check="unaccounted", level="problem" if lost else "ok",
                  text=f"{lost} tasks are unaccounted for.", advice=advice if lost else "")  # fmt: skip
    known = set(handlers.kinds())
    waiting = Task.objects.due(clock.now()).order_by().values_list("kind").annotate(Count("pk"))
    for kind, number in waiting:
        if kind not in known:
            advice = "Deploy the app that has its handler to the workers (EXTRA_APPS), or cancel these tasks."
            text = f"{number} waiting tasks are of kind {kind!r}, which this code does not know."
            yield Finding(check="tasks", level="warning", text=text, advice=advice)


def _quarantine() -> Iterator[Finding]:
    held = quarantine.held()
    advice = (
        "Look at them in the admin under Quarantined messages; release or discard each. No task failed because of them."
    )
    yield Finding(check="quarantine", level="warning" if held else "ok",
                  text=f"{held} messages are held.", advice=advice if held else "")  # fmt: skip


def _webhooks() -> Iterator[Finding]:
    now = clock.now()
    numbers = Delivery.objects.aggregate(
        late=Count("pk", filter=Q(status=Delivery.Status.PENDING, next_attempt_at__lt=now - DELIVERY_LATE)),
        lost=Count("pk", filter=Q(status=Delivery.Status.SENDING, lease_expires_at__lt=now - DELIVERY_LATE)),
    )
    overdue = numbers["late"] + numbers["lost"]
    advice = (
        "Start another notifier, or raise NOTIFIER_CONCURRENCY; a receiver that hangs holds one thread. "
        "Or one receiver is too slow for what it is told: see its page."
    )
    yield Finding(check="webhooks", level="problem" if overdue else "ok",
                  text=f"{overdue} deliveries are overdue by over {DELIVERY_LATE.seconds // 60} min.",
                  advice=advice if overdue else "")  # fmt: skip


def _endpoints() -> Iterator[Finding]:
    own = endpoints.own()
    sealed_one = own.exclude(secrets="").order_by("pk").first()
    try:
        if sealed_one is not None:
            secrets.read(sealed_one)
    except sealed.CannotUnseal as error:
        yield Finding(check="endpoints", level="problem", text=f"Webhook endpoints cannot be told anything: {error}",
                      advice="Add the key they were made with to WEBHOOK_ENCRYPTION_KEYS, or set SECRET_KEY back.")  # fmt: skip
        return
    disabled = own.filter(state=Endpoint.State.DISABLED).count()
    failing = own.filter(state=Endpoint.State.ENABLED, notices__gt=0).count()
    advice = "Their owners were told; the pages about webhooks say why. What happens meanwhile is held."
    yield Finding(check="endpoints", level="note" if disabled or failing else "ok",
                  text=f"{own.count()} webhook endpoints, {disabled} of them disabled, {failing} failing for over a day.",
                  advice=advice if disabled or failing else "")  # fmt: skip


# ---- Settings that bite later -------------------------------------------------------------------------------------------


def _address() -> Iterator[Finding]:
    """A proxy that changes the Host, or drops its port, is seen by browsers only: their Origin is then a stranger's."""
    if not settings.PUBLIC_ORIGIN:
        if broker.has_dead_letters():
            yield Finding(
                check="address", level="note",
                text="PUBLIC_URL is not set: webhooks have no links, and behind a proxy that does not pass the Host with its "
                     "port, browsers are refused sockets and forms.",
                advice="PUBLIC_URL=https://… as people type it.",
            )  # fmt: skip
        return
    host, _ = split_domain_port(settings.PUBLIC_ORIGIN.partition("://")[2])
    if not validate_host(host, settings.ALLOWED_HOSTS):
        text = f"PUBLIC_URL names {host}, which is not among ALLOWED_HOSTS: requests under that name are refused (400)."
        yield Finding(check="address", level="warning", text=text, advice=f"Add it: ALLOWED_HOSTS={host},…")


def _limits() -> Iterator[Finding]:
    if broker.has_dead_letters():
        longest = max((handlers.get(kind).timeout, kind) for kind in handlers.kinds())  # type: ignore[union-attr]
        if longest[0] > CONSUMER_TIMEOUT:
            yield Finding(
                check="consumer timeout", level="note",
                text=f"Kind {longest[1]!r} may run {longest[0]} s. RabbitMQ disconnects a worker that keeps a message over "
                     f"{CONSUMER_TIMEOUT} s, unless told otherwise; the work goes on, but the worker reconnects.",
                advice=f"In rabbitmq.conf: consumer_timeout = {(longest[0] + 600) * 1000}",
            )  # fmt: skip
        return
    yield Finding(
        check="threads", level="note",
        text="Handlers run in threads of the server: one that does not heed a stop is fenced, but goes on until it ends; "
             "one that kills the process or eats all memory takes the server with it.",
        advice="Handlers that you do not trust belong on the production roles, where each runs in a process of its own.",
    )  # fmt: skip
    free = shutil.disk_usage(settings.DATA_DIR).free if settings.DATA_DIR.exists() else SMALL_DISK
    if connection.vendor == "sqlite" and free < SMALL_DISK:
        text = f"{free // 2**20} MiB are free for {settings.DATA_DIR}. When it is full, no task can be taken in or end."
        yield Finding(check="disk", level="warning", text=text, advice="Make room, or move it: DATA_DIR=…")


CHECKS: list[Callable[[], Iterator[Finding]]] = [
    _database, _connections, _clocks, _broker, _queues, _redis, _workers, _sweep, _tasks, _quarantine, _webhooks,
    _endpoints, _address, _limits,
]  # fmt: skip
