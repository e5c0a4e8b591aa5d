from __future__ import annotations

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from dibflow.outputs.tarstream import BLOCK, END, Entry, Kind, header, padding

NAMES = st.binary(min_size=1, max_size=300).filter(lambda name: not set(name) & set(b"\0/"))


def read(entry: Entry, content: bytes = b"") -> tarfile.TarInfo:
    """Read an entry back with Python's own reader."""
    archive = header(entry) + content + padding(len(content)) + END
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        (member,) = opened.getmembers()
        if member.isreg():
            file = opened.extractfile(member)
            assert file is not None
            assert file.read() == content
    return member


@given(name=NAMES, target=NAMES)
def test_any_name_and_target_come_back(name: bytes, target: bytes) -> None:
    member = read(Entry(name=name, kind=Kind.SYMLINK, target=target))

    assert member.name.encode("utf-8", "surrogateescape") == name
    assert member.linkname.encode("utf-8", "surrogateescape") == target


@given(
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 2),
    gid=st.integers(0, 2**32 - 2),
    content=st.binary(max_size=2000),
)
def test_owners_modes_and_contents_come_back(mode: int, uid: int, gid: int, content: bytes) -> None:
    entry = Entry(name=b"a", kind=Kind.FILE, mode=mode, uid=uid, gid=gid, size=len(content))

    member = read(entry, content)

    assert (member.mode, member.uid, member.gid) == (mode, uid, gid)


@given(mtime_ns=st.integers(-(2**33) * 10**9, 2**34 * 10**9))
def test_times_come_back_to_the_nanosecond(mtime_ns: int) -> None:
    member = read(Entry(name=b"a", kind=Kind.FILE, mtime_ns=mtime_ns))

    text = member.pax_headers.get("mtime", str(member.mtime))
    seconds, _, fraction = text.partition(".")
    nanoseconds = abs(int(seconds)) * 10**9 + int(fraction.ljust(9, "0") or 0)
    assert (-nanoseconds if text.startswith("-") else nanoseconds) == mtime_ns


@given(value=st.binary(max_size=200))
def test_attributes_come_back_whatever_bytes_they_hold(value: bytes) -> None:
    written = header(Entry(name=b"a", kind=Kind.FILE, xattrs=((b"user.x", value),)))

    assert b"SCHILY.xattr.user.x=" + value + b"\n" in written


def test_the_length_of_a_record_counts_its_own_digits() -> None:
    # 9 bytes beside the digits: "9" would be one short, so the length is 11 and has two digits.
    for size in range(1, 1200):
        member = read(Entry(name=b"n" * 101, kind=Kind.FILE, xattrs=((b"user.x", b"v" * size),)))
        assert member.name == "n" * 101


def test_a_size_that_octal_digits_cannot_say_takes_one_block_all_the_same() -> None:
    written = header(Entry(name=b"a", kind=Kind.FILE, size=9 * 1024**3))

    assert len(written) == BLOCK
    assert tarfile.TarInfo.frombuf(written, "utf-8", "strict").size == 9 * 1024**3


def test_device_numbers_come_back() -> None:
    member = read(Entry(name=b"null", kind=Kind.CHARACTER_DEVICE, device=(1, 3)))

    assert (member.ischr(), member.devmajor, member.devminor) == (True, 1, 3)
