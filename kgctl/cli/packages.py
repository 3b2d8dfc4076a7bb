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


def graphviz_hint() -> str:
    """Return how Graphviz is installed here, by ``/etc/os-release``, or where it is to be had."""
    if sys.platform in _MANAGERS:
        return install_command("graphviz", [sys.platform])
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    kinds = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return install_command("graphviz", kinds)


def install_command(package: str, kinds: list[str]) -> str:
    """Return the command that installs ``package`` on the first of the systems that is known."""
    for kind in kinds:
        command = _MANAGERS.get(kind)
        if command is not None:
            return f"install it with: {command.format(package)}"
    return f"install the package {package}, or see https://graphviz.org/download/"
