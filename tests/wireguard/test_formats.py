"""All entries of the table of machine formats: one cluster, several, hostile names, options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kgctl.mesh.cidr import parse_cidr
from kgctl.mesh.key import PublicKey
from kgctl.wireguard.conf import Configuration, Interface, PeerSection
from kgctl.wireguard.formats import MACHINE_FORMATS, WHOLE_FILES, WIREGUARD, Machine
from tests.support.recorded import kgctl
from tests.support.several import options, troubled

if TYPE_CHECKING:
    from pathlib import Path

    from kgctl.wireguard.formats import MachineFormat

EVERY = pytest.mark.parametrize("form", MACHINE_FORMATS, ids=lambda one: one.name)
MACHINE = Machine("laptop", "kilo0", "laptop 1")


def configuration(comment: str = "a comment") -> Configuration:
    network = parse_cidr("10.5.0.1/32")
    assert network is not None
    peer = PeerSection(PublicKey(b"a" * 32), (network,), comments=(comment,))
    return Configuration(Interface((network,), made_with=comment, comments=(comment,)), (peer,))


@EVERY
def test_a_machine_has_files_and_a_text(form: MachineFormat) -> None:
    files = form.files(configuration(), MACHINE)
    assert files
    assert all(name.startswith("laptop") and content for name, content in files.items())
    text = form.text(configuration(), MACHINE)
    assert text.endswith("\n")
    if form.single:
        assert [text.encode()] == list(files.values())
    for ending in form.pictures:
        assert list(form.files(configuration(), MACHINE._replace(ending=ending))) == [
            f"laptop.{ending}"
        ]


@EVERY
def test_the_interface_is_in_the_formats_that_have_it(form: MachineFormat) -> None:
    other = MACHINE._replace(interface="wg-home")
    changes = form.text(configuration(), MACHINE) != form.text(configuration(), other)
    assert changes == form.interface


@EVERY
@pytest.mark.parametrize("mark", ["\n[Peer]\n", "\r\n", "\x1b[2J", "\u202e", '"', "\x00"])
def test_a_hostile_comment_adds_no_line(form: MachineFormat, mark: str) -> None:
    plain = form.text(configuration(), MACHINE)
    text = form.text(configuration(f"a{mark}comment"), MACHINE)
    assert text.count("\n") == plain.count("\n")
    assert not {"\x1b", "\u202e", "\x00", "\r"} & set(text)


def test_each_format_says_something_of_its_own() -> None:
    """A new entry with another's writer would print the other's format, and exit with 0.

    wg-quick's file is that of wg, with more in it.
    """
    texts = [one.text(configuration(), MACHINE) for one in WHOLE_FILES]
    assert len(set(texts)) == len(texts)
    assert len({one.name for one in MACHINE_FORMATS}) == len(MACHINE_FORMATS)
    assert MACHINE_FORMATS[0] is WIREGUARD


@EVERY
def test_showconf_prints_and_writes_each_format(form: MachineFormat, tmp_path: Path) -> None:
    both = options(tmp_path, troubled())
    for words, name in ((["--example"], "laptop"), (both, "laptop")):
        command = [*words, "showconf", "peer", name, "-o", form.name]
        command += ["--only", "home" if words == ["--example"] else "eu"] if form.needs_key else []
        answer = kgctl(*command)
        assert answer.code == 0, answer.stderr
        assert answer.stdout
        if form is not WIREGUARD or words is both:
            directory = tmp_path / f"{len(words)}"
            directory.mkdir()
            assert kgctl(*command, "--directory", str(directory)).code == 0
            assert list(directory.iterdir())
    (tmp_path / "empty.yaml").write_text("")
    nothing = kgctl("-f", str(tmp_path / "empty.yaml"), "showconf", "peer", "x", "-o", form.name)
    assert (nothing.code, nothing.stdout) == (1, "")
    assert "internal" not in nothing.stderr


@pytest.mark.parametrize("manifest", ["yaml", "json"])
def test_several_clusters_make_no_manifest(manifest: str, tmp_path: Path) -> None:
    command = [*options(tmp_path, troubled()), "showconf", "peer", "laptop", "-o", manifest]
    answer = kgctl(*command)
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr.endswith(f"makes one file for one peer NAME: no -o {manifest}\n")
