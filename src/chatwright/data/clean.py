"""Rows mended, and left out where they are not worth learning, with a reason each."""

from chatwright.data.language import Language, Script, count_words, language_of
from chatwright.data.mend import normalized, repaired
from chatwright.data.quality import flaw
from chatwright.data.repetition import repetition
from chatwright.data.report import DataReport
from chatwright.data.row_texts import learned_texts, texts_of, with_texts
from chatwright.data.rows import Row, Text
from chatwright.data.settings import CleanSettings


class Cleaner:
    """Mends rows and says which to leave out.

    Args:
        settings: what is done.
        report: counts what was changed and what was dropped.
    """

    def __init__(self, settings: CleanSettings, report: DataReport) -> None:
        self._settings = settings
        self._report = report

    def __call__(self, row: Row) -> Row | None:
        """The row, mended; None, and a reason in the report, where it is to be left out."""
        mended = self._mended(row)
        reason = self._reason(mended)
        if reason is None:
            return mended
        self._report.dropped[reason] += 1
        return None

    def _mended(self, row: Row) -> Row:
        for wanted, mend, name in (
            (self._settings.repair, repaired, "repaired"),
            (self._settings.normalize, normalized, "normalized"),
        ):
            before = row
            row = with_texts(row, mend) if wanted else row
            if row is not before:
                self._report.changed[name] += 1
        return row

    def _reason(self, row: Row) -> str | None:
        settings = self._settings
        text = "\n".join(texts_of(row))
        script = Script.of(text)
        language = language_of(text, script)
        if settings.languages is not None and language not in settings.languages:
            return f"language: {language}"
        if settings.repetition:
            for learned in learned_texts(row):
                if found := repetition(learned, is_chinese=language == "zh"):
                    return found
        return self._prose_flaw(row.text, language, script) if isinstance(row, Text) else None

    def _prose_flaw(self, text: str, language: Language, script: Script) -> str | None:
        settings = self._settings
        if settings.min_words or settings.max_words is not None:
            words = count_words(text, script)
            if words < settings.min_words:
                return "too short"
            if settings.max_words is not None and words > settings.max_words:
                return "too long"
        return flaw(text, language, script) if settings.quality else None
