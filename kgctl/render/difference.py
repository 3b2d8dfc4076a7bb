"""What differs between two networks, for a person, as Markdown for a pull request, and as data."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

from kgctl.mesh.text import printable, some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kgctl.mesh.difference import Change, Difference, Link

_SHOWN = 12
"""Names of a list that are written out."""
_LIMIT = 1000


def difference_to_text(found: Difference) -> str:
    """Return it object by object: what is new after a plus, what is gone after a minus."""
    return "".join(f"{line}\n" for line in _lines(found))


def difference_to_object(found: Difference) -> dict[str, Any]:
    """Return it as JSON has it; ``links`` is null where too much differs to tell."""
    return {
        "changes": [change._asdict() for change in found.changes],
        "links": {
            "lost": [list(link) for link in found.lost],
            "gained": [list(link) for link in found.gained],
        }
        if found.links_compared
        else None,
        "configuredAnew": list(found.configured_anew),
    }


def difference_to_markdown(found: Difference) -> str:
    """Return it as a page of Markdown, for a comment on a pull request."""
    if not found:
        return "No difference in the Kilo network.\n"
    lines = ["| | what | before | after |", "|---|---|---|---|"]
    for change in found.changes:
        what = change.field or ("new" if change.before is None else "gone")
        cells = (_code(_title(change)), what, _code(change.before), _code(change.after))
        lines.append(f"| {' | '.join(cells)} |")
    for title, links in (("Links lost", found.lost), ("Links gained", found.gained)):
        if links:
            lines += ["", f"{title}: " + ", ".join(f"{_code(a)} and {_code(b)}" for a, b in links)]
    lines += ["", *_aftermath(found)]
    return "".join(f"{line}\n" for line in lines).rstrip("\n") + "\n"


def _code(text: str | None) -> str:
    """Return text as code in a cell, in which nothing of it acts."""
    if text is None:
        return ""
    shown = printable(text, _LIMIT).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`" if shown.strip() else ""


def _lines(found: Difference) -> Iterator[str]:
    for title, changes in groupby(found.changes, _title):
        yield from _of_object(printable(title, _LIMIT), list(changes))
    for sign, word, links in (("-", "lost", found.lost), ("+", "gained", found.gained)):
        for one, others in _by_end(links):
            yield f"{sign} link {word}: {one} and {some(others, _SHOWN)}"
    yield from _aftermath(found)


def _title(change: Change) -> str:
    return f"{change.kind} {change.name}".strip()


def _of_object(title: str, changes: Sequence[Change]) -> Iterator[str]:
    if not changes[0].field:
        sign, text = ("+", changes[0].after) if changes[0].before is None else ("-", "")
        yield f"{sign} {title}" + (f": {printable(text, _LIMIT)}" if text else "")
        return
    yield f"  {title}"
    for change in changes:
        before, after = (printable(text or "", _LIMIT) for text in (change.before, change.after))
        yield f"    {change.field}: {before} -> {after}"


def _by_end(links: Sequence[Link]) -> Iterator[tuple[str, list[str]]]:
    """Yield the links by one of their ends, the one that most of them have in common first."""
    left = list(links)
    while left:
        ends = Counter(end for link in left for end in link)
        most = max(sorted(ends), key=ends.__getitem__)
        yield (
            printable(most),
            [
                printable(link.other if link.one == most else link.one)
                for link in left
                if most in link
            ],
        )
        left = [link for link in left if most not in link]


def _aftermath(found: Difference) -> Iterator[str]:
    if not found.links_compared:
        yield "Too much differs to show who loses or gains a link."
    if found.configured_anew:
        names = [printable(name) for name in found.configured_anew]
        yield f"Reconfigured: {some(names, _SHOWN)}"
