"""Description of the machine that ran the benchmark."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess


def busy() -> str:
    """Return the load of the machine by other work; call it before measuring."""
    if not hasattr(os, "getloadavg"):
        return "unknown"
    return f"a load of {os.getloadavg()[0]:.1f}"


def describe(before: str) -> str:
    """Return the machine's size, its load before, and its programs, as a Markdown list."""
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
