"""The snippets of docs/webhooks.md, run as they stand there against requests that we signed."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from notifications import signing
from tests.services import packages
from tests.services.processes import PATIENCE
from tests.services.receiver import Receiver

pytestmark = pytest.mark.anywhere

ROOT = Path(__file__).resolve().parents[2]
SECRET, OTHER = (signing._as_secret(byte * 32) for byte in (b"a", b"b"))
BODY = '{"type":"ping","data":{"ü":"✓"}}'


def snippet(language: str, *, holding: str) -> str:
    """The one block of a language that holds this."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/webhooks.md").read_text(), re.DOTALL)
    (found,) = [block for block in blocks if holding in block]
    return str(found)


def requests() -> dict[str, tuple[dict[str, str], str, bool]]:
    """Name → headers, body and whether a receiver with SECRET takes it."""
    now = int(time.time())

    def signed(secrets: list[str], at: int = now) -> dict[str, str]:
        signature = signing.sign(secrets, "evt_1", at, BODY.encode())
        return {"webhook-id": "evt_1", "webhook-timestamp": str(at), "webhook-signature": signature}

    return {
        "ours": (signed([SECRET]), BODY, True),
        "rotated, ours first": (signed([SECRET, OTHER]), BODY, True),
        "rotated, ours last": (signed([OTHER, SECRET]), BODY, True),
        "another's": (signed([OTHER]), BODY, False),
        "changed": (signed([SECRET]), BODY.replace("ping", "pong"), False),
        "old": (signed([SECRET], now - 400), BODY, False),
        "unsigned": ({"webhook-id": "evt_1", "webhook-timestamp": str(now)}, BODY, False),
    }


NAMES = list(requests())
PYTHON = "\nimport json, sys\nasked = json.load(sys.stdin)\nprint(json.dumps(verified(**asked)))\n"
NODE = """
const asked = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(verified(asked.secret, asked.headers, asked.body)));
"""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("language", ["python", "js"])
def test_a_snippet_takes_what_is_ours_and_nothing_else(language: str, name: str) -> None:
    headers, body, is_ours = requests()[name]
    code = snippet(language, holding="verified") + {"python": PYTHON, "js": NODE}[language]
    if language == "js":
        packages.ensure("node")
    command = [sys.executable, "-c", code] if language == "python" else ["node", "-e", code]
    asked = json.dumps({"secret": SECRET, "headers": headers, "body": body})
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode == 0) is is_ours, done.stderr
    if is_ours:
        assert json.loads(done.stdout) == json.loads(BODY)


def test_the_shell_sends_what_we_would_have_signed(receiver: Receiver, tmp_path: Path) -> None:
    packages.ensure("openssl", "curl")
    (tmp_path / "body.json").write_text(BODY)
    environment = {"SECRET": SECRET, "URL": receiver.url("/hook"), "PATH": "/usr/bin:/bin"}
    code = snippet("sh", holding="openssl")
    subprocess.run(
        ["sh", "-e", "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=PATIENCE
    )
    (request,) = receiver.requests
    assert request.body == BODY.encode()
    assert signing.verify([SECRET], dict(request.headers), request.body, now=time.time()).is_valid
