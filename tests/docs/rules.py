"""Writes the index of rules into docs/rules.md: ``make rules``."""

from __future__ import annotations

from pathlib import Path

from kgctl.diagnosis.check import index


def main() -> None:
    """Replace what follows the marker of the page."""
    page = Path(__file__).parents[2] / "docs" / "rules.md"
    head, marker, _ = page.read_text(encoding="utf-8").partition("-->\n\n")
    page.write_text(head + marker + index(), encoding="utf-8")


if __name__ == "__main__":
    main()
