"""Runs one command and prints its resource usage, from a small process.

A process starts with the memory of the one that forked it, and Linux counts that as its peak. So
the benchmark does not start commands itself, but runs this script, which imports very little:

    python -I -S launch.py FILE COMMAND [ARGUMENT ...]

The command's standard output and error go to FILE. The script prints the usage as JSON: wall-clock
seconds, processor seconds, peak memory in bytes, exit code.
"""

import os
import sys
import time


def main(path: str, command: list[str]) -> None:
    start = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        try:
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    cpu = usage.ru_utime + usage.ru_stime
    print(
        f'{{"wall": {wall:.6f}, "cpu": {cpu:.6f}, "peak": {peak}, '
        f'"code": {os.waitstatus_to_exitcode(status)}}}'
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
