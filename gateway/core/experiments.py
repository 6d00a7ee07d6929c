"""Experiments: what is fixed of one, as it is written down, and when it may begin. Pure.

Owns the terms: what was fixed goes on whatever the configuration file says later, and a file that
says otherwise is refused, setting by setting.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from gateway.core.effect import Terms, people_needed
from gateway.core.effect_standing import Asked

Person = Literal["user_id", "custom_id"]

MOST_S = 60 * 86_400.0
"""People enter for so long at most."""
_HOUR_S, _DAY_S = 3_600.0, 86_400.0
#: of the people who are held, how many complete something, before anybody knows better
_BASE = 0.3


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is fixed when people begin to enter. `holdout` is a share; paths may end in `*`; `main`
    says which of the two lists of event types is the main figure; `worth_points` is the lift worth
    having, in people of 100."""

    id: str
    holdout: float
    sources: tuple[str, ...]
    paths: tuple[str, ...]
    never_paths: tuple[str, ...] = ()
    person: Person = "user_id"
    window_h: int = 168
    completed: tuple[str, ...] = ()
    began: tuple[str, ...] = ()
    main: str = "completed"
    settle_days: int = 3
    worth_points: float = 3.0
    make_up: bool = True

    @property
    def window_s(self) -> float:
        """For how long a person is held."""
        return self.window_h * _HOUR_S

    @property
    def settle_s(self) -> float:
        """How long after a window an outcome may become known."""
        return self.settle_days * _DAY_S

    @property
    def types(self) -> dict[str, tuple[str, ...]]:
        """The event types of each outcome."""
        return {"completed": self.completed, "began": self.began}

    @property
    def planned(self) -> int:
        """How many people find a lift of `worth_points` in 8 of 10 experiments."""
        return people_needed(base=_BASE, lift=self.worth_points / 100, holdout=self.holdout)

    def asked(self, *, ended: bool) -> Asked:
        """It, as far as its figure needs it."""
        terms = Terms(self.holdout, self.worth_points / 100, self.planned)
        return Asked(self.id, self.paths, self.window_h, terms, self.main, self.types, ended)


def text_of(experiment: Experiment) -> str:
    """The terms as they are kept."""
    return json.dumps(asdict(experiment), sort_keys=True)


def experiment_in(text: str) -> Experiment:
    """The terms that are kept. What a later version added is left out."""
    document: dict[str, Any] = json.loads(text)
    names = [one.name for one in fields(Experiment)]
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value := document[name], list) else value
        for name in names
        if name in document
    }
    return Experiment(**given)


def changed(kept: Experiment, asked: Experiment) -> Sequence[str]:
    """The settings in which the file now differs from what was fixed."""
    names = [one.name for one in fields(Experiment)]
    return [name for name in names if getattr(kept, name) != getattr(asked, name)]
