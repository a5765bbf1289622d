"""Process trees, readiness, ports and packages: what the servers of the harness rest on."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.services import packages, reaper
from tests.services.processes import ManagedProcess, ServiceFailed, eventually, free_port

ROOT = Path(__file__).parents[2]


def _strays(marker: str) -> list[str]:
    """Command lines of the living processes that mention the marker."""
    found = subprocess.run(["ps", "-ww", "-eo", "pid=,stat=,args="], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if marker in line and " Z" not in line]


def test_eventually_waits_for_a_truthy_value_and_names_the_last_one() -> None:
    values = iter([0, 0, 7])
    assert eventually(lambda: next(values), interval=0) == 7

    def never() -> None:
        raise AssertionError("not yet")

    with pytest.raises(AssertionError, match=r"ripe within 0.05 s; .*not yet"):
        eventually(never, timeout=0.05, interval=0.01, message="ripe")


def test_a_failed_start_shows_the_log(tmp_path: Path) -> None:
    process = ManagedProcess("broken", ["/bin/sh", "-c", "echo no luck; exit 3"], directory=tmp_path, ready=bool)
    with pytest.raises(ServiceFailed, match=r"(?s)broken ended with 3 while starting.*no luck"):
        process.start()


def test_stop_ends_descendants_that_left_the_session(tmp_path: Path) -> None:
    marker = f"86400.{free_port()}"
    script = f"setsid sleep {marker} & sleep {marker} & wait"
    process = ManagedProcess("parent", ["/bin/sh", "-c", script], directory=tmp_path)
    process.start()
    eventually(lambda: len(_strays(f"sleep {marker}")) >= 3)
    tree = reaper.tree([process.pid])

    process.kill()

    assert len(tree) == 3
    assert _strays(marker) == []


def test_nothing_outlives_a_test_run_that_was_killed() -> None:
    script = (
        "import time\n"
        "from tests.services.stack import Services\n"
        "services = Services()\n"
        "services.start()\n"
        "print(services.directory, services.rabbitmq.environment['ERL_EPMD_PORT'], flush=True)\n"
        "time.sleep(600)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert run.stdout is not None
        directory, port_mapper = run.stdout.readline().split()
        assert len(_strays(directory)) >= 2 and _strays(f"epmd -port {port_mapper}")
    finally:
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()

    eventually(lambda: not _strays(directory) and not _strays(f"epmd -port {port_mapper}"))
    eventually(lambda: not Path(directory).exists())


def test_ports_are_handed_out_once_and_lie_below_the_ephemeral_range() -> None:
    ports: list[int] = []
    threads = [threading.Thread(target=lambda: ports.append(free_port())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ports)) == 20
    assert max(ports) < int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def test_every_program_is_installed_and_a_missing_one_names_the_command() -> None:
    packages.ensure()
    message = str(packages.PackagesMissing(["chromium"], ["chromium", "fonts-dejavu-core"]))
    assert "apt-get install -y --no-install-recommends chromium fonts-dejavu-core" in message


def test_services_do_not_start_during_an_installation_and_a_given_policy_stays(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with packages.no_service_starts(policy):
        assert subprocess.run([policy]).returncode == 101
    assert not policy.exists()

    policy.write_text("theirs")
    with packages.no_service_starts(policy):
        assert policy.read_text() == "theirs"
    assert policy.read_text() == "theirs"
