import { expect, test } from "vitest";

import { curve, progress } from "@/admin/jobs/curves";
import type { EventObject } from "@/api/generated/types.gen";

let next = 0;
const event = (data: Record<string, unknown>): EventObject => ({
  id: String(next++),
  created_at: 0,
  level: "info",
  message: "",
  type: Object.keys(data).length > 0 ? "metrics" : "message",
  data,
});

const EVENTS = [
  event({ step: 2, valid_loss: 0.9 }),
  event({ step: 2, train_loss: 0.8, total_steps: 4 }),
  event({}),
  event({ step: 1, train_loss: 1.5, total_steps: 4 }),
];

test("training and evaluation of a step stand at the same place, in order of steps", () => {
  expect(curve(EVENTS, "loss", (name) => name)).toEqual({
    x: [1, 2],
    series: [
      { label: "train_loss", values: [1.5, 0.8] },
      { label: "valid_loss", values: [null, 0.9] },
    ],
  });
});

test("what was never measured has no curve", () => {
  expect(curve(EVENTS, "accuracy", (name) => name)).toBeNull();
});

test("the newest word about progress counts", () => {
  expect(progress(EVENTS)).toEqual({ step: 2, total: 4 });
  expect(progress([])).toBeNull();
});
