"""The machine that the figures were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess


def busy() -> str:
    """Return how busy the machine is with other work, to be asked before measuring."""
    if not hasattr(os, "getloadavg"):
        return "unknown"
    return f"a load of {os.getloadavg()[0]:.1f}"


def describe(before: str) -> str:
    """Return its size, how busy it was before, and what is installed on it, as a Markdown list."""
    return "\n".join(
        [
            f"* {_processors()}, {_memory()} of memory, {platform.system()} {platform.machine()}",
            f"* busy with other work before the first run: {before}",
            f"* {platform.python_implementation()} {platform.python_version()}",
            f"* kube-apiserver and etcd on the same machine, on loopback; {_version('curl', '-V')}",
            "* kubectl: "
            + (_version("kubectl", "version", "--client") if shutil.which("kubectl") else "none"),
            f"* kgctl-go: {'on the PATH' if shutil.which('kgctl-go') else 'not on the PATH'}",
        ]
    )


def _processors() -> str:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{count} cores"


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return "unknown size"
    return f"{size / 1e9:.0f} GB"


def _version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    lines = done.stdout.splitlines()
    return " ".join(lines[0].split()[:3]) if lines else "of unknown version"
