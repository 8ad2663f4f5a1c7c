"""What happened to the data on its way in: nothing is left out without a trace."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MAX_PLACES = 20


@dataclass(slots=True)
class DataReport:
    """Counts over one reading of the data. Filled while rows are drawn, complete when they have ended.

    Attributes:
        read: lines or rows met, usable or not.
        kept: rows handed on.
        malformed: lines that could not be used.
        places: the first of them, as ``file:line: reason``.
        dropped: usable rows left out, by reason.
        duplicates: rows left out because an equal or nearly equal one came before.
        changed: rows changed, by what was done (``repaired``, ``redacted``).
        notes: what else a person should know, such as files that were passed over.
    """

    read: int = 0
    kept: int = 0
    malformed: int = 0
    places: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add_malformed(self, place: str, reason: str) -> None:
        """Count a line that cannot be used."""
        self.malformed += 1
        if len(self.places) < MAX_PLACES:
            self.places.append(f"{place}: {reason}")

    def add_note(self, note: str) -> None:
        """Say something once, however often it happens."""
        if note not in self.notes:
            self.notes.append(note)

    def to_json(self) -> dict[str, Any]:
        """All figures as plain values."""
        return {
            "read": self.read,
            "kept": self.kept,
            "malformed": self.malformed,
            "places": list(self.places),
            "dropped": dict(self.dropped.most_common()),
            "duplicates": self.duplicates,
            "changed": dict(self.changed.most_common()),
            "notes": list(self.notes),
        }
