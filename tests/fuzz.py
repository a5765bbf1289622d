"""Random requests made from the OpenAPI document, each answer held against it: `make fuzz`.

    python -m tests.fuzz [--examples 100] [--seed 1] [--url http://… --token tm_…]

Without a URL it starts a `web` process on services of its own. Fails on any answer that the document does not
allow, and on any 5xx.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.servers import CLEAN, Deployment
from tests.services.stack import Services

TOKEN = """
from django.contrib.auth.models import Group, User
from tasks_app import tokens
from tasks_app.access import SCOPES
user, _ = User.objects.get_or_create(username="fuzz")
user.groups.set(Group.objects.filter(name__in=["operator", "member"]))
print(tokens.issue(user, name="fuzz", scopes=list(SCOPES))[1])
"""
# positive_data_acceptance: what a schema allows may still be refused (an unknown kind, a payload that is not its kind's,
# a time that is over, a cursor of another list, parameters that exclude each other): 400 `invalid` says so by field.
NOT_CHECKED = "positive_data_acceptance"
# Revoking the token that the run itself uses would end it.
NOT_CALLED = "revokeToken"
PHASES = "coverage,fuzzing,stateful"
CONFIG = Path(__file__).with_name("schemathesis.toml")


class Report(NamedTuple):
    """What a run came to."""

    cases: int
    passed: bool
    text: str


def make_token(deployment: Deployment) -> str:
    """Of a user who may do everything that a role allows."""
    return deployment.manage("shell", "--no-imports", "-c", TOKEN).split()[-1]


def run(url: str, token: str, *, examples: int, seed: int, phases: str = PHASES) -> Report:
    """Runs schemathesis. `examples` is for each operation and phase, at most."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run",
        f"{url}/api/v1/schema", "--url", url,
        "--header", f"Authorization: Bearer {token}", "--max-examples", str(examples), "--seed", str(seed),
        "--exclude-checks", NOT_CHECKED, "--exclude-operation-id", NOT_CALLED, "--continue-on-failure",
        "--suppress-health-check", "all", "--request-timeout", "60", "--warnings", "off", "--no-shrink", "--phases", phases,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(command, cwd=directory, env=CLEAN, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    cases = re.search(r"(\d[\d,]*) generated", text)
    return Report(int(cases[1].replace(",", "")) if cases else 0, done.returncode == 0, text)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--examples", type=int, default=100)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--url")
    options.add_argument("--token", default="")
    chosen = options.parse_args()
    if chosen.url:
        report = run(chosen.url, chosen.token, examples=chosen.examples, seed=chosen.seed)
    else:
        with Services() as services:
            deployment = Deployment(services, ANONYMOUS_API="off", API_RATE="0", LONG_POLLS="0")
            deployment.manage("migrate", "--verbosity", "0")
            with deployment.web:
                report = run(deployment.url, make_token(deployment), examples=chosen.examples, seed=chosen.seed)
    print(report.text)
    print(f"{report.cases} cases, {'no failure' if report.passed else 'FAILED'}")
    return 0 if report.passed and report.cases else 1


if __name__ == "__main__":
    sys.exit(main())
