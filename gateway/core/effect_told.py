"""An experiment in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.core.effect import Figure
from gateway.core.effect_standing import Asked, Standing
from gateway.core.effect_words import between, listed, number, told
from gateway.core.report import PLATFORMS

_DID = {"completed": "completed", "began": "began"}
_WEEK, _DAY = 168, 24


def lines_of(
    asked: Asked, standing: Standing, view: Mapping[str, Any], span: str, zone: str
) -> list[str]:
    """The experiment, a line a thought."""
    lines = [_head(asked, view, span, zone)]
    if not standing.rows:
        return [*lines, "Too few people are through their time yet: nothing can be told."]
    if view["state"] == "so_far":
        lines.append("So far, while people still come in:")
    for place, (name, figure) in enumerate(standing.figures.items()):
        before = "" if place == 0 else f"{name.capitalize()}: "
        first, *others = told(figure, did(name, asked.types[name]), asked.window_h) or [""]
        lines += [before + first, *others]
        lines += _late(view["outcomes"][place], figure)
    lines.append(_counted(view))
    if view["way"]:
        lines.append(_way(view["way"]))
    lines += _parts(standing)
    if view["also_got"]:
        lines.append(f"Of the held, {number(view['also_got'])} also got pushes for other places.")
    return lines


def did(outcome: str, types: Sequence[str]) -> str:
    """What people did, by the names of its events: `completed a course`."""
    course = all("course" in one for one in types)
    return f"{_DID[outcome]} {'a course' if course else 'something'}"


def each(hours: int) -> str:
    """How long a window is, for each: `one week each`."""
    if hours % _WEEK == 0:
        return "one week each" if hours == _WEEK else f"{hours // _WEEK} weeks each"
    if hours % _DAY == 0:
        return "one day each" if hours == _DAY else f"{hours // _DAY} days each"
    return f"{hours} hours each"


def _head(asked: Asked, view: Mapping[str, Any], span: str, zone: str) -> str:
    apps = view["apps"]
    named = f", app{'s' if len(apps) > 1 else ''} {listed(apps)}" if apps else ""
    days = f", {span}" if span else ""
    where = f"Reminders to {listed(asked.paths)}{named}{days}"
    return f"{where} ({asked.id}; {each(asked.window_h)}; days of {zone})"


def _late(outcome: Mapping[str, Any], figure: Figure) -> Iterator[str]:
    if figure.interval is not None and outcome["late"] != 0:
        count = "Fewer than 20" if outcome["late"] is None else number(outcome["late"])
        yield f"{count} came later than expected, and are counted in."


def _counted(view: Mapping[str, Any]) -> str:
    days = each(view["window_h"]).removesuffix(" each").replace("one ", "a ").replace(" 1 ", " ")
    held = f"{number(view['held'])} held back for {days} by lot"
    line = f"Counted: {number(view['reminded'])} people reminded, {held}"
    out = view["left_out"]
    if out:
        why = ", ".join(f"{number(count)} {reason}" for reason, count in out.items())
        line += f", {number(sum(out.values()))} left out ({why})"
    return f"{line}."


def _way(way: Mapping[str, Any]) -> str:
    line = f"On the way, of the reminded: the vendor took {way['taken_of_100']} in 100"
    if way["shown_of_100"] is None:
        return f"{line}."
    return (
        f"{line}; of {number(way['phones_that_can_tell'])} phones that can tell, "
        f"{way['shown_of_100']} in 100 showed it and {way['opened_of_100']} in 100 were tapped."
    )


def _parts(standing: Standing) -> Iterator[str]:
    if len(standing.parts) + (standing.others is not None) < 2:
        return
    for (app, platform), figure in standing.parts.items():
        name = f"  {app} on {PLATFORMS.get(platform, platform)}"
        found = figure.interval
        yield f"{name}: {'too few to tell' if found is None else between(found) + ' in 100'}."
