"""Caddy and nginx in front of web and live, as people put them there."""

import re
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Literal

from tests.services import packages
from tests.services.processes import ManagedProcess, free_port

CADDYFILE = Path(__file__).resolve().parents[2] / "deploy" / "Caddyfile"
Prefix = Literal["stripped", "kept"]


class Proxy(ManagedProcess):
    """Listens on `url`. With a prefix only what lies below it is passed on, without or with the prefix."""

    def __init__(self, name: str, *, web: int, live: int, prefix: str = "", how: Prefix = "stripped") -> None:
        packages.ensure(name)
        self.port = free_port()
        self.url = f"http://localhost:{self.port}{prefix}"
        self.directory = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.directory.chmod(0o711)
        program = packages.program(name)
        config = self.directory / "config"
        if name == "caddy":
            config.write_text(_caddy(self.port, web=web, live=live, prefix=prefix, how=how))
            command: list[str | Path] = [program, "run", "--config", config, "--adapter", "caddyfile"]
        else:
            config.write_text(_nginx(self.directory, self.port, web=web, live=live, prefix=prefix, how=how))
            command = [program, "-c", config, "-e", "stderr", "-g", "daemon off; pid nginx.pid;", "-p", self.directory]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.directory)}
        super().__init__(name, command, directory=self.directory, environment=environment)

    def is_ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def _caddy(port: int, *, web: int, live: int, prefix: str, how: Prefix) -> str:
    if not prefix:  # the one of compose.yml, at other addresses
        text = CADDYFILE.read_text()
        for name, here in (
            ("{$SITE_ADDRESS::8080}", f"http://localhost:{port}"),
            (" web:8000", f" 127.0.0.1:{web}"),
            (" live:8000", f" 127.0.0.1:{live}"),
            ("http://:2020", f"http://127.0.0.1:{free_port()}"),
        ):
            assert name in text, name
            text = text.replace(name, here)
        return text
    directive = "handle_path" if how == "stripped" else "handle"
    kept = prefix if how == "kept" else ""
    return f"""
    {{
        admin off
    }}
    http://localhost:{port} {{
        encode zstd gzip
        {directive} {prefix}/* {{
            @live path {kept}/ws {kept}/ws/*
            reverse_proxy @live 127.0.0.1:{live}
            reverse_proxy 127.0.0.1:{web}
        }}
    }}
    """


def _nginx(directory: Path, port: int, *, web: int, live: int, prefix: str, how: Prefix) -> str:
    end = "/" if how == "stripped" else ""  # with a path, proxy_pass puts it in place of the location's
    temporary = "".join(
        f"{name}_temp_path {directory}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return re.sub(
        r"(?m)^ {4}",
        "",
        f"""
    worker_processes 1;
    events {{ worker_connections 256; }}
    http {{
        access_log off;
        {temporary}
        gzip on;
        gzip_types application/json;
        gzip_min_length 1;
        server {{
            listen 127.0.0.1:{port};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
            location {prefix}/ws {{ proxy_pass http://127.0.0.1:{live}{"/ws" if end else ""}; }}
            location {prefix}/ {{ proxy_pass http://127.0.0.1:{web}{end}; }}
        }}
    }}
    """,
    )
