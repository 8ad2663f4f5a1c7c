import { expect, test } from "vitest";

import { comparedWith, lines } from "@/admin/comparison";
import type { EvaluationInfo } from "@/api/generated/types.gen";

const figure = (value: number, half: number) => ({ value, low: value - half, high: value + half });

test.each([
  ["accuracy", 0.5, 0.9, "better"],
  ["accuracy", 0.9, 0.5, "worse"],
  ["accuracy", 0.5, 0.55, "same"],
  ["perplexity", 9, 12, "worse"],
  ["perplexity", 12, 9, "better"],
])("%s from %d to %d is %s", (name, from, to, verdict) => {
  expect(comparedWith(figure(from, 0.04), figure(to, 0.04), name)).toBe(verdict);
});

test("every figure has a line of its own, once", () => {
  const report = (task: string, name: string) =>
    ({ tasks: { [task]: { kind: "exact", n: 1, figures: { [name]: figure(1, 0) } } } }) as unknown as EvaluationInfo;
  expect(lines([report("a", "accuracy"), report("a", "accuracy"), report("b", "f1")])).toEqual([
    { task: "a", figure: "accuracy" },
    { task: "b", figure: "f1" },
  ]);
});
