"""Tests of running a guest, with a script in place of qemu."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dibflow.boot.guest import SilentGuest, wait_for
from dibflow.errors import BootFailed, HostError

LOGIN = re.compile("login:")


def script(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().split()[2]


def test_a_guest_that_prints_the_pattern_is_ended_and_timed() -> None:
    seen: list[bytes] = []

    seconds = wait_for(
        script("echo $$; printf 'lo'; sleep 0.1; printf 'gin: '; exec sleep 60"),
        pattern=LOGIN,
        timeout_seconds=20,
        show=seen.append,
    )

    process, _, rest = b"".join(seen).partition(b"\n")
    assert rest == b"login: "
    assert 0.1 < seconds < 20
    assert not is_alive(int(process))


def test_a_guest_that_says_nothing_is_ended_after_the_time() -> None:
    with pytest.raises(BootFailed) as failed:
        wait_for(script("exec sleep 60"), pattern=LOGIN, timeout_seconds=0.2)

    assert failed.value.exit_status == 6
    assert '"login:" after 0.20 s; its last lines:\n    (nothing)' in failed.value.message


def test_a_guest_that_is_silent_from_the_start_is_told_apart() -> None:
    with pytest.raises(SilentGuest, match=r"nothing for 0\.20 s"):
        wait_for(script("exec sleep 60"), pattern=LOGIN, timeout_seconds=20, silence_seconds=0.2)


def test_a_guest_that_has_said_something_may_be_silent() -> None:
    seconds = wait_for(
        script("echo a; sleep 0.5; echo login:; exec sleep 60"),
        pattern=LOGIN,
        timeout_seconds=20,
        silence_seconds=0.2,
    )

    assert seconds > 0.4


def test_a_guest_that_never_stops_talking_is_ended_after_the_time() -> None:
    with pytest.raises(BootFailed, match="    again"):
        wait_for(
            script("while :; do echo again; sleep 0.01; done"), pattern=LOGIN, timeout_seconds=0.3
        )


def test_a_guest_that_ends_is_not_waited_for() -> None:
    with pytest.raises(BootFailed) as failed:
        wait_for(script("echo 'no disk' >&2; exit 3"), pattern=LOGIN, timeout_seconds=20)

    assert "when qemu ended with status 3; its last lines:\n    no disk" in failed.value.message


def test_a_missing_program_is_what_the_host_lacks() -> None:
    with pytest.raises(HostError, match="apt-get install"):
        wait_for(["/no/such/qemu"], pattern=LOGIN, timeout_seconds=1)


def test_a_guest_ends_with_us_even_when_we_are_killed(tmp_path: Path) -> None:
    noted = tmp_path / "process"
    program = (
        "import re\n"
        "from dibflow.boot.guest import wait_for\n"
        f"wait_for(['/bin/sh', '-c', 'echo $$ >{noted}; exec sleep 60'],\n"
        "    pattern=re.compile('login:'), timeout_seconds=60)\n"
    )
    ours = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 20
    while not (noted.exists() and noted.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    guest = int(noted.read_text())

    ours.send_signal(signal.SIGKILL)
    ours.wait()

    while is_alive(guest) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(guest)
