"""A webhook receiver on loopback as bad as its script says, and an authority for its certificates."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.services.processes import PATIENCE

HOST = "receiver.localhost"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Script = Callable[[socket.socket], None]


@dataclass
class Receiver:
    """A server on loopback: reads each request's head and body, then hands the connection to its script."""

    script: Script
    tls: ssl.SSLContext | None = None
    reads_request: bool = True
    requests: list[bytes] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def __enter__(self) -> Receiver:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)

    def url(self, scheme: str = "http", path: str = "/hook", host: str = HOST) -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted = self._listener.accept()[0]
                thread = threading.Thread(target=self._serve, args=[accepted])
                thread.start()
                self._threads.append(thread)

    def _serve(self, accepted: socket.socket) -> None:
        accepted.settimeout(2 * PATIENCE)
        with accepted as peer, contextlib.suppress(OSError):
            if self.tls:
                with self.tls.wrap_socket(peer, server_side=True) as secure:
                    self._answer(secure)
            else:
                self._answer(peer)

    def _answer(self, peer: socket.socket) -> None:
        if self.reads_request:
            self.requests.append(read_request(peer))
        self.script(peer)


def read_request(peer: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = peer.recv(65536)
        if not chunk:
            return received
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += peer.recv(65536)
    return head + b"\r\n\r\n" + body


def answering(data: bytes) -> Script:
    return lambda peer: peer.sendall(data)


def dripping(start: bytes, drop: bytes, seconds: float = 2 * PATIENCE) -> Script:
    def script(peer: socket.socket) -> None:
        peer.sendall(start)
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            peer.sendall(drop)
            time.sleep(0.02)

    return script


def is_read(peer: socket.socket) -> bool:
    """Whether the other side has read all that it was sent, from the kernel's table: tcp addresses, then queues."""
    theirs, ours = (f"{address[1]:04X}" for address in (peer.getpeername(), peer.getsockname()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, _, queues = line.split()[1:5]
        if (local.split(":")[1], remote.split(":")[1]) == (theirs, ours):
            return int(queues.split(":")[1], 16) == 0
    return True


def silent(peer: socket.socket) -> None:
    """Until the sender hangs up."""
    while peer.recv(65536):
        pass


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own, and the file a sender would be told to trust."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    bundle: Path

    @classmethod
    def make(cls, folder: Path) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        usage = dict.fromkeys(
            [
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
            ],
            False,
        )
        certificate = (
            _certificate(name, name, key.public_key(), key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False),
                critical=True,
            )
            .sign(key, hashes.SHA256())
        )
        bundle = folder / "authority.pem"
        bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(certificate, key, bundle)

    def server(self, folder: Path, name: str) -> ssl.SSLContext:
        """A server's context with a certificate for this name or address."""
        key = ec.generate_private_key(ec.SECP256R1())
        is_address = name[0].isdigit()
        alternative = x509.IPAddress(ip_address(name)) if is_address else x509.DNSName(name)
        certificate = (
            _certificate(x509.Name([]), self.certificate.subject, key.public_key(), self.key.public_key())
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        file = folder / f"{name}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )
