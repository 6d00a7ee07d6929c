"""The invariants: what must hold in every history, as predicates that are asked while it runs.

Owns when each is asked and what excuses it. deploy/docs/simulation.md lists them with reasons. The
first that does not hold ends the history.
"""
