"""The report as one HTML file: no script, nothing that is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from gateway.cli.report import NOTHING, amount, few, name_of, way_in_words

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5a6473; --line: #d9dee6; --page: #fff;
  --bar: #2f6f9f; --rest: #e6ebf1; --mend: #fff6e0; --edge: #b8860b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #a3adba; --line: #333c49;
  --page: #14181f; --bar: #6fb1dc; --rest: #2a323e; --mend: #2b2412; --edge: #d9a93a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 3rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; }
.soft { color: var(--soft); font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th:first-child, td:first-child { min-width: 5.5rem; }
th, td { text-align: left; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: .9rem; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { display: block; height: .5rem; min-width: 4rem; background: var(--rest);
  border-radius: .25rem; overflow: hidden; margin-top: .3rem; }
@media (max-width: 40rem) { table { font-size: .9rem; } th, td { padding-right: .4rem; }
  th { font-size: .8rem; } .bar { min-width: 2rem; } }
.bar i { display: block; height: 100%; background: var(--bar); }
ol.mend { background: var(--mend); border-left: 4px solid var(--edge); margin: 0;
  padding: .75rem 1rem .75rem 2.25rem; }
ol.mend li { margin: .25rem 0; overflow-wrap: anywhere; }
.head { overflow-wrap: anywhere; }
@media print { body { max-width: none; } }
"""


def page_of(found: Mapping[str, Any]) -> str:
    """The page of a report."""
    return "\n".join(_page(found)) + "\n"


def _page(found: Mapping[str, Any]) -> Iterator[str]:
    title = f"Pushes of {found['span']}" if found["days"] else "Pushes"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
    yield f"<h1>{escape(title)}</h1>"
    yield f'<p class="soft">Days of {escape(found["zone"])}; made {moment(found["made_at"])}.</p>'
    yield from mend(found["mend"])
    if not found["days"]:
        yield f"<p>{NOTHING}</p>"
    elif not found["people"]["people"]:
        yield "<p>On none of these days were there 20 people or more: nothing is told of them.</p>"
    else:
        yield "<h2>How far pushes came</h2>"
        everybody = found["people"]
        count = amount(everybody["people"])
        yield f"<p>For {count} people, each counted once a day: {way_in_words(everybody)}</p>"
        yield from table(
            ("", "People", "Taken", "Can tell", "Shown", "Tapped"), map(_cell, found["cells"])
        )
        yield '<p class="soft">Of 100 each; shown and tapped of those whose phones can tell.</p>'
    for one in found["effect"]:
        head, *said = one["words"]
        yield f"<h2>{escape(head)}</h2>"
        yield from (f"<p>{escape(line)}</p>" for line in said)
    if found["reasons"]:
        yield "<h2>Why pushes reached nobody</h2>"
        rows = ((escape(one["text"]), amount(one["people"])) for one in found["reasons"])
        yield from table(("", "People"), rows)
    learning = found["learning"]
    if learning["types"]:
        yield "<h2>Learning events that are kept</h2>"
        kinds = (
            (escape(one["type"]), few(one["events"], "&lt; 20"), one["last_on"])
            for one in learning["types"]
        )
        yield from table(("", "Events", "Last"), kinds)
        head = f"The chain's head at {learning['number']}: {learning['head']}"
        yield f'<p class="soft head">{head}</p>'
    if found["phones"]:
        yield "<h2>Phones</h2>"
        names = ("", "In service", "Came", "Went", "Show nothing", "Silent")
        yield from table(names, map(_phone, found["phones"]))
        yield '<p class="soft">Of 100 phones: those that show nothing, as notifications are off'
        yield "there, and those not heard of for 60 days.</p>"
    yield '<p class="soft">Whole days only. Nothing is told of fewer than 20 people; counts under'
    yield "1 000 are rounded to 5.</p>\n</body>\n</html>"


def moment(at: str) -> str:
    """`2026-12-01 05:05 UTC`."""
    return f"{escape(at[:10])} {escape(at[11:16])} UTC"


def mend(advice: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """What to mend first."""
    if advice:
        yield '<h2>To mend first</h2>\n<ol class="mend">'
        for one in advice:
            yield f"<li>{escape(one['what'])} {escape(one['do'])}</li>"
        yield "</ol>"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of cells that are HTML already; all but the first are numbers."""
    yield '<div class="wide"><table>'
    yield f"<thead>{_row('th', map(escape, names))}</thead><tbody>"
    for row in rows:
        yield _row("td", row)
    yield "</tbody></table></div>"


def _row(tag: str, cells: Iterable[str]) -> str:
    first, *others = cells
    numbers = "".join(f'<{tag} class="n">{cell}</{tag}>' for cell in others)
    return f"<tr><{tag}>{first}</{tag}>{numbers}</tr>"


def _cell(cell: Mapping[str, Any]) -> tuple[str, ...]:
    shares = (cell["taken_of_100"], cell["shown_of_100"], cell["opened_of_100"])
    taken, shown, opened = map(share, shares)
    tell = amount(cell["phones_that_can_tell"])
    return escape(name_of(cell)), amount(cell["people"]), taken, tell, shown, opened


def _phone(one: Mapping[str, Any]) -> tuple[str, ...]:
    counts = (few(one[name], "&lt; 20") for name in ("active", "won", "lost"))
    return escape(name_of(one)), *counts, share(one["muted_of_100"]), share(one["silent_of_100"])


def share(of_100: int | None) -> str:
    """A share of 100, with a bar; a dash where there is none."""
    if of_100 is None:
        return "-"
    return f'{of_100}<span class="bar"><i style="width:{of_100}%"></i></span>'
