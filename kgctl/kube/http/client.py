"""The client of an API server: requests with retries, renewal of credentials, and compression."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from kgctl.errors import (
    AnswerError,
    ClusterError,
    ConnectionLostError,
    OverloadedError,
)
from kgctl.kube.budget import MEMORY, Budget
from kgctl.kube.failures import place
from kgctl.kube.refusal import RETRIED, Refusal
from kgctl.kube.timeout import ServerClock
from kgctl.mesh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kgctl.kube.access.kubeconfig import Access
    from kgctl.kube.http.transport import Response, Transport

T = TypeVar("T")

FAR = 0.002
"""Seconds of round trip above which a server counts as far: beyond the local network."""

_REFUSAL = 1 << 16  # bytes to read of an answer that is not a success
_CHUNK = 1 << 18
_OURS = {"User-Agent": "kgctl", "Accept-Encoding": "identity"}


class Backoff(NamedTuple):
    """The number of attempts for a request that may succeed later, and the pauses between them.

    The pause is ``first`` seconds before the second attempt, doubled each time and varied by up to
    a quarter, or longer if the server asks for that. All pauses together take at most ``total``
    seconds.
    """

    attempts: int = 5
    first: float = 0.25
    total: float = 15.0
    sleep: Callable[[float], None] = time.sleep


class Api:
    """Requests to one API server with one user's credentials, by any transport.

    ``trace`` gets a line for each request, without credentials and bodies. ``now`` is this
    machine's clock, which ``clock`` compares with the server's. ``refused`` may replace the error
    of a refusal, for callers that know more about the request.
    """

    def __init__(
        self,
        access: Access,
        transport: Transport,
        *,
        timeout: float | None = None,
        backoff: Backoff | None = None,
        trace: Callable[[str], None] | None = None,
        memory: int = MEMORY,
        now: Callable[[], float] = time.time,
        refused: Callable[[ClusterError], ClusterError] = lambda error: error,
    ) -> None:
        self._refused = refused
        self.memory = memory
        self.access = access
        self.clock = ServerClock()
        self._now = now
        self._transport = transport
        self._timeout = timeout
        self._backoff = backoff or Backoff()
        self._trace = trace or (lambda _line: None)

    def get(
        self,
        path: str,
        query: Mapping[str, str],
        accept: str,
        decode: Callable[[Body], T],
        budget: Budget | None = None,
    ) -> T:
        """Read ``path`` and return the answer as ``decode`` converts it.

        If the server is overloaded, or hangs up, the request is repeated, and so is ``decode``.
        ``budget`` is that of the whole list of which the answer is a part. Default: a new one.

        Raises:
            kgctl.ClusterError: it cannot be read; the message says what to do.
        """
        budget = budget or self.budget()
        left = budget.left

        def attempt() -> T:
            budget.left = left  # the memory of the last attempt is free again
            limit = budget.seconds(self._timeout)
            headers = self._headers(accept)
            with self.open("GET", path, query, headers, timeout=limit, budget=budget) as body:
                return decode(body)

        return self._repeated(attempt, _worth_another_read)

    def budget(self) -> Budget:
        """Return a new budget for a list with all its pages."""
        return Budget(place(self.access), self.memory, self._timeout)

    def _repeated(
        self,
        attempt: Callable[[], T],
        again: Callable[[OverloadedError | ConnectionLostError], bool],
    ) -> T:
        """Return the result of an attempt; after an error for which ``again`` holds, retry."""
        waited = 0.0
        for number in range(1, self._backoff.attempts + 1):
            try:
                return attempt()
            except (OverloadedError, ConnectionLostError) as error:
                pause = self._pause(error, number, waited) if again(error) else None
                if pause is None:
                    raise
            self._trace(f"waiting {pause:.2f} s before attempt {number + 1}")
            self._backoff.sleep(pause)
            waited += pause
        raise AssertionError("the last attempt returns or raises")

    def ask(self, path: str, query: Mapping[str, str], accept: str) -> None:
        """Send the request of a later ``get`` now, so that the server works on it meanwhile.

        Raises:
            kgctl.ClusterError: the server cannot be reached; the message says what to do.
        """
        self.clock.asked(self._now())
        self._transport.ask(path, query, self._headers(accept), self._timeout)

    def _pause(
        self, error: OverloadedError | ConnectionLostError, attempt: int, waited: float
    ) -> float | None:
        """Return the seconds to wait before another attempt, or None to give up."""
        spread = 0.75 + os.urandom(1)[0] / 512  # 0.75 to 1.25: spreads clients in time
        pause = self._backoff.first * float(2 ** (attempt - 1)) * spread
        if isinstance(error, OverloadedError) and error.retry_after is not None:
            pause = max(float(error.retry_after), pause)
        if attempt >= self._backoff.attempts or waited + pause > self._backoff.total:
            return None
        return pause

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        content: object,
        content_type: str = "application/json",
    ) -> Any:
        """Make a request that changes something, and return the JSON of the answer.

        It is sent once. It is repeated only if the server did not carry it out, that is, answered
        429 with a time to retry (Retry-After; RFC 6585, and as in client-go).

        Raises:
            kgctl.ClusterError: the server refused it, or its outcome is unknown.
        """
        import json

        body = json.dumps(content).encode()
        headers = {"Accept": "application/json", "Content-Type": content_type}

        def attempt() -> Any:
            with self.open(method, path, query, headers, body) as answer:
                return answer.json()

        return self._repeated(attempt, _not_carried_out)

    def open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout: float | None = None,
        budget: Budget | None = None,
    ) -> Body:
        """Make a request once and return the body of a successful answer.

        ``timeout`` replaces the default one, ``budget`` that of this answer alone. Credentials that
        the server rejects are renewed once, if possible.

        Raises:
            kgctl.ClusterError: there is no answer, or it is not a success.
        """
        sent = {**_OURS, **headers}
        limit = timeout or self._timeout
        response = self._request(method, path, query, sent, body, limit)
        if response.status == 401 and self._transport.refresh():
            response.close()
            response = self._request(method, path, query, sent, body, limit)
        budget = budget or self.budget()
        asked = headers.get("Accept-Encoding", "identity")
        try:
            answer = Body(response, self.access, budget, asked)
        except BaseException:
            response.close()
            raise
        if 200 <= response.status < 300:
            return answer
        try:
            said = bytes(answer.start(_REFUSAL))
        finally:
            response.close()
        error = Refusal(
            self.access,
            (method, path),
            response.status,
            response.headers,
            said,
            watches="watch" in query,
        ).error()
        raise self._refused(error)

    def close(self) -> None:
        """Close the connections that are kept for later requests."""
        self._transport.close()

    def far(self) -> bool:
        """Return whether the server is so far away that waiting costs more than extra work.

        Raises:
            kgctl.ClusterError: it cannot be reached.
        """
        seconds = self._transport.round_trip(self._timeout)
        return seconds is None or seconds > FAR

    def _headers(self, accept: str) -> dict[str, str]:
        """Return the headers; they ask for compression only if the server is far."""
        encoding = "gzip" if self.far() else "identity"
        return {**_OURS, "Accept": accept, "Accept-Encoding": encoding}

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float | None,
    ) -> Response:
        asked = f"{method} {path}" + "".join(
            f"{'&' if number else '?'}{name}={value}"
            for number, (name, value) in enumerate(query.items())
        )
        start, at = time.perf_counter(), self._now()
        try:
            response = self._transport.request(method, path, query, headers, body, timeout)
        except ClusterError as error:
            self._trace(f"{printable(asked)}: {error}")
            raise
        took = time.perf_counter() - start
        self.clock.answered(response.headers.get("date", ""), at, self._now())
        kind = response.headers.get("content-type", "no content type")
        packed = response.headers.get("content-encoding", "not compressed")
        self._trace(
            f"{printable(asked)}: {response.status} after {took:.3f} s, "
            f"{printable(kind, 60)}, {printable(packed, 20)}"
        )
        return response


def _worth_another_read(error: OverloadedError | ConnectionLostError) -> bool:
    return isinstance(error, ConnectionLostError) or error.status in RETRIED


def _not_carried_out(error: OverloadedError | ConnectionLostError) -> bool:
    """Return whether the server rejected a request unprocessed, and accepts it later."""
    if isinstance(error, ConnectionLostError):
        return False
    return error.status == 429 and error.retry_after is not None


class Body:
    """The body of an answer, decompressed as it is read; ``budget`` is charged for all of it.

    Raises:
        AnswerError: its compression is not the ``asked`` one.
    """

    def __init__(
        self, response: Response, access: Access, budget: Budget, asked: str = "identity"
    ) -> None:
        self._response = response
        self._access = access
        self.budget = budget
        self.content_type = response.headers.get("content-type", "").lower()
        packed = response.headers.get("content-encoding", "identity").lower()
        if packed not in ("identity", asked):
            raise AnswerError(
                f"the server at {place(access)} sends {printable(packed, 40)}, which nobody "
                "asked for: check the proxies in between"
            )
        self._gunzip = _Gunzip(response.read) if packed == "gzip" else None
        self._read: Callable[[int], bytes] = self._gunzip.read if self._gunzip else response.read

    def read(self, size: int) -> bytes:
        """Return the next 1 to ``size`` bytes, ``b""`` at the end.

        Raises:
            AnswerError: they are more than the budget has left.
        """
        data = self._read(size)
        self.budget.charge(len(data))
        return data

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def whole(self) -> bytearray:
        """Return the whole body.

        Raises:
            AnswerError: it is more than the budget has left.
        """
        return self.start(None)

    def start(self, size: int | None) -> bytearray:
        """Return the first ``size`` bytes, or all if there are fewer; None is no limit."""
        data = bytearray()  # grows in place, so that a large answer has one copy
        while size is None or len(data) < size:
            piece = self.read(_CHUNK if size is None else min(size - len(data), _CHUNK))
            if not piece:
                break
            data += piece
        return data

    def json(self) -> Any:
        """Decode the body as JSON.

        Raises:
            AnswerError: it is not JSON.
        """
        import json

        data = self.whole()
        self.budget.charge_json(data)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self.unreadable(data) from error

    def unreadable(self, data: bytes | bytearray) -> AnswerError:
        """Return the error for an answer that is not in the requested format."""
        begins = printable(data[:40].decode("utf-8", "replace"))
        return AnswerError(
            f"the server at {place(self._access)} sent no valid JSON of Kubernetes "
            f'({len(data):,} bytes that begin with "{begins}"): check its URL and any '
            "proxy in front of it"
        )


class _Gunzip:
    """Decompresses as it reads; a small input cannot expand to a large memory."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        import zlib

        self._read = read
        self._stream = zlib.decompressobj(wbits=31)
        self._broken = zlib.error

    def read(self, size: int) -> bytes:
        while not self._stream.eof:
            packed = self._stream.unconsumed_tail or self._read(_CHUNK)
            if not packed:
                raise AnswerError("the API server's compressed answer is cut short")
            try:
                data = self._stream.decompress(packed, size)
            except self._broken as error:
                raise AnswerError("the API server's compressed answer is damaged") from error
            if data:
                return data
        self._read(1)  # moves the connection to the end of the answer
        return b""
