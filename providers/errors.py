"""The one error that the vendors' rooms raise: a credential that cannot work.

Refuses to hold a secret: problems name files, fields and what to do, never their content.
"""

from __future__ import annotations

from collections.abc import Sequence


class CredentialError(Exception):
    """A credential cannot work. `problems`: one sentence each, with what to do about it."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
