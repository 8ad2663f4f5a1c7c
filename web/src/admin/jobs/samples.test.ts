import { expect, test } from "vitest";

import { bySteps } from "@/admin/jobs/samples";

test("answers of one step stand together, the newest step first", () => {
  const sample = (step: number, prompt: string) => ({ step, prompt, answer: "4" });
  const newestFirst = [sample(20, "b"), sample(20, "a"), sample(10, "b"), sample(10, "a")];
  expect(bySteps(newestFirst).map(({ step, samples }) => [step, samples.map(({ prompt }) => prompt)])).toEqual([
    [20, ["b", "a"]],
    [10, ["b", "a"]],
  ]);
});
