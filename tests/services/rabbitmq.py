"""A RabbitMQ broker with a node name, port mapper, cookie and data directory of its own."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import requests
from kombu import Connection

from tests.services import packages
from tests.services.processes import PATIENCE, ManagedProcess, ServiceFailed, eventually, free_port

CONFIGURATION = """\
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
collect_statistics_interval = 1000
disk_free_limit.absolute = 10MB
# The write-ahead log of quorum queues is written out at every start: 4 seconds for the default of 512 MB.
raft.wal_max_size_bytes = 33554432
"""
# The management plugin's event handler changes a setting when it ends. During a stop the process that
# keeps the settings is waiting for the handler, so both would wait for 5 seconds: it has to end before.
QUICK_STOP = "gen_event:delete_handler(rabbit_event, rabbit_mgmt_db_handler, []), init:stop()."
LOOPBACK_DISTRIBUTION = "-kernel inet_dist_use_interface {127,0,0,1}"


class QueueCount(NamedTuple):
    """Messages ready for delivery (not those already with a consumer), and consumers."""

    messages: int
    consumers: int


class RabbitMQ(ManagedProcess):
    """Listens on 127.0.0.1 only; user and password are guest, the virtual host is /."""

    def __init__(self, tmpdir: Path) -> None:
        packages.ensure("rabbitmq-server", "rabbitmqctl", "epmd")
        self.port = free_port()
        self.management_port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="rabbitmq-", dir=tmpdir))
        self.node = f"taskmanager-{self.port}@localhost"
        (self.directory / "rabbitmq.conf").write_text(CONFIGURATION.format(management_port=self.management_port))
        (self.directory / "enabled_plugins").write_text("[rabbitmq_management].\n")
        environment = self._environment()
        # A broker would start a port mapper that detaches itself and outlives everything.
        self._port_mapper = ManagedProcess(
            "epmd",
            [packages.program("epmd"), "-port", environment["ERL_EPMD_PORT"], "-address", "127.0.0.1"],
            directory=tmpdir,
            environment=environment,
        )
        super().__init__(
            "rabbitmq",
            [packages.program("rabbitmq-server")],
            directory=tmpdir,
            environment=environment,
            working_directory=self.directory,
        )

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def management_url(self) -> str:
        return f"http://guest:guest@127.0.0.1:{self.management_port}"

    def launch(self) -> None:
        if not self._port_mapper.is_running():
            self._port_mapper.launch()
        super().launch()

    def is_ready(self) -> bool:
        return self._api("GET", f"health/checks/port-listener/{self.port}").status_code == 200

    def stop(self) -> None:
        """Stop gracefully, in about 1.5 s instead of 6."""
        if self.is_running():
            self.resume()
            try:
                self.rabbitmqctl("eval", QUICK_STOP)
            except BaseException:
                self.kill()
                raise
        self._wait_for_end()
        self._port_mapper.stop()

    def kill(self) -> None:
        super().kill()
        self._port_mapper.kill()

    def queues(self) -> dict[str, QueueCount]:
        """Every queue by name. The counts come from passive declares: statistics lag behind by seconds."""
        counts: dict[str, QueueCount] = {}
        with Connection(self.url) as connection:
            for name in self._names("queues"):
                channel: Any = connection.channel()
                with channel:
                    try:
                        declared = channel.queue_declare(name, passive=True)
                    except connection.channel_errors:
                        continue  # deleted meanwhile, or exclusive to another connection
                    counts[name] = QueueCount(declared.message_count, declared.consumer_count)
        return counts

    def wipe(self) -> None:
        """Delete all queues, exchanges and policies, and leave connections open."""
        for kind in ("policies", "queues", "exchanges"):
            for name in self._names(kind):
                if name and not name.startswith("amq."):
                    self._api("DELETE", f"{kind}/%2F/{quote(name, safe='')}")

    def set_memory_alarm(self, on: bool) -> None:
        """While the alarm is on, the broker reads nothing from connections that publish."""
        self.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001" if on else "0.4")
        status = 503 if on else 200
        eventually(
            lambda: self._api("GET", "health/checks/alarms").status_code == status,
            message=f"memory alarm {'on' if on else 'off'}",
        )

    def rabbitmqctl(self, *arguments: str, timeout: float = PATIENCE) -> str:
        """Run one administration command; its output. Takes about half a second."""
        finished = subprocess.run(
            [packages.program("rabbitmqctl"), "--quiet", *arguments],
            env=dict(self.environment or {}),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        if finished.returncode != 0:
            raise ServiceFailed(
                f"rabbitmqctl {' '.join(arguments)} failed with {finished.returncode}:\n{finished.stdout}"
            )
        return finished.stdout

    def _names(self, kind: str) -> list[str]:
        answer = self._api("GET", f"{kind}/%2F?disable_stats=true&enable_queue_totals=true")
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return [str(one["name"]) for one in found]

    def _api(self, method: str, path: str) -> requests.Response:
        return requests.request(
            method,
            f"http://127.0.0.1:{self.management_port}/api/{path}",
            auth=("guest", "guest"),
            timeout=PATIENCE,
        )

    def _environment(self) -> dict[str, str]:
        """Every path that Debian's defaults would put below /etc or /var, and every port."""
        directory = self.directory
        return {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "HOME": str(directory),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-start_epmd false {LOOPBACK_DISTRIBUTION}",
            "RABBITMQ_CTL_ERL_ARGS": f"-start_epmd false {LOOPBACK_DISTRIBUTION}",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_CONF_ENV_FILE": str(directory / "no-environment"),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(directory / "no-more.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "no-advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            **_smaller_installation(directory / "installation"),
        }


def _smaller_installation(directory: Path) -> dict[str, str]:
    """A view of the installed broker that holds only the applications needed, by symbolic links.

    Erlang looks for each of some 1,500 modules in the directory of every application before it:
    leaving out the 40 that are not used halves the time to start.
    """
    installed = packages.program("rabbitmq-server").resolve().parent.parent
    needs = dict(_applications(installed / "plugins"))
    wanted = {"rabbit", "rabbitmq_prelaunch", "rabbitmq_management"}
    if not wanted <= needs.keys():
        return {}  # packed in another way than Debian's: use it whole
    while more := set[str]().union(*(needs[name] for name in wanted)) & needs.keys() - wanted:
        wanted |= more
    (directory / "plugins").mkdir(parents=True)
    for path in (installed / "plugins").iterdir():
        if path.name.split("-")[0] in wanted:
            (directory / "plugins" / path.name).symlink_to(path)
    for name in ("sbin", "escript"):
        (directory / name).symlink_to(installed / name)
    return {"RABBITMQ_SCRIPTS_DIR": str(directory / "sbin")}


def _applications(plugins: Path) -> Iterator[tuple[str, set[str]]]:
    """Each application with those it needs, from its .app file, which is an Erlang term."""
    for path in plugins.glob("*/ebin/*.app"):
        declared = re.search(r"\{applications,\s*\[(.*?)\]", path.read_text(), re.DOTALL)
        yield path.stem, set(re.findall(r"\w+", declared[1])) if declared else set()
