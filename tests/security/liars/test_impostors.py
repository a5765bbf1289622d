"""Something else listens where Redis or RabbitMQ should."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import requests

from notifications.redis_replies import Parser
from tests.servers import Deployment, Role
from tests.services.processes import PATIENCE, free_port

pytestmark = pytest.mark.services
Answer = Callable[[socket.socket], None]


@contextmanager
def impostor(answer: Answer) -> Iterator[int]:
    """Its port. `answer` is called whenever something came."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def one(connection: socket.socket) -> None:
            with connection:
                try:
                    while connection.recv(65536):
                        answer(connection)
                except OSError:
                    return

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def saying(data: bytes) -> Answer:
    return lambda connection: connection.sendall(data)


def streaming(first: bytes, piece: bytes, pause: float) -> Answer:
    """Without an end, as far as its reader stays."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(piece)
            time.sleep(pause)

    return answer


ANSWERS: dict[str, Answer] = {
    "nonsense": saying(b"HELLO\x00\xff\r\n"),
    "a web server": saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "an error that steers terminals": saying(b"-ERR \x1b[31m\x07\r\n"),
    "another type": saying(b"+OK\r\n"),
    "a number without an end": saying(b":" + b"9" * 5000 + b"\r\n"),
    "lists in lists": saying(b"*1\r\n" * 5000),
    "a negative length": saying(b"$-99\r\n"),
    "a billion items": saying(b"*1000000000\r\n"),
    "a length beyond memory": saying(b"$99999999999999\r\n"),
    "a text without an end": streaming(b"$9999999999\r\n", b"x" * 1_000_000, 0),
    "a line without an end": streaming(b"+", b"x" * 1_000_000, 0),
    "a byte now and then": streaming(b"$1000\r\n", b"x", 0.02),
    "silence": lambda connection: None,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_reply_ends_in_an_error_whatever_it_is(answer: Answer) -> None:
    with impostor(answer) as port:
        url = f"redis://127.0.0.1:{port}"
        client = redis.Redis.from_url(url, socket_timeout=0.5, parser_class=Parser, retry=None)
        with client, pytest.raises((redis.RedisError, ValueError, AttributeError, RecursionError)):
            client.incrby("count", 1)


def test_web_goes_on_whatever_answers_for_redis(deployment: Deployment) -> None:
    answers = itertools.cycle(ANSWERS.values())

    with (
        impostor(lambda connection: next(answers)(connection)) as port,
        deployment.extra("web", REDIS_URL=f"redis://127.0.0.1:{port}") as web,
    ):
        for _ in range(2 * len(ANSWERS)):
            web.api.submit("Ordinary", payload={"message": "x"})
            with requests.Session() as session:
                session.get(f"{web.url}/login/")
                form = {
                    "username": "a",
                    "password": "b",
                    "csrfmiddlewaretoken": session.cookies[web.api.cookie("csrftoken")],
                }
                assert session.post(f"{web.url}/login/", data=form).status_code in (200, 429)
        assert web.api.call("GET", "/healthz").status_code == 503
        assert "Traceback" not in web.printed
        assert "\x1b" not in web.printed


OTHERS = {
    "a web server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "another version": b"AMQP\x03\x01\x00\x00",
    "a frame of 4 GB": b"\x01\x00\x00\xff\xff\xff\xff" + b"x" * 999,
    "silence": b"",
}


@pytest.mark.parametrize("said", OTHERS.values(), ids=OTHERS)
def test_a_role_says_in_a_sentence_that_something_else_answers_for_rabbitmq(
    deployment: Deployment, tmp_path: Path, said: bytes
) -> None:
    with impostor(saying(said)) as port:
        role = Role(
            "worker",
            tmp_path,
            {
                **deployment.environment,
                "RABBITMQ_URL": f"amqp://someone:a-secret@127.0.0.1:{port}/",
                "RABBITMQ_CONNECT_ATTEMPTS": "2",
                "RABBITMQ_CONNECT_BACKOFF": "0.1",
                "PORT": str(free_port()),
            },
        )
        role.launch()
        assert role.wait(PATIENCE) != 0
    assert "RABBITMQ_URL: no answer after 2 attempts" in role.printed
    assert "Traceback" not in role.printed
    assert "a-secret" not in role.printed
