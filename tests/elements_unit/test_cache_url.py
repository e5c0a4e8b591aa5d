"""When cache-url downloads, and what it leaves behind."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .running import Run

PROGRAM = "cache-url/bin/cache-url"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="cache-url runs curl")


@dataclass(slots=True)
class Server:
    """A server with one answer; it keeps the headers of what it was asked."""

    url: str
    status: int = 200
    body: bytes = b"new"
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    answer = Server(url="")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer.asked.append(dict(self.headers))
            unchanged = answer.status == 200 and "If-Modified-Since" in self.headers
            self.send_response(304 if unchanged else answer.status)
            body = b"" if unchanged else answer.body
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if answer.status == 206 else body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        answer.url = f"http://127.0.0.1:{httpd.server_port}/file"
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield answer
        httpd.shutdown()
        thread.join()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file"


def old(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("old")


def test_a_first_download_makes_the_folder(run: Run, server: Server, file: Path) -> None:
    done = run(PROGRAM, server.url, file)

    assert (done.returncode, file.read_text()) == (0, "new")


def test_a_file_url_is_copied(run: Run, tmp_path: Path, file: Path) -> None:
    (tmp_path / "source").write_text("local")

    done = run(PROGRAM, f"file://{tmp_path}/source", file)

    assert (done.returncode, file.read_text()) == (0, "local")


def test_a_file_url_that_is_older_than_the_copy_is_not_copied(
    run: Run, tmp_path: Path, file: Path
) -> None:
    (tmp_path / "source").write_text("local")
    os.utime(tmp_path / "source", (1_000_000_000, 1_000_000_000))
    old(file)

    done = run(PROGRAM, f"file://{tmp_path}/source", file)

    assert (done.returncode, file.read_text()) == (0, "old")


def test_an_unchanged_file_is_left_alone(run: Run, server: Server, file: Path) -> None:
    old(file)
    before = file.stat()

    done = run(PROGRAM, server.url, file)

    assert done.returncode == 0
    assert "If-Modified-Since" in server.asked[0]
    assert file.stat() == before
    assert file.read_text() == "old"


def test_an_empty_file_is_downloaded_again(run: Run, server: Server, file: Path) -> None:
    file.parent.mkdir()
    file.touch()

    run(PROGRAM, server.url, file)

    assert file.read_text() == "new"


def test_f_asks_for_a_new_copy_and_has_caches_ask_too(run: Run, server: Server, file: Path) -> None:
    old(file)

    run(PROGRAM, "-f", server.url, file)

    assert file.read_text() == "new"
    assert "no-cache" in server.asked[0]["Cache-Control"]


@pytest.mark.parametrize(("status", "expected"), [(404, 44), (403, 1), (410, 1)])
def test_a_refused_download_fails_and_keeps_the_old_file(
    run: Run, server: Server, file: Path, status: int, expected: int
) -> None:
    old(file)
    server.status = status

    done = run(PROGRAM, server.url, file)

    assert (done.returncode, file.read_text()) == (expected, "old")
    assert list(file.parent.iterdir()) == [file]


def test_a_download_that_breaks_off_fails_and_keeps_the_old_file(
    run: Run, server: Server, file: Path
) -> None:
    old(file)
    server.status = 206

    done = run(PROGRAM, "-f", server.url, file)

    assert (done.returncode, file.read_text()) == (1, "old")
    assert list(file.parent.iterdir()) == [file]


def test_a_server_that_is_not_there_fails_in_one_line(run: Run, file: Path) -> None:
    done = run(PROGRAM, "http://127.0.0.1:1/file", file)

    assert done.returncode == 1
    assert not file.exists()
    assert "cannot download" in done.stderr.splitlines()[-1]


def test_a_named_pipe_gets_the_bytes(run: Run, server: Server, file: Path) -> None:
    file.parent.mkdir()
    os.mkfifo(file)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(file.read_text()), daemon=True)
    reader.start()

    run(PROGRAM, server.url, file)
    reader.join(timeout=10)

    assert read == ["new"]
    assert file.is_fifo()


@pytest.mark.parametrize("arguments", [[], ["only-a-url"], ["-x", "url", "file"], ["", "file"]])
def test_a_wrong_command_line_shows_the_usage(run: Run, arguments: list[str]) -> None:
    done = run(PROGRAM, *arguments)

    assert done.returncode == 1
    assert done.stderr.startswith("Usage: cache-url")
