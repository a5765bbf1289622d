"""The receiver, over real connections."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.services.processes import PATIENCE
from tests.services.receiver import Answer, Receiver, Request


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_the_receiver_records_what_arrives(receiver: Receiver) -> None:
    sent, before = b"\x00\xff{}", time.time()
    reply = requests.post(receiver.url("/hook?a=1"), data=sent, headers={"X-Mixed": "Yes"}, timeout=PATIENCE)

    [request] = receiver.wait_for(1)
    assert reply.status_code == 200
    assert (request.method, request.path, request.body) == ("POST", "/hook?a=1", sent)
    assert request.headers["x-mixed"] == "Yes" and "X-Mixed" in dict(request.headers)
    assert before <= request.received_at <= time.time()


def test_the_receiver_answers_as_told(receiver: Receiver) -> None:
    def echo(request: Request) -> Answer:
        return Answer(201, body=request.body)

    receiver.respond_in_order(500, Answer(302, headers={"Location": "/x"}), echo, Answer(drop=True))
    receiver.respond(503, delay=0.2, headers={"Retry-After": "7"}, body=b"later")
    with requests.Session() as session:
        assert session.get(receiver.url(), timeout=PATIENCE).status_code == 500
        assert session.get(receiver.url(), timeout=PATIENCE, allow_redirects=False).headers["Location"] == "/x"
        assert session.post(receiver.url(), data=b"hello", timeout=PATIENCE).content == b"hello"
        with pytest.raises(requests.ConnectionError):
            session.post(receiver.url(), timeout=PATIENCE)
        started = time.monotonic()
        last = session.get(receiver.url(), timeout=PATIENCE)

    assert (last.status_code, last.content, last.headers["Retry-After"]) == (503, b"later", "7")
    assert time.monotonic() - started >= 0.2


def test_a_stopped_receiver_drops_its_connections_and_returns_on_its_port(receiver: Receiver) -> None:
    receiver.respond(200, delay=60)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(requests.get, receiver.url(), timeout=PATIENCE)
        receiver.wait_for(1)
        receiver.stop()
        assert isinstance(waiting.exception(timeout=PATIENCE), requests.ConnectionError)
    with pytest.raises(requests.ConnectionError):
        requests.get(receiver.url(), timeout=PATIENCE)

    receiver.respond(204)
    receiver.start()
    assert requests.get(receiver.url(), timeout=PATIENCE).status_code == 204


def test_the_receiver_takes_thousands_of_requests_from_many_connections(receiver: Receiver) -> None:
    def client(number: int) -> None:
        with requests.Session() as session:
            for turn in range(50):
                session.post(receiver.url(f"/{number}/{turn}"), data=b"x" * 300, timeout=PATIENCE)

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(client, range(40)))

    assert len({request.path for request in receiver.wait_for(2000)}) == 2000
    assert len(receiver.wait_for(1, where=lambda request: request.path == "/7/49")) == 1
    assert receiver.wait_for(lambda request: request.path == "/39/0")
    with pytest.raises(AssertionError, match="2000 of 2001"):
        receiver.wait_for(2001, timeout=0.05)
