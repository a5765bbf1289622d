"""Finds the server programs the tests run, and installs their Debian packages where it may.

`python -m tests.services.packages` installs all of them, so that no test has to wait for a download.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

PACKAGES = {
    "postgres": ("postgresql",),
    "initdb": ("postgresql",),
    "pg_basebackup": ("postgresql",),
    "pgbouncer": ("pgbouncer",),
    "rabbitmq-server": ("rabbitmq-server",),
    "rabbitmqctl": ("rabbitmq-server",),
    "epmd": ("rabbitmq-server",),
    "redis-server": ("redis-server",),
    "chromium": ("chromium", "fonts-dejavu-core"),
    "faketime": ("faketime",),
    "node": ("nodejs",),
    "openssl": ("openssl",),
    "curl": ("curl",),
    "caddy": ("caddy",),
    "nginx": ("nginx",),
}
POLICY = Path("/usr/sbin/policy-rc.d")


class PackagesMissing(Exception):
    """Programs the tests need are not installed, and this process may not install them."""

    def __init__(self, programs: list[str], packages: list[str]) -> None:
        super().__init__(
            f"Not installed: {', '.join(programs)}. As root, on Debian or Ubuntu, run: apt-get update && "
            f"apt-get install -y --no-install-recommends {' '.join(packages)}"
        )
        self.programs = programs
        self.packages = packages


def program(name: str) -> Path:
    """The path of a program in PACKAGES. Raises PackagesMissing."""
    found = _find(name)
    if found is None:
        raise PackagesMissing([name], _packages_of([name]))
    return found


def libraries(name: str) -> list[Path]:
    """Shared libraries by the end of their path, wherever Debian keeps those of this machine's architecture."""
    return sorted(Path("/usr/lib").glob(f"*/{name}"))


def ensure(*programs: str) -> None:
    """Make these programs (default: all of PACKAGES) available, or raise PackagesMissing."""
    wanted = programs or tuple(PACKAGES)
    missing = _missing(wanted)
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PackagesMissing(missing, _packages_of(missing))
    with _lock():
        # Another run may have installed them while this one waited.
        if missing := _missing(wanted):
            _install(_packages_of(missing))
    if missing := _missing(wanted):
        raise PackagesMissing(missing, _packages_of(missing))


def _missing(programs: tuple[str, ...]) -> list[str]:
    return [name for name in programs if _find(name) is None]


def _packages_of(programs: list[str]) -> list[str]:
    return sorted({package for name in programs for package in PACKAGES[name]})


def _find(name: str) -> Path | None:
    """Debian keeps the servers outside PATH, or behind wrappers that change to the service's user."""
    if name in ("postgres", "initdb"):
        candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=_version, reverse=True)
    elif name in ("rabbitmq-server", "rabbitmqctl"):
        candidates = [Path("/usr/lib/rabbitmq/bin") / name]
    else:
        candidates = []
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate
    on_path = shutil.which(name)
    return Path(on_path) if on_path else None


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", path.parts[4]))


def _install(packages: list[str]) -> None:
    print(f"Installing Debian packages for the tests: {' '.join(packages)}", file=sys.stderr, flush=True)
    with no_service_starts():
        _apt("update")
        _apt("install", "-y", "--no-install-recommends", *packages)


def _apt(*arguments: str) -> None:
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    finished = subprocess.run(
        command,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if finished.returncode != 0:
        tail = "\n".join(finished.stdout.splitlines()[-30:])
        raise RuntimeError(f"{' '.join(command)} failed with {finished.returncode}:\n{tail}")


@contextlib.contextmanager
def no_service_starts(policy: Path = POLICY) -> Iterator[None]:
    """Keep Debian from starting what it installs: invoke-rc.d obeys policy-rc.d, and 101 means forbidden."""
    try:
        with policy.open("x") as script:
            script.write("#!/bin/sh\nexit 101\n")
            os.fchmod(script.fileno(), 0o755)
    except FileExistsError:
        yield
        return
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / "install-test-services.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        ensure()
    except PackagesMissing as error:
        sys.exit(str(error))
