"""Signatures, proven to a verifier that we did not write."""

from __future__ import annotations

import base64
import time
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from notifications.signing import InvalidSecret, derive_secret, new_secret, parse_secret, sign, verify

pytestmark = pytest.mark.anywhere

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


# ---- Verifying -------------------------------------------------------------------------------------------------------

SECRET, OLD_SECRET = whsec(b"n" * 32), whsec(b"o" * 32)
NOW = 1_700_000_000


def signed(secrets: list[str], body: bytes = b"{}", *, at: int = NOW, webhook_id: str = "evt_1") -> dict[str, str]:
    return received(sign(secrets, webhook_id, at, body), body, at, webhook_id)[1]


def test_what_we_sign_we_verify_and_name_the_key() -> None:
    both = [SECRET, OLD_SECRET]
    assert verify(both, signed([SECRET]), b"{}", now=NOW).key_number == 1
    assert verify(both, signed([OLD_SECRET]), b"{}", now=NOW).key_number == 2
    verdict = verify([OLD_SECRET], signed(both), b"{}", now=NOW)
    assert (verdict.is_valid, verdict.fault, verdict.key_number) == (True, "", 1)
    assert verdict.reason == "The signature matches key 1."


def test_a_signature_of_the_public_library_verifies() -> None:
    at = datetime.fromtimestamp(NOW, tz=timezone.utc)
    signature = Webhook(SECRET).sign("evt_1", at, '{"a":1}')
    headers = {"Webhook-ID": "evt_1", "WEBHOOK-TIMESTAMP": str(NOW), "Webhook-Signature": f"v1a,AAAA {signature}"}
    assert verify([SECRET], headers, b'{"a":1}', now=NOW).is_valid


@given(key=st.binary(min_size=24, max_size=64), body=st.binary(), at=st.integers(0, 10**11))
def test_signing_and_verifying_agree(key: bytes, body: bytes, at: int) -> None:
    assert verify([whsec(key)], signed([whsec(key)], body, at=at), body, now=at).is_valid


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_header_that_is_missing_is_named(name: str, value: str | None) -> None:
    headers = signed([SECRET])
    del headers[name]
    verdict = verify([SECRET], headers if value is None else {**headers, name: value}, b"{}", now=NOW)
    assert (verdict.fault, verdict.reason) == ("no_header", f"There is no header {name}.")


MALFORMED = [
    *[("webhook-id", "evt.1")],
    *[("webhook-timestamp", text) for text in ("now", "-1", "1.5", "1 ", "١٢٣", "9" * 5000, "0x10", "1_000")],
    *[("webhook-signature", text) for text in ("x", "v1", "v1,", "v1,AAAA", "v1a," + "A" * 43 + "=", "v2,x v1,y")],
    *[
        ("webhook-signature", text)
        for text in ("v1,é", "v1," + "A" * 43 + "=\n", "v1," + "_" * 43 + "=", "\ud800", " ")
    ],
]


@pytest.mark.parametrize(("name", "value"), MALFORMED, ids=[f"{name} {n}" for n, (name, _) in enumerate(MALFORMED)])
def test_a_malformed_header_is_named_and_never_an_error(name: str, value: str) -> None:
    verdict = verify([SECRET], {**signed([SECRET]), name: value}, b"{}", now=NOW)
    assert (verdict.fault, verdict.key_number) == ("bad_format", None)
    assert name in verdict.reason


@pytest.mark.parametrize("changed", ["body", "timestamp", "id", "secret", "signature"])
def test_a_changed_part_matches_no_key(changed: str) -> None:
    headers = signed([SECRET])
    if changed == "timestamp":
        headers["webhook-timestamp"] = str(NOW + 1)
    if changed == "id":
        headers["webhook-id"] = "evt_\udc80\ud800é"  # as a server may read bytes that are no text
    if changed == "signature":
        headers["webhook-signature"] = "v1," + "A" * 43 + "="
    secret = OLD_SECRET if changed == "secret" else SECRET
    verdict = verify([secret], headers, b"{ }" if changed == "body" else b"{}", now=NOW)
    assert (verdict.is_valid, verdict.fault, verdict.key_number) == (False, "no_match", None)


@pytest.mark.parametrize(
    ("age", "fault"), [(0, ""), (300, ""), (301, "too_old"), (10**9, "too_old"), (-300, ""), (-301, "too_new")]
)
def test_five_minutes_either_way_are_allowed(age: int, fault: str) -> None:
    verdict = verify([OLD_SECRET, SECRET], signed([SECRET]), b"{}", now=NOW + age)
    assert (verdict.fault, verdict.is_valid, verdict.key_number) == (fault, not fault, 2)
    assert not fault or f"{abs(age)} s" in verdict.reason


def test_no_verdict_without_a_proper_secret() -> None:
    with pytest.raises(ValueError, match="at least one"):
        verify([], signed([SECRET]), b"{}", now=NOW)
    with pytest.raises(InvalidSecret):
        verify(["whsec_short"], signed([SECRET]), b"{}", now=NOW)
