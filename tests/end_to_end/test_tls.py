"""HTTPS on the port that speaks HTTP: every client finds what it came for, and bad handshakes end."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from lambent.transport.certificate import own_context
from lambent.transport.limits import Limits
from lambent.transport.server import HttpServer
from lambent.transport.tls import Tls
from lambent.transport.tls_context import names_of
from tests.conftest import Region
from tests.end_to_end.test_front_http import LIMITS, Running, read_all, read_answer, request

NAMES = names_of("127.0.0.1", "us-east-1", "apps.example.com")
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


class Secure(Running):
    """A server whose certificate is made at the first handshake."""

    def __init__(self, folder: Path, load: Callable[[], ssl.SSLContext] | None = None, limits: Limits = LIMITS) -> None:
        super().__init__()
        self.folder = folder
        self.loads = 0
        self._given = load
        self.server = HttpServer(limits, Tls(self._load))

    def _load(self) -> ssl.SSLContext:
        self.loads += 1
        return self._given() if self._given else own_context(self.folder, NAMES, datetime.now(UTC))

    def shake_hands(self, name: str = "localhost", **options: Any) -> ssl.SSLSocket:
        context = options.get("context") or ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))
        return context.wrap_socket(self.connect(), server_hostname=name)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    with Secure(tmp_path / "tls", limits=replace(LIMITS, head_seconds=10)) as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """One whose certificate is there already."""
    folder = tmp_path_factory.mktemp("tls")
    own_context(folder, NAMES, datetime.now(UTC))
    with Secure(folder) as server:
        yield server


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def client_hello() -> bytes:
    """The first flight of a real client."""
    outgoing = ssl.MemoryBIO()
    hello = unverified().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    return outgoing.read()


# ---- what clients get ----------------------------------------------------------------------------------------------


def test_one_port_speaks_both_and_keeps_connections(shared: Secure) -> None:
    with shared.shake_hands() as secured, shared.connect() as plain:
        for body in (b"one", b"two", b"x" * 90_000):
            for client in (secured, plain):
                client.sendall(request(body=body))
                head, answer = read_answer(client)
                assert head.startswith(b"HTTP/1.1 200")
                assert answer == b"POST " + body
        assert {"http", "https"} == {request.scheme for request in shared.echo.requests[-2:]}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken_and_none_before(shared: Secure, version: ssl.TLSVersion) -> None:
    context = unverified()
    context.minimum_version = context.maximum_version = version
    with shared.shake_hands(context=context) as client:
        client.sendall(request())
        assert read_answer(client)[1] == b"POST "
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        shared.shake_hands(context=context)


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "127.0.0.1",
        "::1",
        "abc.lambda-url.us-east-1.localhost",
        "abc.execute-api.us-east-1.localhost",
        "localhost.localstack.cloud",
        "s3.localhost.localstack.cloud",
        "abc.execute-api.us-east-1.localhost.localstack.cloud",
        "abc.lambda-url.us-east-1.apps.example.com",
    ],
)
def test_the_certificate_is_for_every_name_of_the_region(shared: Secure, name: str) -> None:
    # As strict as Python 3.13 is of itself.
    context = ssl.create_default_context(cafile=str(shared.folder / "certificate.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with shared.shake_hands(name, context=context) as client:
        client.sendall(request())
        assert read_answer(client)[1] == b"POST "


def test_streams_large_answers_and_pipelines_arrive_whole(shared: Secure) -> None:
    with shared.shake_hands() as client:
        client.sendall(request("/stream") + request("/empty") + request("/large"))
        client.sendall(request(body=b"last") + request("/", b"", "Connection: close"))
        data = read_all(client)
    assert b"4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n" in data
    assert b"POST last" in data
    assert len(data) > 30_000_000


def test_refusals_arrive(shared: Secure) -> None:
    with shared.shake_hands() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 413")
    with shared.shake_hands() as client:
        client.sendall(b"\x16\x03\x01 nothing that is HTTP\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 400")


def test_a_client_that_says_farewell_gets_what_it_asked_for(shared: Secure) -> None:
    with shared.shake_hands() as client:
        client.sendall(request("/stream"))
        with contextlib.suppress(ssl.SSLError, TimeoutError):
            client.settimeout(0.3)
            client.unwrap()
    with shared.shake_hands() as client:
        client.sendall(request(body=b"half") + request("/", b"", "Connection: close"))
        socket.socket.shutdown(client, socket.SHUT_WR)
        assert read_all(client).count(b"HTTP/1.1 200") == 2


# ---- the certificate -----------------------------------------------------------------------------------------------


def test_the_first_clients_wait_for_one_certificate(secure: Secure) -> None:
    assert not secure.folder.exists()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda _: secure.shake_hands(context=unverified()), range(8)))
    for client in clients:
        client.sendall(request())
        assert read_answer(client)[1] == b"POST "
        client.close()
    assert secure.loads == 1
    assert (secure.folder / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_plain_client_makes_no_certificate(secure: Secure) -> None:
    assert secure.send(request()).startswith(b"HTTP/1.1 200")
    assert not secure.folder.exists()


def test_without_a_certificate_tls_ends_and_http_goes_on(tmp_path: Path) -> None:
    def fail() -> ssl.SSLContext:
        raise PermissionError(13, "on purpose")

    with Secure(tmp_path, fail) as server:
        for _ in range(2):
            with pytest.raises(OSError, match=r"reset|EOF|closed"):
                server.shake_hands(context=unverified())
        assert server.loads == 2
        assert server.send(request()).startswith(b"HTTP/1.1 200")


def test_the_certificate_is_kept_while_it_is_good_for_these_names_and_some_time(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"

    def made(names: list[str] = NAMES, later: int = 0) -> bytes:
        own_context(tmp_path, names, NOW + timedelta(days=later))
        return certificate.read_bytes()

    first = made()
    assert made(later=700) == first
    assert made(later=800) != first
    second = made([*NAMES, "more.example.com"])
    assert second != first
    # A crash between the two writes, and files that are none.
    key.write_text("no key")
    assert made([*NAMES, "more.example.com"]) != second
    certificate.write_text("no certificate")
    assert made().startswith(b"-----BEGIN")


# ---- bad clients ---------------------------------------------------------------------------------------------------

HELLO = client_hello()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16",
        b"\x16\x03\x01",
        b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
        b"\x16\x03\x01\x00\x05hello" + b"\x00" * 100,
        b"\x16" + os.urandom(3000),
        HELLO[:50],
        HELLO[:-1],
        HELLO[:40] + b"\xff" * 40 + HELLO[80:],
        HELLO + b"GET / HTTP/1.1\r\n\r\n",
        HELLO + HELLO,
    ],
    # Bytes that differ from run to run would name the cases differently in each process that collects them.
    ids=[f"garbage {number}" for number in range(10)],
)
def test_garbage_ends_and_reaches_nobody(shared: Secure, data: bytes) -> None:
    asked = len(shared.echo.requests)
    with shared.connect() as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)
    # Nothing, an alert, or our half of a handshake; never plain HTTP.
    assert answer[:1] in (b"", b"\x15", b"\x16")
    assert len(shared.echo.requests) == asked


@pytest.mark.slow
@pytest.mark.parametrize("sent", [HELLO[:1], HELLO[:100], HELLO], ids=["one byte", "100 bytes", "all"])
def test_a_handshake_that_does_not_go_on_ends_by_the_deadline(shared: Secure, sent: bytes) -> None:
    started = time.monotonic()
    with shared.connect() as client:
        client.sendall(sent)
        read_all(client)
    assert time.monotonic() - started < LIMITS.head_seconds + 2


@pytest.mark.slow
def test_a_handshake_that_trickles_is_cut_off(shared: Secure) -> None:
    started = time.monotonic()
    with shared.connect() as client, contextlib.suppress(OSError):
        for byte in HELLO:
            client.sendall(bytes((byte,)))
            time.sleep(0.02)
        read_all(client)
    assert time.monotonic() - started < LIMITS.head_seconds + 3


@pytest.mark.slow
def test_nobody_keeps_a_secured_connection_by_being_slow(shared: Secure) -> None:
    with shared.shake_hands() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: local")
        assert read_all(client).startswith(b"HTTP/1.1 408")
    with shared.shake_hands() as client:
        assert read_all(client) == b""


@pytest.mark.slow
def test_who_does_not_read_loses_the_secured_connection(shared: Secure) -> None:
    with shared.shake_hands() as client:
        client.sendall(request("/large"))
        client.recv(10)
        time.sleep(2.5)  # what is tested is that nobody reads for longer than the limit
        received = 0
        with contextlib.suppress(ssl.SSLError):
            while piece := client.recv(65536):
                received += len(piece)
    assert received < 30_000_000


def test_tls_inside_http_is_no_tls(shared: Secure) -> None:
    with shared.connect() as client:
        client.sendall(request())
        read_answer(client)
        client.sendall(HELLO)
        assert read_all(client).startswith(b"HTTP/1.1 400")


def test_tls_inside_tls_is_no_tls(shared: Secure) -> None:
    with shared.shake_hands() as client:
        client.sendall(HELLO)
        assert read_all(client).startswith(b"HTTP/1.1 400")


# ---- a region ------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_boto3_trusts_the_certificate_and_urls_in_answers_are_secure(region: Region) -> None:
    certificate = region.data_dir / "tls" / "certificate.pem"
    assert not certificate.exists()
    url = region.url.replace("http://", "https://").replace("127.0.0.1", "localhost")
    hello = {"aws_access_key_id": region.key.access_key, "aws_secret_access_key": region.key.secret_key}
    first = region.client("sts", endpoint_url=url, verify=False)
    assert first.get_caller_identity()["Account"] == "000000000000"
    secured = region.client("apigateway", endpoint_url=url, verify=str(certificate), **hello)
    assert secured.get_rest_apis()["items"] == []
    http = region.client("apigatewayv2")
    https = region.client("apigatewayv2", endpoint_url=url, verify=str(certificate))
    made = https.create_api(Name="secure", ProtocolType="HTTP")
    assert made["ApiEndpoint"].startswith("https://")
    assert http.get_api(ApiId=made["ApiId"])["ApiEndpoint"].startswith("http://")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_node_trusts_the_certificate(region: Region) -> None:
    certificate = region.data_dir / "tls" / "certificate.pem"
    context = unverified()
    host, port = urlsplit(region.url).netloc.split(":")
    with context.wrap_socket(socket.create_connection((host, int(port)))):
        pass
    script = f"fetch('https://localhost:{port}/_lambent/health').then(r => r.json()).then(b => console.log(b.version))"
    done = subprocess.run(
        ["node", "-e", script],
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(certificate)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.slow
def test_the_operators_certificate_is_shown_or_the_region_does_not_start(
    tmp_path: Path, start_region: Callable[..., Region]
) -> None:
    own_context(tmp_path / "mine", ["mine.example.com"], datetime.now(UTC))
    certificate, key = tmp_path / "mine" / "certificate.pem", tmp_path / "mine" / "key.pem"
    region = start_region("--tls-certificate", str(certificate), "--tls-key", str(key))
    host, port = urlsplit(region.url).netloc.split(":")
    context = ssl.create_default_context(cafile=str(certificate))
    with context.wrap_socket(socket.create_connection((host, int(port))), server_hostname="mine.example.com") as client:
        client.sendall(b"GET /_lambent/health HTTP/1.1\r\nHost: mine.example.com\r\nConnection: close\r\n\r\n")
        assert json.loads(read_all(client).partition(b"\r\n\r\n")[2])["version"]
    assert not (region.data_dir / "tls").exists()

    key.write_text("no key")
    command = [sys.executable, "-m", "lambent.cli", "up", "--port", "0", "--data-dir", str(tmp_path / "bad")]
    options = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    failed = subprocess.run([*command, *options], capture_output=True, text=True, timeout=30)
    assert failed.returncode == 1
    assert f"{certificate} and {key} cannot be used for HTTPS" in failed.stderr
