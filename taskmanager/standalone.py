"""The embedded default: pages, API, admin, sockets, workers and sweep in one process. It differs by settings alone.

Order of the start: lock the data directory, try the port, migrate, take back what the last process left, then workers,
sweep, server. Ctrl-C: the server stops, running tasks get a moment, and what is left is taken up at the next start.
"""

import fcntl
import logging
import os
import secrets
import socket
import threading
import time
from typing import IO, Any

from celery.worker import WorkController
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from notifications import recovery as webhook_recovery
from taskmanager import startup, sweeper
from taskmanager.celery import app
from tasks_app import clock, recovery, shutdown
from tasks_app.background import flush_all

logger = logging.getLogger(__name__)

STOP_SECONDS = 2.0
READY_SECONDS = 15
QUEUES = {"task_created": 0, "task_completed": 8}
"""Queue → threads; 0: as many as the command line says. Webhooks have threads of their own."""


class CannotStart(Exception):
    """A sentence for the person who typed the command."""


def run(*, threads: int) -> None:
    """Runs until SIGINT or SIGTERM; then ends the process."""
    if settings.ROLE != "standalone":
        raise CannotStart("ROLE is set to something else: start standalone with ROLE unset.")
    if settings.RABBITMQ_URL or settings.REDIS_URL:
        raise CannotStart(
            "standalone has broker and live updates inside, but RABBITMQ_URL or REDIS_URL is set. Unset them, or run the "
            "production roles instead: manage.py role web, live, worker, notifier (README, In production)."
        )
    startup.raise_file_limit()
    lock = _lock_data()
    _try_port()
    print(f"Preparing {settings.DATA_DIR} …", flush=True)
    call_command("migrate", interactive=False, verbosity=0)
    password = _make_admin()
    _take_back()
    workers = [_worker(queue, size or threads) for queue, size in QUEUES.items()]
    sweep = sweeper.Sweeper()
    sweep.start()
    try:
        _serve(password=password)
    finally:
        sweep.stop()
        flush_all(timeout=0.2)
        _wait_for_workers(workers)
        connection.close()
        logging.shutdown()
        lock.close()
        os._exit(0)  # the interpreter would wait for the pools' threads, however long their tasks take


def _lock_data() -> IO[str]:
    try:
        settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (settings.DATA_DIR / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise CannotStart(f"DATA_DIR={settings.DATA_DIR} cannot be written: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        raise CannotStart(
            f"Another server (process {holder}) is using the data in {settings.DATA_DIR}. "
            "Stop it first, or give this one a directory of its own: DATA_DIR=…"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _try_port() -> None:
    # daphne alone would log a taken port and exit with status 0.
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, settings.PORT))
        except OSError as error:
            raise CannotStart(
                f"Cannot listen on {settings.HOST}:{settings.PORT}: {error.strerror}. Choose another port: PORT=…"
            ) from error


def _make_admin() -> str:
    """The first start makes an administrator; returns the password, which is stored nowhere in clear."""
    if User.objects.filter(is_superuser=True).exists():
        return ""
    password = secrets.token_urlsafe(12)
    User.objects.create_superuser("admin", password=password)
    return password


def _take_back() -> None:
    """The last process is gone, and its queues with it. Its leases too, if the database lies in the locked directory."""
    now = clock.now()
    if settings.EMBEDDED_DATABASE:
        recovery.expire_leases(now=now)
        webhook_recovery.expire_leases(now=now)
    recovery.forget_published(now=now)
    webhook_recovery.forget_woken()


def _worker(queue: str, threads: int) -> threading.Thread:
    ready = threading.Event()
    worker = WorkController(
        app=app, hostname=f"{queue}@standalone", pool="threads", concurrency=threads, queues=[queue], without_gossip=True,
        without_mingle=True, without_heartbeat=True, ready_callback=lambda consumer: ready.set(),
    )  # fmt: skip
    thread = threading.Thread(target=worker.start, name=queue, daemon=True)
    thread.start()
    if not ready.wait(READY_SECONDS):
        raise CannotStart(f"The worker for {queue} did not start within {READY_SECONDS} s.")
    return thread


def _serve(*, password: str) -> None:
    from daphne.endpoints import build_endpoint_description_strings
    from twisted.internet import reactor

    from taskmanager.asgi import application
    from taskmanager.daphne import Server

    def stop_workers(*_: object) -> None:
        shutdown.request()
        # Setting worker.state.should_stop costs two seconds each time: the consumer sleeps. A message wakes it.
        app.control.shutdown(destination=[f"{queue}@standalone" for queue in QUEUES])

    trigger: Any = reactor  # its types do not know the method
    trigger.addSystemEventTrigger("before", "shutdown", stop_workers)
    Server(
        application=application, ping_interval=10, ping_timeout=20, server_name=None, application_close_timeout=1,
        endpoints=build_endpoint_description_strings(host=settings.HOST, port=settings.PORT),
        ready_callable=lambda: _announce(password),
    ).run()  # fmt: skip


def _announce(password: str) -> None:
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    url = f"http://{host}:{settings.PORT}"
    lines = [
        "",
        f"  Taskmanager {settings.VERSION} is ready.",
        f"  Pages   {url}/dashboard/",
        f"  API     {url}/tasks",
        f"  Admin   {url}/admin/",
    ]
    if password:
        lines += [
            f"          user: admin   password: {password}   (shown this once; later: manage.py changepassword admin)",
        ]
        if settings.WEBHOOK_URL:
            lines.append(f"  Webhooks are signed with {settings.WEBHOOK_URL_SECRET}   (kept in {settings.DATA_DIR})")
    body = '{"title": "Hello", "payload": {"message": "It works", "seconds": 1}}'
    lines += [
        "  Try it:",
        f"    curl -X POST {url}/tasks -H 'content-type: application/json' -d '{body}'",
        "  Stop with Ctrl-C. Tasks are kept in " + str(settings.DATA_DIR),
        "",
    ]
    print("\n".join(lines), flush=True)


def _wait_for_workers(workers: list[threading.Thread]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    for thread in workers:
        thread.join(max(0.0, deadline - time.monotonic()))
