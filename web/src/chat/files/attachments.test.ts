import { expect, test } from "vitest";

import { excessOf, type AttachedFile } from "@/chat/files/attachments";

const file = (id: number, tokens: number, limit: number | null): AttachedFile => ({
  id,
  name: `${id}.txt`,
  state: "read",
  view: { name: `${id}.txt`, text: "", characters: 0, tokens, context_length: limit, model: "small", pages: null },
});

test("files that fit one by one may be too much together", () => {
  expect(excessOf([file(0, 600, 1000)])).toBeNull();
  expect(excessOf([file(0, 600, 1000), file(1, 400, 1000)])).toEqual({ tokens: 1000, limit: 1000, model: "small" });
});

test("a model that does not say its length refuses nothing here", () => {
  expect(excessOf([file(0, 1_000_000, null)])).toBeNull();
});

test("what was not read counts for nothing", () => {
  expect(excessOf([{ id: 0, name: "a.txt", state: "refused", why: "too long" }, file(1, 10, 100)])).toBeNull();
});
