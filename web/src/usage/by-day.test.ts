import { describe, expect, test } from "vitest";

import type { UsageSum } from "@/api/generated/types.gen";
import { stacked } from "@/ui/chart/series";
import { byDay, daysUntil } from "@/usage/by-day";

const DAY = 86_400;

function sum(day: number, model: string, tokens: number): UsageSum {
  return {
    start_ms: day * 1000,
    user_id: null,
    user_name: null,
    model,
    requests: 1,
    prompt_tokens: tokens - 1,
    completion_tokens: 1,
  };
}

describe("byDay", () => {
  const days = [0, DAY, 2 * DAY];
  const chart = (rows: UsageSum[]) =>
    byDay({ rows, days, measure: "tokens", kind: (row) => row.model ?? "", others: "others" });

  test("days without use are there, the kind with the most comes first", () => {
    const { x, series } = chart([sum(0, "small", 3), sum(2 * DAY, "large", 9), sum(2 * DAY, "small", 2)]);
    expect(x).toEqual(days);
    expect(series).toEqual([
      { label: "large", values: [0, 0, 9] },
      { label: "small", values: [3, 0, 2] },
    ]);
  });

  test("kinds that have no colour left are added up", () => {
    const { series } = chart(Array.from({ length: 9 }, (_, index) => sum(DAY, `model ${index}`, 100 - index)));
    expect(series.map(({ label }) => label)).toEqual(["model 0", "model 1", "model 2", "model 3", "model 4", "others"]);
    expect(series.at(-1)?.values[1]).toBe(95 + 94 + 93 + 92);
  });

  test("the newest day is today, for the reader", () => {
    const now = new Date();
    const found = daysUntil(now, 30);
    expect(found).toHaveLength(30);
    const today = found.at(-1) ?? 0;
    expect(now.getTime() / 1000 - today).toBeLessThan(DAY);
    expect(new Date(today * 1000).getHours()).toBe(0);
  });
});

test("bars that stand on each other are drawn from the highest down", () => {
  const series = [
    { label: "a", values: [1, null] },
    { label: "b", values: [2, 5] },
  ];
  expect(stacked(series)).toEqual([
    [3, 5],
    [1, 0],
  ]);
});
