"""Which command installs a program on this system."""

from __future__ import annotations

import platform
import sys

_MANAGERS = {
    "debian": "sudo apt install {}",
    "ubuntu": "sudo apt install {}",
    "fedora": "sudo dnf install {}",
    "rhel": "sudo dnf install {}",
    "centos": "sudo dnf install {}",
    "suse": "sudo zypper install {}",
    "opensuse": "sudo zypper install {}",
    "arch": "sudo pacman -S {}",
    "alpine": "sudo apk add {}",
    "void": "sudo xbps-install {}",
    "gentoo": "sudo emerge media-gfx/{}",
    "nixos": "nix-shell -p {}",
    "darwin": "brew install {}",
    "win32": "winget install {}",
}


_PLUGINS = {
    "neato_layout": "libgvplugin-neato-layout8",
    "pango": "libgvplugin-pango8",
}
"""Debian's packages of Graphviz's plugins, since Graphviz 14."""


def graphviz_hint() -> str:
    """Return how Graphviz is installed here, by ``/etc/os-release``, or where it is to be had."""
    return install_command("graphviz", _kinds())


def plugin_hint(plugin: str, registered: bool, kinds: list[str] | None = None) -> str:
    """Return how a plugin of Graphviz is had here, or what else helps.

    Unless ``registered``, it may be there, and Graphviz's list of its plugins lacks it. ``kinds``
    stands for the names of this system.
    """
    kinds = _kinds() if kinds is None else kinds
    package = _PLUGINS.get(plugin)
    if not registered:
        remedy = "run: sudo dot -c"
    elif package is not None and "debian" in kinds:
        remedy = install_command(package, ["debian"])
    else:
        remedy = f"install Graphviz's plugin {plugin}, which some systems have in a package apart"
    return f"{remedy}, or use --layout dot" if plugin == "neato_layout" else remedy


def _kinds() -> list[str]:
    """Return what this system is called, and what it is like."""
    if sys.platform in _MANAGERS:
        return [sys.platform]
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    return [release.get("ID", ""), *release.get("ID_LIKE", "").split()]


def install_command(package: str, kinds: list[str]) -> str:
    """Return the command that installs ``package`` on the first of the systems that is known."""
    for kind in kinds:
        command = _MANAGERS.get(kind)
        if command is not None:
            return f"install it with: {command.format(package)}"
    return f"install the package {package}, or see https://graphviz.org/download/"
