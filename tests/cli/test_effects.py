"""Options without effect are errors: every option with every format, by the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import typer

from kgctl.cli.core.effects import EFFECTS, SEVERAL, without_effect
from kgctl.cli.core.program import app
from kgctl.cli.core.table import OPTIONS
from tests.support.recorded import kgctl

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = {
    "showconf peer": ("wireguard", "wg-quick", "qr", "networkd", "nmconnection", "yaml", "json"),
    "showconf node": ("wireguard", "yaml", "json"),
}
OUTSIDE = ("wg-quick", "qr", "networkd", "nmconnection")
FILES = ("wireguard", *OUTSIDE)
WORKS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "--as-peer": ([], ("wireguard", "yaml", "json")),
    "--allowed-ips": (["10.9.0.0/24", "--as-peer"], ("wireguard", "yaml", "json")),
    "--output-file": (["DIR/x.png"], ("qr",)),
    "--directory": (["DIR"], OUTSIDE),
    "--interface": (["wg-home"], ("networkd", "nmconnection")),
    "--private-key": (["KEY"], OUTSIDE),
    "--dns": (["10.43.0.10"], OUTSIDE),
    "--search-domain": (["a.b", "--dns", "1.1.1.1"], OUTSIDE),
    "--mtu": (["1400"], OUTSIDE),
    "--listen-port": (["41000"], OUTSIDE),
    "--table": (["off"], ("wg-quick", "networkd", "nmconnection")),
    "--service-cidr": (["10.43.0.0/16"], OUTSIDE),
    "--via": (["gcp-1", "--service-cidr", "10.43.0.0/16"], OUTSIDE),
    "--gateway": (["gcp-1"], OUTSIDE),
    "--only": (["home"], OUTSIDE),
}
"""By hand, so that the table is held against something: a value, and where that has an effect."""


@pytest.mark.parametrize("format_", FORMATS["showconf peer"])
@pytest.mark.parametrize("option", list(WORKS))
def test_an_option_of_a_peers_file_works_or_is_refused(
    option: str, format_: str, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("IETM0Qx1M71zatiQ+d1cqyrbJ7B9UAuUk/Kc3EIMsmA=\n")
    words, formats = WORKS[option]
    values = [word.replace("DIR", str(tmp_path)) for word in words]
    values = [str(tmp_path / "key") if word == "KEY" else word for word in values]
    base: tuple[str, ...] = ("--example", "showconf", "peer", "laptop", "-o", format_)
    if option != "--only" and format_ == "qr":
        base = (*base, "--only", "home")  # else it does not fit into a code
    done = kgctl(*base, option, *values)
    if format_ not in formats:
        assert (done.code, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert "-o" in done.stderr or "--directory is for --all" in done.stderr
        return
    assert done.code == 0, done.stderr
    without = kgctl(*base, *(values[1:] if len(values) > 1 else ()))
    written = list(tmp_path.glob("*.*"))
    assert done.stdout != without.stdout or written


@pytest.mark.parametrize(
    "command",
    [
        "showconf peer laptop -o wg-quick --search-domain a.b",
        "showconf peer laptop --interval 10",
        "showconf peer laptop -o wg-quick --interval 3",
        "showconf peer laptop --directory DIR",
        "showconf peer laptop --as-peer --directory DIR",
        "showconf peer laptop --as-peer --watch DIR/x",
        "showconf peer laptop -o yaml --watch DIR/x",
        "showconf peer --all --directory DIR --as-peer",
        "showconf peer --all --directory DIR -o json",
        "showconf peer --all --directory DIR -o qr -O DIR/x.png",
        "showconf peer laptop -o qr --directory DIR -O DIR/x.png",
        "showconf peer laptop -o wg-quick --via gcp-1",
        "showconf node edge-1 --directory DIR",
        "showconf node --all --directory DIR --as-peer",
        "showconf node --all --directory DIR -o yaml",
        "get nodes --watch -o json",
        "graph --hops 2",
        "drift laptop --dump DIR/x --via gcp-1",
        "peer add x --pool 10.9.0.0/24 --allowed-ips 10.9.0.1/32 --dry-run=client",
        "peer add x --public-key K --private-key-file F --dry-run=client",
        "peer set laptop --service-cidr 10.43.0.0/16 --endpoint 192.0.2.1:1",
        "peer set laptop --force --endpoint 192.0.2.1:1",
        "peer rotate laptop --public-key K --private-key-file F",
        "link a b --dry-run -o json",
    ],
)
def test_what_has_no_effect_is_refused_before_anything_is_done(
    command: str, tmp_path: Path
) -> None:
    words = command.replace("DIR", str(tmp_path)).split()
    source = () if words[0] == "link" else ("--example",)
    done = kgctl(*source, *words)
    assert (done.code, done.stdout) == (2 if words[0] == "drift" else 1, "")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    command_name = words[0] if words[0] in EFFECTS else " ".join(words[:2])
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    given = {{"-O": "--output-file"}.get(one, one) for one in options}
    given |= {"--output-file"} if "-O" in words else set()
    given |= {"--output"} if "-o" in words else set()
    default = "wireguard" if words[0] == "showconf" else ""
    format_ = words[words.index("-o") + 1] if "-o" in words else default
    assert done.stderr == f"{without_effect(command_name, given, format_)}\n"


def test_what_the_reference_takes_without_effect_is_said() -> None:
    done = kgctl("--example", "showconf", "peer", "laptop", "--allowed-ips", "10.9.0.0/24")
    assert done.stdout == kgctl("--example", "showconf", "peer", "laptop").stdout
    assert done.stderr == "--allowed-ips has an effect only with --as-peer; nothing is added here\n"


def _command(path: str) -> Any:
    command: Any = typer.main.get_command(app)
    for name in path.split():
        command = command.get_command(typer.Context(command), name)
    return command


@pytest.mark.parametrize("path", list(EFFECTS))
def test_the_table_names_options_that_there_are(path: str) -> None:
    command = _command(path)
    options = {option for one in command.params for option in one.opts}
    for effect in EFFECTS[path]():
        assert {effect.option, *effect.needs, *effect.beside} - {SEVERAL} <= options
        if path in FORMATS:
            assert {*effect.formats, *effect.within} <= set(FORMATS[path])


@pytest.mark.parametrize("path", list(FORMATS))
def test_every_option_of_showconf_is_in_the_table(path: str) -> None:
    """A new one has to say where it has an effect."""
    named = {effect.option for effect in EFFECTS[path]()} | {"--output", "--version", "--help"}
    for one in _command(path).params:
        if one.name not in {option.field for option in OPTIONS} and one.param_type_name == "option":
            assert named & set(one.opts), one.opts
