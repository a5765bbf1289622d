"""Signatures, proven to a verifier that we did not write."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from notifications.signing import InvalidSecret, derive_secret, new_secret, parse_secret, sign

ROOT_KEY = "a root key of the operator, 32 +"


def whsec(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def received(signature: str, body: bytes, timestamp: int, webhook_id: str = "evt_1") -> tuple[bytes, dict[str, str]]:
    headers = {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
    return body, headers


@given(key=st.binary(min_size=24, max_size=64), body=st.text().map(lambda text: text.encode(errors="replace")))
def test_the_public_library_verifies_what_we_sign(key: bytes, body: bytes) -> None:
    now = int(time.time())
    signature = sign([whsec(key)], "evt_018f", now, body)
    Webhook(whsec(key)).verify(*received(signature, body, now, "evt_018f"), json_parse=False)


def test_during_a_rotation_either_key_verifies_and_the_newest_comes_first() -> None:
    new, old, now, body = new_secret(), new_secret(), int(time.time()), b'{"type":"ping"}'
    signature = sign([new, old], "evt_1", now, body)
    assert signature == sign([new], "evt_1", now, body) + " " + sign([old], "evt_1", now, body)
    for secret in (new, old):
        assert Webhook(secret).verify(*received(signature, body, now)) == {"type": "ping"}


@pytest.mark.parametrize("changed", ["body", "timestamp", "id", "secret"])
def test_a_changed_part_does_not_verify(changed: str) -> None:
    secret, now = new_secret(), int(time.time())
    signature = sign([secret], "evt_1", now, b"{}")
    body, headers = received(
        signature,
        b"{ }" if changed == "body" else b"{}",
        now + (changed == "timestamp"),
        "evt_2" if changed == "id" else "evt_1",
    )
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret() if changed == "secret" else secret).verify(body, headers)


def test_a_known_signature_stays_the_same() -> None:
    """The example of the Standard Webhooks specification's libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signature = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_cannot_be_signed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sign([], "evt_1", 1, b"")
    with pytest.raises(ValueError, match="dots"):
        sign([new_secret()], "evt.1", 1, b"")
    with pytest.raises(InvalidSecret):
        sign([new_secret(), "whsec_short"], "evt_1", 1, b"")


def test_new_secrets_hold_32_random_bytes() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(parse_secret(secret)) for secret in secrets} == {32}


@given(key=st.binary(min_size=24, max_size=64))
def test_a_secret_of_24_to_64_bytes_is_read_back(key: bytes) -> None:
    assert parse_secret(whsec(key)) == key


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        base64.b64encode(bytes(32)).decode(),
        "WHSEC_" + base64.b64encode(bytes(32)).decode(),
        "whsec_" + "é" * 40,
        "whsec_" + base64.b64encode(bytes(32)).decode().rstrip("="),
        "whsec_" + base64.b64encode(bytes(32)).decode() + "=",
        "whsec_" + base64.b64encode(bytes(32)).decode() + "\n",
        " whsec_" + base64.b64encode(bytes(32)).decode(),
        "whsec_" + base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        "whsec_" + base64.b64encode(bytes(32)).decode()[:-2] + "B=",
        whsec(bytes(23)),
        whsec(bytes(65)),
    ],
)
def test_another_spelling_or_size_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(InvalidSecret) as refusal:
        parse_secret(secret)
    assert len(secret) < 10 or secret[6:] not in str(refusal.value)


def test_a_derived_secret_is_stable_and_of_its_owner_alone() -> None:
    secret = derive_secret(ROOT_KEY, "42")
    assert secret == derive_secret(ROOT_KEY.encode(), "42") == "whsec_lugnwT6jhinPpOkVEPMs86HfNdUT7uswx1JF9wl1svo="
    assert len(parse_secret(secret)) == 32
    assert (
        len(
            {
                secret,
                derive_secret(ROOT_KEY, "4"),
                derive_secret(ROOT_KEY + "!", "42"),
                derive_secret(ROOT_KEY, "é"),
            }
        )
        == 4
    )


@pytest.mark.parametrize(("root_key", "owner"), [("", "1"), ("short", "1"), (b"short", "1"), (ROOT_KEY, "")])
def test_a_weak_root_key_or_no_owner_is_refused(root_key: str | bytes, owner: str) -> None:
    with pytest.raises(ValueError, match=r"WEBHOOK_SIGNING_KEY|owner"):
        derive_secret(root_key, owner)
