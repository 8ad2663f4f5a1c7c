const HOUR_MS = 3_600_000;

/** How long one waits: counted down by seconds below an hour, else the time of day or the day when it ends. */
export function waitingTime(untilMs: number, nowMs: number, language: string): { left: string } | { at: string } {
  const leftMs = Math.max(0, untilMs - nowMs);
  if (leftMs < HOUR_MS) {
    const seconds = Math.ceil(leftMs / 1000);
    return { left: `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` };
  }
  const sameDay = new Date(untilMs).toDateString() === new Date(nowMs).toDateString();
  const form: Intl.DateTimeFormatOptions = { ...(sameDay ? {} : { dateStyle: "medium" }), timeStyle: "short" };
  return { at: new Intl.DateTimeFormat(language, form).format(untilMs) };
}
