"""The kind `email`: one message, handed to the operator's mail server. DONE says that the server took it for everybody.

It is off until EMAIL_HOST is set; the sender is always DEFAULT_FROM_EMAIL. A task that is tried again sends with the same
Message-ID, which is all that mail has against repeats.
"""

import contextlib
import logging
import smtplib
from collections.abc import Mapping
from email.errors import MessageError
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend

from tasks_app.exceptions import PermanentError, RetryableError
from tasks_app.handlers.base import TaskContext
from tasks_app.handlers.registry import handler

logger = logging.getLogger(__name__)

KIND = "email"
OFF = "E-mail is off here: the operator has set no EMAIL_HOST."
MAX_RECIPIENTS, MAX_SUBJECT, MAX_TEXT = 50, 255, 262_144
REPLY_CHARACTERS = 300

# `(?![\s\S])` is the end of the text both to Python, where `$` would let a line feed pass, and to JavaScript.
_ONE_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*(?![\s\S])"
_ADDRESS = (  # RFC 5321's dot-string and domain: no quoted local parts, address literals or names beside the address
    r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(?![\s\S])"
)
_ADDRESS_SCHEMA = {"type": "string", "maxLength": 254, "pattern": _ADDRESS}
_SCHEMA = {
    "type": "object",
    "required": ["to", "subject", "body"],
    "additionalProperties": False,
    "properties": {
        "to": {
            "title": "Recipients",
            "description": "Plain addresses. Everybody sees them all.",
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_RECIPIENTS,
            "uniqueItems": True,
            "items": _ADDRESS_SCHEMA,
        },
        "subject": {
            "title": "Subject",
            "description": "One line.",
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_SUBJECT,
            "pattern": _ONE_LINE,
        },
        "body": {"title": "Text", "type": "string", "maxLength": MAX_TEXT},
        "html": {"title": "The same as HTML", "type": "string", "maxLength": MAX_TEXT},
        "reply_to": {"title": "Where answers go", **_ADDRESS_SCHEMA},
    },
}


def check_email(fields: Mapping[str, Any]) -> dict[str, str]:
    """Says at the door that the kind is off (settings.TASK_VALIDATORS)."""
    asks = fields.get("kind") == KIND and "payload" in fields  # a task may be renamed when there is no mail server
    return {"kind": OFF} if asks and not settings.EMAIL_HOST else {}


@handler(
    KIND,
    schema=_SCHEMA,
    example={"to": ["ann@example.org"], "subject": "Hello", "body": "It works."},
    timeout=300,
    max_attempts=8,
)
def run(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Sends one e-mail to `to`. 4xx replies and lost connections are tried again, 5xx replies are final."""
    if not settings.EMAIL_HOST:  # here, though not where the task came in
        raise RetryableError(OFF, code="email_off")
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    message_id = f"<{context.task_id}@{sender.rpartition('@')[2]}>"
    content = _content(payload, message_id)
    context.check()
    refused = _send(sender, payload["to"], content)
    if refused:
        reply = "; ".join(f"{address}: {_reply(*answer)}" for address, answer in sorted(refused.items()))
        taken = len(payload["to"]) - len(refused)
        raise PermanentError(f"Sent to {taken} of {len(payload['to'])}. Refused: {reply}", code="email_partly_refused")
    context.progress(100, f"Handed over for {len(payload['to'])}")
    return {"message_id": message_id, "recipients": len(payload["to"])}


def _content(payload: Mapping[str, Any], message_id: str) -> bytes:
    headers = {"Message-ID": message_id, "Auto-Submitted": "auto-generated"}  # RFC 3834: no out-of-office replies
    message = EmailMultiAlternatives(
        subject=payload["subject"], body=payload["body"], from_email=settings.DEFAULT_FROM_EMAIL, to=payload["to"],
        reply_to=[payload["reply_to"]] if payload.get("reply_to") else None, headers=headers,
    )  # fmt: skip
    if payload.get("html"):
        message.attach_alternative(payload["html"], "text/html")
    try:
        return message.message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]  # Django's own argument
    except (ValueError, MessageError) as error:  # BadHeaderError is a ValueError
        raise PermanentError(f"This cannot be put into an e-mail: {error}", code="email_invalid") from error


def _send(sender: str, recipients: list[str], content: bytes) -> dict[str, tuple[int, bytes]]:
    """Those recipients that the server refused while it took others. Raises RetryableError and PermanentError.

    Django's own send_messages() would not tell of them.
    """
    server = EmailBackend()
    try:
        server.open()
        smtp: smtplib.SMTP = server.connection  # type: ignore[assignment]
        return smtp.sendmail(sender, recipients, content)
    except smtplib.SMTPRecipientsRefused as error:
        replies = [_reply(*answer) for answer in error.recipients.values()]
        codes = [code for code, _ in error.recipients.values()]
        raise _error(max(codes) if min(codes) >= 500 else min(codes), "; ".join(replies)) from error
    except smtplib.SMTPResponseException as error:
        raise _error(error.smtp_code, _reply(error.smtp_code, error.smtp_error)) from error
    except smtplib.SMTPNotSupportedError as error:  # no STARTTLS or no login there: the settings are wrong
        raise PermanentError(
            f"The mail server cannot do what the settings ask for: {error}", code="email_settings"
        ) from error
    except OSError as error:  # SMTPException is one
        logger.warning("Cannot reach the mail server: %s", error)
        raise RetryableError("The mail server cannot be reached, or went away.", code="email_connection") from error
    finally:
        with contextlib.suppress(OSError):  # once it took the message, a bad good-bye must not send it again
            server.close()


def _error(code: int, reply: str) -> RetryableError | PermanentError:
    text = f"The mail server answered: {reply}"
    if code >= 500:
        return PermanentError(text, code="email_refused")
    return RetryableError(text, code="email_deferred")


def _reply(code: int, text: bytes | str) -> str:
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    printable = "".join(character if character.isprintable() else " " for character in words)
    return f"{code} {printable}"[:REPLY_CHARACTERS]
