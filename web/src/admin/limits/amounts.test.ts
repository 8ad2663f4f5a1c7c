import { expect, test } from "vitest";

import { readAmounts, typedAmounts, UNLIMITED } from "@/admin/limits/amounts";

test("what is typed is what a rule says, and the other way round", () => {
  const rule = { requests_per_hour: 3, tokens_per_day: null };
  const typed = typedAmounts(rule);
  expect(typed.requests_per_hour).toBe("3");
  expect(typed.tokens_per_day).toBe(UNLIMITED);
  expect(typed.requests_per_day).toBe("");
  expect(readAmounts(typed)).toEqual(rule);
});

test.each(["0", "-1", "1.5", "many", "1e3", "9999999999999"])("%s is no amount", (text) => {
  expect(readAmounts({ ...typedAmounts({}), requests_per_day: text })).toBeNull();
});
