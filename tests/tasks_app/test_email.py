"""The kind `email`, through the real runner and over SMTP to a server on loopback."""

import subprocess
import uuid
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tasks_app import lifecycle, runner
from tasks_app.exceptions import InvalidTask
from tasks_app.models import Task
from tasks_app.validation import NewTask
from tests.servers import CLEAN, MANAGE, ROOT, Standalone
from tests.services.processes import PATIENCE, free_port

NOBODY = "nobody@example.org"
LETTER = {"to": ["ann@example.org"], "subject": "Hello", "body": "It works."}


class MailServer:
    """Takes every message until told otherwise: `mail`, `data` and `rcpt` (by address) are replies to give instead."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.mail = self.data = ""
        self.rcpt: dict[str, str] = {}
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=PATIENCE)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not self.mail:
            envelope.mail_from = address
        return self.mail or "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.rcpt:
            return self.rcpt[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.data:
            return self.data
        self.envelopes.append(envelope)
        return "250 OK"

    def letters(self) -> list[EmailMessage]:
        found = [message_from_bytes(envelope.content or b"", policy=policy.default) for envelope in self.envelopes]  # type: ignore[arg-type]
        return [letter for letter in found if isinstance(letter, EmailMessage)]

    def __enter__(self) -> "MailServer":
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as started:
        yield started


@pytest.fixture
def mail(mail_server: MailServer, settings: Any, committed: None) -> MailServer:
    """The server that the settings name."""
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mail_server.port
    settings.DEFAULT_FROM_EMAIL = "Tasks <tasks@sender.example>"
    return mail_server


def submit(**payload: Any) -> Task:
    return lifecycle.submit(
        NewTask(title="Mail", kind="email", payload={**LETTER, **payload}), owner_id=None, who="test"
    )


def run(task: Task) -> Task:
    runner.run([task.pk])
    return Task.objects.get(pk=task.pk)


def outcome(task: Task) -> tuple[str, str]:
    return task.status, task.error_code


# ---- What is sent ---------------------------------------------------------------------------------------------------


def test_a_letter_arrives(mail: MailServer) -> None:
    task = run(
        submit(to=["ann@example.org", "bob@example.org"], subject="Grüße", body="Ä.\n\nB", reply_to="me@example.org")
    )
    assert task.status == "DONE", task.error_message
    [envelope], [letter] = mail.envelopes, mail.letters()
    assert (envelope.mail_from, envelope.rcpt_tos) == ("tasks@sender.example", ["ann@example.org", "bob@example.org"])
    assert (letter["from"], letter["to"]) == ("Tasks <tasks@sender.example>", "ann@example.org, bob@example.org")
    assert (letter["subject"], letter["reply-to"]) == ("Grüße", "me@example.org")
    assert (letter["message-id"], letter["auto-submitted"]) == (f"<{task.pk}@sender.example>", "auto-generated")
    assert letter.get_content().replace("\r\n", "\n").rstrip("\n") == "Ä.\n\nB"


def test_html_comes_beside_the_text(mail: MailServer) -> None:
    run(submit(html="<p>Hello"))
    [letter] = mail.letters()
    text, html = letter.iter_parts()
    assert isinstance(text, EmailMessage) and isinstance(html, EmailMessage)
    assert letter.get_content_type() == "multipart/alternative"
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert "<p>Hello" in html.get_content()


def test_every_attempt_has_the_same_message_id(mail: MailServer) -> None:
    task = run(submit())
    lifecycle.reopen(task.pk, who="test")
    run(task)
    first, second = (letter["message-id"] for letter in mail.letters())
    assert first == second


@pytest.mark.parametrize(
    "body",
    [
        "\r\n.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n\r\nspam",
        "\n.\nQUIT\n",
        "\r.\rQUIT\r",
        ".",
        "..a\n.b",
        "x" * 10_000,
        "From here\nBcc: victim@example.org",
        "",
        "\x0b\x0c\x85\u2028",
    ],
)
def test_a_body_stays_a_body(mail: MailServer, body: str) -> None:
    task = run(submit(body=body))
    assert task.status == "DONE", task.error_message
    [envelope], [letter] = mail.envelopes, mail.letters()
    assert envelope.rcpt_tos == LETTER["to"] and letter["bcc"] is None
    expected = body.replace("\r\n", "\n").replace("\r", "\n")
    payload = letter.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().replace("\r\n", "\n").rstrip("\n") == expected.rstrip("\n")


# ---- Again, or never again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "ended"),
    [("451 Try later", ("PENDING", "email_deferred")), ("552 Too large", ("FAILED", "email_refused"))],
)
@pytest.mark.parametrize("step", ["mail", "data"])
def test_a_reply_decides_whether_to_try_again(mail: MailServer, step: str, reply: str, ended: tuple[str, str]) -> None:
    setattr(mail, step, reply)
    task = run(submit())
    assert outcome(task) == ended
    assert reply in task.error_message


@pytest.mark.parametrize(
    ("replies", "ended"),
    [
        (["550 Unknown"], ("FAILED", "email_refused")),
        (["450 Greylisted"], ("PENDING", "email_deferred")),
        (["550 Unknown", "450 Greylisted"], ("PENDING", "email_deferred")),
        (["550 Unknown", "553 Bad"], ("FAILED", "email_refused")),
    ],
)
def test_refused_recipients_decide_too(mail: MailServer, replies: list[str], ended: tuple[str, str]) -> None:
    to = [f"r{number}@example.org" for number in range(len(replies))]
    mail.rcpt = dict(zip(to, replies, strict=True))
    assert outcome(run(submit(to=to))) == ended
    assert mail.envelopes == []


@pytest.mark.parametrize("reply", ["550 Unknown", "450 Greylisted"])
def test_a_letter_sent_to_some_is_not_sent_to_them_again(mail: MailServer, reply: str) -> None:
    mail.rcpt = {NOBODY: reply}
    task = run(submit(to=["ann@example.org", NOBODY]))
    assert outcome(task) == ("FAILED", "email_partly_refused")
    assert task.error_message == f"Sent to 1 of 2. Refused: {NOBODY}: {reply}"
    assert len(mail.envelopes) == 1


def test_a_mail_server_that_is_away_is_tried_again(mail: MailServer, settings: Any) -> None:
    settings.EMAIL_PORT = free_port()
    assert outcome(run(submit())) == ("PENDING", "email_connection")


def test_a_mail_server_without_the_encryption_asked_for_is_final(mail: MailServer, settings: Any) -> None:
    settings.EMAIL_USE_TLS = True
    assert outcome(run(submit())) == ("FAILED", "email_settings")
    assert mail.envelopes == []


# ---- Hostile payloads -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        *(({"subject": f"Hello{end}Bcc: victim@example.org"}, "payload.subject")
          for end in ("\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\n ", "\t")),
        ({"subject": "Hello\n"}, "payload.subject"),
        ({"subject": ""}, "payload.subject"),
        ({"subject": "x" * 256}, "payload.subject"),
        ({"subject": None}, "payload.subject"),
        ({"to": []}, "payload.to"),
        ({"to": "ann@example.org"}, "payload.to"),
        ({"to": [f"a{number}@example.org" for number in range(51)]}, "payload.to"),
        ({"to": ["ann@example.org"] * 2}, "payload.to"),
        *(({"to": [address]}, "payload.to.0") for address in (
            "", "ann", "@example.org", "ann@", "ann@example.org\n", "ann@example.org\r\nBcc: v@example.org", "ann @example.org",
            "Ann <ann@example.org>", "<ann@example.org>", "a@example.org,b@example.org", "a@example.org;b@example.org",
            "a@b@example.org", '"a b"@example.org', "ann@[127.0.0.1]", "ann@-example.org", "ann@example..org", ".ann@example.org",
            "ann@example.org.", "änn@example.org", "ann@exämple.org", "ann@example.org>\nRCPT TO:<v@example.org",
            "a" * 250 + "@b.example",
            "ann(comment)@example.org", "=?utf-8?q?a?= @example.org", 5, None,
        )),
        ({"reply_to": "a@example.org, b@example.org"}, "payload.reply_to"),
        ({"reply_to": "a@example.org\nBcc: v@example.org"}, "payload.reply_to"),
        ({"body": None}, "payload.body"),
        ({"body": "x" * 262_145}, "payload.body"),
        ({"body": "a\0b"}, "payload.body"),
        ({"subject": "\ud800"}, "payload.subject"),
        ({"html": ["<p>"]}, "payload.html"),
        ({"from": "boss@example.org"}, "payload"),
        ({"bcc": ["v@example.org"]}, "payload"),
        ({"headers": {"Bcc": "v@example.org"}}, "payload"),
        ({"attachments": ["/etc/passwd"]}, "payload"),
    ],
)  # fmt: skip
def test_a_payload_that_is_no_letter_is_refused_at_the_door(
    mail: MailServer, payload: dict[str, Any], path: str
) -> None:
    with pytest.raises(InvalidTask) as refused:
        submit(**payload)
    assert path in refused.value.errors
    assert not Task.objects.exists()


@pytest.mark.parametrize("field", ["to", "subject", "body"])
def test_what_every_letter_needs_must_be_there(mail: MailServer, field: str) -> None:
    payload = {name: value for name, value in LETTER.items() if name != field}
    with pytest.raises(InvalidTask):
        lifecycle.submit(NewTask(title="Mail", kind="email", payload=payload), owner_id=None, who="test")


@pytest.mark.parametrize("subject", ["a\nBcc: v@example.org", "a\x0bBcc: v@example.org", "a\u2028Bcc: v@example.org"])
def test_a_header_that_came_past_the_door_puts_in_no_other(mail: MailServer, subject: str) -> None:
    task = submit()
    Task.objects.filter(pk=task.pk).update(payload={**LETTER, "subject": subject})
    task = run(task)
    assert outcome(task) == ("FAILED", "email_invalid") or all(letter["bcc"] is None for letter in mail.letters())
    assert all(envelope.rcpt_tos == LETTER["to"] for envelope in mail.envelopes)


# ---- Settings -------------------------------------------------------------------------------------------------------


def test_without_a_mail_server_the_kind_is_off(settings: Any, db: None) -> None:
    settings.EMAIL_HOST = ""
    with pytest.raises(InvalidTask) as refused:
        submit()
    assert refused.value.errors == {"kind": "E-mail is off here: the operator has set no EMAIL_HOST."}


def test_a_task_can_be_renamed_while_mail_is_off(mail: MailServer, settings: Any) -> None:
    task = submit()
    settings.EMAIL_HOST = ""
    assert lifecycle.update(task.pk, {"title": "Other"}, who="test").title == "Other"


def test_a_worker_without_a_mail_server_leaves_the_task_to_others(mail: MailServer, settings: Any) -> None:
    task = submit()
    settings.EMAIL_HOST = ""
    assert outcome(run(task)) == ("PENDING", "email_off")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"EMAIL_HOST": "mail"}, "DEFAULT_FROM_EMAIL"),
        ({"EMAIL_HOST": "mail", "DEFAULT_FROM_EMAIL": "nobody"}, "DEFAULT_FROM_EMAIL"),
        ({"EMAIL_HOST": "mail", "DEFAULT_FROM_EMAIL": "a@b.example\nBcc: v@b.example"}, "DEFAULT_FROM_EMAIL"),
        ({"EMAIL_USE_TLS": "on", "EMAIL_USE_SSL": "on"}, "EMAIL_USE_SSL"),
        ({"EMAIL_HOST_USER": "me"}, "EMAIL_HOST_PASSWORD"),
        ({"EMAIL_PORT": "70000"}, "EMAIL_PORT"),
        ({"EMAIL_TIMEOUT": "0"}, "EMAIL_TIMEOUT"),
    ],
)
def test_settings_that_make_no_sense_stop_the_start(tmp_path: Any, environment: dict[str, str], named: str) -> None:
    done = subprocess.run(
        [*MANAGE, "check"], env={**CLEAN, "DATA_DIR": str(tmp_path), **environment}, cwd=ROOT, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode != 0 and named in done.stderr.splitlines()[-1]


# ---- As users run it ------------------------------------------------------------------------------------------------


def test_a_client_has_a_letter_sent(mail_server: MailServer) -> None:
    with Standalone(
        EMAIL_HOST="127.0.0.1", EMAIL_PORT=str(mail_server.port), DEFAULT_FROM_EMAIL="tasks@sender.example"
    ) as server:
        task = server.api.wait(server.api.submit("Mail", kind="email", payload=LETTER)["id"])
    assert (task["status"], task["result"]["recipients"]) == ("DONE", 1)
    [letter] = mail_server.letters()
    assert (letter["subject"], letter["message-id"]) == ("Hello", f"<{uuid.UUID(task['id'])}@sender.example>")


def test_a_client_is_told_that_mail_is_off(standalone: Standalone) -> None:
    answer = standalone.api.call("POST", "/tasks", json={"title": "Mail", "kind": "email", "payload": LETTER})
    assert answer.status_code == 400
    assert "EMAIL_HOST" in answer.text
