"""`inkpush bench`, and what it is made of: stand-ins, a gateway, and a sender, each measurable.

`bench` is the command; `vendors` starts what answers (`nginx` or the sandbox), `served` a gateway
of its own, `posting` signs and posts batches, `processes` starts, measures and ends processes.
The benchmarks of the repository (tests/benchmarks) are built from the same parts.
"""
