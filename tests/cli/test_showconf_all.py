"""``kgctl showconf --all``: each machine's format, and only the files that changed."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import run
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Path]:
    """A network of machines that can all be called, so that a file lists each of them."""
    with contextlib.chdir(tmp_path):
        run("init", "net", "--pool", "10.73.5.0/24")
        for number, name in enumerate(("hub", "laptop", "phone"), 1):
            run("peer", "add", name, "--endpoint", f"192.0.2.{number}:51820", "-f", "net")
        (tmp_path / "out").mkdir()
        yield tmp_path / "net"


def fails(*arguments: str) -> str:
    done = kgctl(*arguments)
    assert (done.code, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    return done.stderr


def written(net: Path) -> set[str]:
    return {one.name for one in (net.parent / "out").iterdir()}


def git(net: Path, *arguments: str) -> None:
    names = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *names, *arguments], cwd=net, check=True, capture_output=True)


def test_each_machine_gets_the_format_of_its_platform(net: Path) -> None:
    run("peer", "set", "laptop", "--platform", "nmconnection", "-f", "net")
    run("peer", "set", "phone", "--platform", "qr", "-f", "net")
    run("peer", "add", "router", "--platform", "networkd", "-f", "net")
    run("showconf", "--all", "-d", "out", "-f", "net")
    assert written(net) == {
        "hub.conf", "laptop.nmconnection", "phone.svg", "router-net.netdev", "router-net.network"
    }  # fmt: skip
    out = net.parent / "out"
    assert "[wireguard-peer." in (out / "laptop.nmconnection").read_text()
    assert (out / "phone.svg").read_bytes().startswith(b"<?xml")
    named = run("showconf", "peer", "laptop", "-o", "nmconnection", "-f", "net")
    assert (out / "laptop.nmconnection").read_text() == named


def test_a_format_on_the_command_line_goes_before_platforms(net: Path) -> None:
    run("peer", "set", "laptop", "--platform", "qr", "-f", "net")
    run("showconf", "--all", "-d", "out", "-o", "networkd", "-f", "net")
    assert written(net) == {
        f"{name}-net.{kind}"
        for name in ("hub", "laptop", "phone")
        for kind in ("netdev", "network")
    }  # fmt: skip


def test_a_code_without_a_key_is_not_written(net: Path) -> None:
    run("peer", "set", "phone", "--platform", "qr", "-f", "net")
    (net / "keys" / "phone.key").unlink()
    done = kgctl("showconf", "--all", "-d", "out", "-f", "net")
    assert done.code == 0
    assert "phone: its private key is not in net/keys, and phones refuse a code" in done.stderr
    assert written(net) == {"hub.conf", "laptop.conf"}


def test_an_unknown_platform_is_an_error_before_anything_is_written(net: Path) -> None:
    path = net / "phone.yaml"
    run("peer", "set", "phone", "--platform", "qr", "-f", "net")
    path.write_text(path.read_text().replace(": qr", ": ios"))
    assert fails("showconf", "--all", "-d", "out", "-f", "net") == (
        'phone: its platform "ios" is not the format of a machine\'s file: give wg-quick, qr, '
        "networkd or nmconnection\n"
    )
    assert not written(net)


@pytest.mark.parametrize("command", ["add", "set"])
def test_a_word_that_is_no_format_is_refused(net: Path, command: str) -> None:
    name = "new" if command == "add" else "phone"
    arguments = ("peer", command, name, "--platform", "netword", "-f", "net")
    assert 'did you mean "networkd"?' in fails(*arguments)
    assert "platform" not in (net / "phone.yaml").read_text()
    assert "is not the format" in fails(
        "peer", command, name, "--platform", "wireguard", "-f", "net"
    )


def test_only_files_that_differ_from_another_folder_are_written(net: Path) -> None:
    shutil.copytree(net, net.parent / "old")
    shutil.rmtree(net.parent / "old" / "keys")  # as in a clone
    assert run("showconf", "--all", "--since", "old", "-f", "net") == ""
    run("peer", "set", "laptop", "--platform", "networkd", "-f", "net")
    assert run("showconf", "--all", "--since", "old", "-f", "net") == "laptop changed\n"
    assert not written(net)
    run("showconf", "--all", "--since", "old", "-d", "out", "-f", "net")
    assert written(net) == {"laptop-net.netdev", "laptop-net.network"}


@pytest.mark.needs("git")
def test_who_has_to_get_a_new_file_since_a_revision(net: Path) -> None:
    git(net, "init")
    git(net, "add", ".")
    git(net, "commit", "-m", "start")
    since = ("showconf", "--all", "--since", "HEAD", "-f", "net")
    assert run(*since) == ""
    run("peer", "set", "hub", "--endpoint", "198.51.100.1:51820", "-f", "net")
    assert run(*since) == "laptop changed\nphone changed\n"  # hub's own port is the same
    run("peer", "rotate", "phone", "-f", "net")
    assert run(*since) == "hub changed\nlaptop changed\nphone changed\n"
    git(net, "commit", "-am", "changed")
    assert run(*since) == ""
    run("peer", "rm", "phone", "-f", "net")
    run("peer", "add", "tablet", "-f", "net")
    done = kgctl(*since)
    assert done.stdout == "hub changed\nlaptop changed\ntablet new\nphone gone\n"
    assert done.stderr == (
        "3 of 3 machines need a new file; 1 left, and the new files of the others lock them out\n"
    )


@pytest.mark.needs("git")
def test_defaults_of_the_network_count(net: Path) -> None:
    git(net, "init")
    git(net, "add", ".")
    git(net, "commit", "-m", "start")
    path = net / "network.yaml"
    path.write_text(path.read_text().replace("# dns: [10.0.0.53]", "dns: [10.73.5.1]"))
    with contextlib.chdir(net):
        assert run("showconf", "--all", "--since", "HEAD") == (
            "hub changed\nlaptop changed\nphone changed\n"
        )


def test_what_cannot_be_compared_is_said(net: Path) -> None:
    since = ("showconf", "--all", "--since")
    assert "is neither a folder nor a revision" in fails(*since, "nix", "-f", "net")
    assert "there is no network in this folder" in fails(*since, "out", "-f", "net")
    assert "is for a network in a folder" in fails(*since, "HEAD", "--example")
    assert "or --all with --directory DIR" in fails("showconf", "--since", "HEAD", "-f", "net")
    assert "--since is for --all without peer" in fails("showconf", "--since", "x", "peer", "hub")
