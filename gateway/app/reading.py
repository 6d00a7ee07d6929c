"""Reading from a socket into memory that is there already.

Owns one buffer for all connections of a listener, which is filled and emptied without a break in
between. The loop would take a quarter of a megabyte for each read, and cut off whoever sent it when
there is none: nobody could be answered then.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

READ = 64 * 1024


class Reads(Protocol):
    """An `asyncio.Protocol` that can do without what came."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    def connection_lost(self, exc: BaseException | None) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def eof_received(self) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def ran_out(self, error: MemoryError) -> None:
        """Some of what came is lost, for there is no memory for it."""


class Reader(asyncio.BufferedProtocol):
    """Hands on what comes to one connection."""

    def __init__(self, connection: Reads, buffer: memoryview) -> None:
        self._connection = connection
        self._buffer = buffer
        self.connection_made = connection.connection_made  # type: ignore[method-assign]
        self.connection_lost = connection.connection_lost  # type: ignore[method-assign]
        self.eof_received = connection.eof_received  # type: ignore[method-assign]
        self.pause_writing = connection.pause_writing  # type: ignore[method-assign]
        self.resume_writing = connection.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's own
        """See `asyncio.BufferedProtocol`."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        try:
            self._connection.data_received(bytes(self._buffer[:nbytes]))
        except MemoryError as error:
            self._connection.ran_out(error)
