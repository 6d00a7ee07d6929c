"""How often a chunk was handed out: what tells one that ends processes from one that only waited.

JetStream counts deliveries, and one that was sent back unread - not due yet, its lane closed - is
no try. What this process sent back itself is taken off the count; what others did is not known. So
beyond ten deliveries each try is written down, in a stream of its own, before the chunk is handed
out: a chunk that was postponed by others a thousand times counts ten for that, never more.
"""

from __future__ import annotations

import base64

from gateway.errors import StoreUnavailable
from gateway.queue.nats.leases import Postponed
from gateway.queue.nats.link import ApiError, Link
from gateway.queue.nats.stream import StreamSpec

UNWRITTEN = 10
"""So many deliveries are tries without a mark."""
_NO_MESSAGE = 10037


class Tries:
    """Counts the tries of messages, by their sequence in the stream."""

    def __init__(self, link: Link, spec: StreamSpec) -> None:
        self._link = link
        self._stream = spec.tries
        self.postponed = Postponed()

    async def count(self, sequence: int, deliveries: int) -> int:
        """This try's number; call it once for each time a message is handed out."""
        tries = deliveries - self.postponed.of(sequence)
        if tries <= UNWRITTEN:
            return max(1, tries)
        marks = await self._marks(sequence) + 1
        await self._link.ask(f"{self._stream}.{sequence}", b"%d" % marks)
        return UNWRITTEN + marks

    async def _marks(self, sequence: int) -> int:
        asked = {"last_by_subj": f"{self._stream}.{sequence}"}
        try:
            found = await self._link.api(f"STREAM.MSG.GET.{self._stream}", asked)
        except ApiError as error:
            if error.code == _NO_MESSAGE:
                return 0
            raise StoreUnavailable(f"JetStream refused ({error}).") from error
        text = base64.b64decode(found["message"].get("data", ""))
        return int(text) if text.isdigit() else 0
