"""The pace: how often things are done, and how much of a thing is taken at once.

Owns what sets the rhythm of a gateway and is nobody's setting: in life there is one pace, the
default. It is handed down as one object, so that whoever runs a gateway where time is not the
machine's can bring every edge near: chunks of three, a backlog of eight. Refuses to know promises:
no value here changes what is kept, only when and in what portions.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.model import CHUNK_SIZE


@dataclass(frozen=True, slots=True)
class Pace:
    """The rhythm of one process. Processes on one queue share `chunk_items`: who completes an
    event that another left half way cuts it again, and must come to the same chunks."""

    chunk_items: int = CHUNK_SIZE
    """Items of a chunk at most: one lease, one lookup of devices, one settlement for so many."""

    # --- claiming -----------------------------------------------------------------------------

    claim_chunks: int = 8
    """Chunks claimed at once, for a claim is a transaction."""
    fan_outs: int = 2
    """Chunks fanned out at once: enough to keep the readers busy, and few enough that they leave
    the event loop to webhooks soon, where all their answers come in together. A database that is
    milliseconds away is no reason for more: two each 30 ms are 17 000 deliveries a second."""
    idle_s: float = 0.25
    """Seconds until a queue in a database is looked at again that had nothing, if nobody calls."""
    full_s: float = 0.25
    """Seconds the dispatcher rests while its lanes have no room, unless something is finished."""
    renew_again_s: float = 1.0
    """Seconds until a renewal of leases that failed is tried again; a third of a lease at most."""

    # --- lanes --------------------------------------------------------------------------------

    backlog: int = 2048
    """Deliveries a lane keeps in memory; more stay in the queue, where others can have them."""
    refill_share: float = 0.5
    """The part of the backlog that is left when what waits for the lane is fetched: there is room
    for it then, and the lane does not run dry until it comes."""
    rest_s: float = 2.0
    """A lane that has to be quiet for more seconds gives back what it holds: chunks are finished
    when all of them is, and pushes of other lanes do not wait for it."""
    recheck_s: float = 0.1
    """Seconds until a transport that takes nothing is asked again: it tells nobody when it does."""

    # --- writing ------------------------------------------------------------------------------

    flush_s: float = 0.02
    """Seconds from the first record of a batch to its flush: so long an answer waits for others
    that share its transaction, and so much may come twice after a crash."""
    flush_rows: int = 512
    """Records that are flushed at once, however young they are."""
    slow_s: float = 0.25
    """Seconds after which a flush stops the lanes until it is done: what is not on record when the
    process dies may be sent again, and so it must not grow."""

    # --- duties -------------------------------------------------------------------------------

    beat_s: float = 3.0
    """Seconds between heartbeats: a relay counts as gone after five that are missing."""
    follow_s: float = 1.0
    """Seconds until a lane does what a person has decided about it."""
    watch_s: float = 1.0
    """Seconds between two looks at whether vendors are reached."""
    silent_s: float = 15.0
    """Seconds that nothing of a lane's part may get an answer before the part counts as failing."""
    broken_s: float = 60.0
    """Seconds that a vendor may answer nothing but 5xx before the part counts as failing."""
    reach_s: float = 30.0
    """Seconds between two connections that a failing part makes by itself."""
    reach_soon_s: float = 5.0
    """The same before it counts as failing."""
    fade_s: float = 60.0
    """Seconds in which the weight of a lane's past failures halves, for people who look at it."""
    purge_s: float = 3600.0
    """Seconds between two looks for what is over its retention, which is counted in days."""
    device_counts_s: float = 10.0
    """Seconds between two counts of the devices at least; a slow count waits longer."""
    depth_s: float = 1.0
    """Seconds that a look at the depth of the queue is good for."""
    complete_s: float = 20.0
    """Seconds between two looks for events that an ingest left half way."""
