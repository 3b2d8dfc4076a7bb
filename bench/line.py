"""A slow line between two network namespaces, for kernels without netem.

    python -m bench.line NEAR FAR DEVICE MILLISECONDS MEGABITS

Creates a TUN device in each namespace, and forwards packets between them with the given delay and
rate. As with netem, the queue holds 1,000 packets; further ones are dropped.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import select
import struct
import sys
import time

from bench.inside import inside

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 1, 0x1000
_QUEUE = 1000
_PACKET = 65536


class Direction:
    """One direction of the line."""

    def __init__(self, source: int, target: int, delay: float, rate: float) -> None:
        self._source, self._target = source, target
        self._delay = delay
        self._rate = rate
        self._free = 0.0  # when the line will have sent all packets that it took
        self._under_way: collections.deque[tuple[float, bytes]] = collections.deque()

    def take(self, now: float) -> None:
        """Take every packet that is waiting at the near end."""
        with contextlib.suppress(BlockingIOError):
            while packet := os.read(self._source, _PACKET):
                if len(self._under_way) < _QUEUE:
                    self._free = max(now, self._free) + len(packet) / self._rate
                    self._under_way.append((self._free + self._delay, packet))

    def hand_over(self, now: float) -> float | None:
        """Deliver every packet that has arrived; return the arrival time of the next one."""
        while self._under_way and self._under_way[0][0] <= now:
            with contextlib.suppress(OSError):
                os.write(self._target, self._under_way.popleft()[1])
        return self._under_way[0][0] if self._under_way else None


def tun(namespace: str, device: str) -> int:
    """Create a TUN device in a namespace, and return its file descriptor."""
    with inside(namespace):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(fd, _TUNSETIFF, request)
    return fd


def main(near: str, far: str, device: str, milliseconds: float, megabits: float) -> None:
    ends = (tun(near, device), tun(far, device))
    delay, rate = milliseconds / 1000, megabits * 1e6 / 8
    ways = [Direction(*pair, delay, rate) for pair in (ends, ends[::-1])]
    print("ready", flush=True)
    until: float | None = None
    while True:
        wait = None if until is None else max(0.0, until - time.monotonic())
        select.select(ends, (), (), wait)
        now = time.monotonic()
        for way in ways:
            way.take(now)
        next_ones = [way.hand_over(now) for way in ways]
        until = min((one for one in next_ones if one is not None), default=None)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), float(sys.argv[5]))
