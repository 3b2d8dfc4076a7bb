"""Keys as values, and their files."""

from __future__ import annotations

import base64
import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import PrivateKey as NaClKey

from kgctl.wireguard.keys import (
    KeyFileError,
    PrivateKey,
    generate_preshared_key,
    parse_private_key,
    read_preshared_key,
    read_private_key,
    write_key,
)

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "6H279hjgTPSDUjl110oRAXtMDHwfHCOu2eDvljz5N2Y="


def test_keys_are_new_and_clamped() -> None:
    keys = [PrivateKey.generate() for _ in range(20)]
    assert len({key.raw for key in keys}) == 20
    assert all(key.raw[0] & 7 == 0 and key.raw[31] & 192 == 64 for key in keys)
    assert len({generate_preshared_key().raw for _ in range(20)}) == 20


@given(st.binary(min_size=32, max_size=32))
def test_any_32_bytes_are_a_key_and_its_public_key_is_that_of_x25519(raw: bytes) -> None:
    key = parse_private_key(base64.b64encode(raw))
    assert key is not None
    assert key.raw == raw
    assert key.public_key().raw == bytes(NaClKey(raw).public_key)


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_nothing_else_is_a_key(content: bytes) -> None:
    found = parse_private_key(content)
    if found is not None:
        assert content[:44] == found.reveal().encode()
        assert not content[44:].strip(b" \t\n\v\f\r\0")


def test_a_private_key_has_no_text() -> None:
    key = PrivateKey.parse(SECRET)
    assert key is not None
    for text in (str(key), repr(key), f"{key!r}", f"{key}", repr({"key": key}), f"{[key]}"):
        assert SECRET[:8] not in text
    with pytest.raises(TypeError):
        vars(key)


def test_a_key_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    for umask in (0, 0o22, 0o77):
        path, key, old = tmp_path / f"{umask}.key", PrivateKey.generate(), os.umask(umask)
        try:
            write_key(path, key)
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text() == f"{key.reveal()}\n"
        assert read_private_key(path) == key
    assert len(list(tmp_path.iterdir())) == 3


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path, key = tmp_path / "laptop.key", PrivateKey.generate()
    write_key(path, key)
    with pytest.raises(KeyFileError, match="never overwritten"):
        write_key(path, PrivateKey.generate())
    assert read_private_key(path) == key
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_writers_of_one_file_one_wins_whole(tmp_path: Path) -> None:
    path = tmp_path / "one.key"
    keys = [PrivateKey.generate() for _ in range(8)]
    written: list[PrivateKey] = []
    barrier = threading.Barrier(len(keys))

    def write(key: PrivateKey) -> None:
        barrier.wait()
        try:
            write_key(path, key)
        except KeyFileError:
            return
        written.append(key)

    threads = [threading.Thread(target=write, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [read_private_key(path)] == written
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["no directory", "a file as directory", "a name too long"])
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / {"no directory": "no/x", "a file as directory": "file/x"}.get(kind, "x" * 999)
    with pytest.raises(KeyFileError, match="cannot write the key") as raised:
        write_key(path, PrivateKey.generate())
    assert "\n" not in str(raised.value)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("elsewhere")
    with pytest.raises(KeyFileError, match="never overwritten"):
        write_key(link, PrivateKey.generate())
    assert list(tmp_path.iterdir()) == [link]


def test_what_is_no_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = tmp_path / "bad\n\x1b.key"
    for content in (SECRET[:-2], "", "\0" * 44, SECRET * 2, "A" * 43 + "="):
        path.write_text(content)
        for read in (read_private_key, read_preshared_key):
            with pytest.raises(KeyFileError) as raised:
                read(path)
            assert SECRET[:8] not in str(raised.value)
            assert str(raised.value).isprintable()
    with pytest.raises(KeyFileError, match="cannot read the private key"):
        read_private_key(tmp_path / "none")
    with pytest.raises(KeyFileError, match="cannot read the preshared key"):
        read_preshared_key(tmp_path)
