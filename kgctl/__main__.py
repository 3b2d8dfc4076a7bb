"""``python -m kgctl``, and the ``kgctl`` and ``kubectl-kilo`` programs."""

from __future__ import annotations

import gc
import os
import sys

OBJECTS_BETWEEN_COLLECTIONS = 500_000
"""New objects between two looks for garbage."""


def main() -> int:
    """Run the command line on ``sys.argv`` and return the exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-v"]):
        # asked by scripts, in loops: it pays for no import
        from kgctl import __version__

        try:
            print(f"kgctl version {__version__}", flush=True)  # noqa: T201
        except OSError:
            pass  # the command line tells it better
        else:
            return 0
    from kgctl.cli.core.table import COMPLETE_VARIABLE
    from kgctl.kube.fast import fast_lane

    fast = fast_lane()
    # a short run makes no garbage in cycles to speak of, but imports and a large cluster make many
    # objects: by default a tenth of the time would go into looking through them
    if fast:
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    if COMPLETE_VARIABLE in os.environ:
        _hush()
    elif fast:
        from kgctl.cli.core.ahead import ahead

        ahead.ask(arguments)
    from kgctl.cli.core.app import run

    code = run(arguments)
    # nor is there anything to look for at the end: Python would, several times (30 ms)
    if fast:
        _leave(code)
    return code


def _hush() -> None:
    """Send stderr nowhere, whoever writes to it: while completing, a person is typing there."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - pathlib takes 3 ms to import
        os.dup2(nowhere.fileno(), 2)


def _leave(code: int) -> None:
    """End the process, without taking apart what ends with it anyway: a large network, say (10 ms).

    What others wait for comes first, as it does when Python ends by itself: threads, whatever
    was registered to be done at the end, and all output. Where that fails, Python is left to tell.
    """
    import atexit
    import threading

    if threading.active_count() > 1:
        return
    atexit._run_exitfuncs()  # noqa: SLF001 - it has no public name, and is for just this
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
