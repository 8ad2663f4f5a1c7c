"""Under which heading of the list a conversation stands, by the calendar of whoever looks."""

from datetime import UTC, datetime, timedelta


def group_of(time_ms: int, now_ms: int, utc_offset_minutes: int) -> str:
    """``today``, ``yesterday``, ``previous_7_days``, ``previous_30_days``, or a month such as ``2026-04``.

    Args:
        time_ms: when the conversation was last used.
        now_ms: now.
        utc_offset_minutes: of the person's clock: 480 in Beijing, -300 in New York's winter.
    """
    then, now = (_local(ms, utc_offset_minutes) for ms in (time_ms, now_ms))
    days = (now.date() - then.date()).days
    if days <= 0:  # a clock that was set back makes no new heading
        return "today"
    if days == 1:
        return "yesterday"
    if days <= 7:
        return "previous_7_days"
    if days <= 30:
        return "previous_30_days"
    return f"{then.year:04d}-{then.month:02d}"


def _local(time_ms: int, utc_offset_minutes: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC) + timedelta(minutes=utc_offset_minutes)
