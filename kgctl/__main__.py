"""The entry point of ``python -m kgctl``, ``kgctl`` and ``kubectl-kilo``."""

from __future__ import annotations

import gc
import os
import sys

OBJECTS_BETWEEN_COLLECTIONS = 500_000
"""New objects between two garbage collections."""


def main() -> int:
    """Run the command line on ``sys.argv`` and return the exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-v"]):
        # scripts ask for it in loops: skip the imports
        from kgctl import __version__

        try:
            print(f"kgctl version {__version__}", flush=True)  # noqa: T201
        except OSError:
            pass  # the command line reports it better
        else:
            return 0
    from kgctl.cli.core.table import COMPLETE_VARIABLE
    from kgctl.kube.fast import fast_lane

    fast = fast_lane()
    # a short run creates little cyclic garbage, but imports and a large cluster create many
    # objects: by default a tenth of the time would go into collections
    if fast:
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    if COMPLETE_VARIABLE in os.environ:
        _hush()
    elif fast:
        from kgctl.cli.core.ahead import ahead

        ahead.ask(arguments)
    from kgctl.cli.core.app import run

    code = run(arguments)
    # skip the collections at exit as well (30 ms)
    if fast:
        _leave(code)
    return code


def _hush() -> None:
    """Discard all output to stderr: during completion a person is typing on that terminal."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - pathlib takes 3 ms to import
        os.dup2(nowhere.fileno(), 2)


def _leave(code: int) -> None:
    """Exit without deallocating objects, such as a large network (10 ms).

    Like a normal exit of Python, this runs exit handlers and flushes output first. If threads are
    running or flushing fails, return, so that Python exits normally and reports the error.
    """
    import atexit
    import threading

    if threading.active_count() > 1:
        return
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public name for it
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
