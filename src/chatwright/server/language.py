"""In which language a request wants its refusals."""

from chatwright.server.principal import Language


def language_of(accept_language: str | None) -> Language:
    """The first of our languages that an ``Accept-Language`` header names, by weight; English otherwise."""
    best: tuple[float, Language] = (0.0, "en")
    for part in (accept_language or "")[:1000].split(","):
        tag, _, weight = part.strip().lower().partition(";q=")
        language: Language | None = "zh" if tag.startswith("zh") else "en" if tag.startswith("en") else None
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        if language is not None and quality > best[0]:
            best = (quality, language)
    return best[1]
