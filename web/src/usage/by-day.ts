/** Sums of the server as bars: one for each day, a colour for each kind. */

import type { UsageSum } from "@/api/generated/types.gen";
import { MOST_SERIES, type ChartData } from "@/ui/chart/series";

export type Measure = "tokens" | "requests";

export function amount(row: UsageSum, measure: Measure): number {
  return measure === "requests" ? row.requests : row.prompt_tokens + row.completion_tokens;
}

/** Minutes by which the reader's days are ahead of UTC. */
export function utcOffset(now: Date = new Date()): number {
  return -now.getTimezoneOffset();
}

/** The days' first seconds, the oldest first; a day on which clocks change is counted as any other. */
export function daysUntil(now: Date, count: number): number[] {
  const shift = utcOffset(now) * 60;
  const today = Math.floor((now.getTime() / 1000 + shift) / 86_400);
  return Array.from({ length: count }, (_, index) => (today - count + 1 + index) * 86_400 - shift);
}

interface ByDay {
  rows: readonly UsageSum[];
  days: readonly number[];
  measure: Measure;
  kind: (row: UsageSum) => string;
  /** The name of what has no colour of its own. */
  others: string;
}

/** The kinds with the most come first; those that have no colour left are one. */
export function byDay({ rows, days, measure, kind, others }: ByDay): ChartData {
  const totals = new Map<string, number>();
  for (const row of rows) totals.set(kind(row), (totals.get(kind(row)) ?? 0) + amount(row, measure));
  const ranked = [...totals].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const own = ranked.length > MOST_SERIES ? ranked.slice(0, MOST_SERIES - 1) : ranked;
  const labels = ranked.length > own.length ? [...own, others] : own;
  const place = new Map(days.map((day, index) => [day, index]));
  const series = labels.map((label) => ({ label, values: days.map(() => 0) }));
  for (const row of rows) {
    const index = place.get((row.start_ms ?? 0) / 1000);
    const values = (series[own.indexOf(kind(row))] ?? series.at(-1))?.values;
    if (index !== undefined && values) values[index] = (values[index] ?? 0) + amount(row, measure);
  }
  return { x: days, series };
}
