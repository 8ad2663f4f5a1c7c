import { expect, it } from "vitest";

import type { ChoiceView, MessageView } from "@/api/generated/types.gen";
import { isChosen, pairAt } from "@/chat/core/pair";
import { makeTree } from "@/chat/core/tree";

const message = (id: string, parent: string | null, created: number, change: Partial<MessageView> = {}) =>
  ({
    id,
    parent_id: parent,
    created_ms: created,
    role: "assistant",
    origin: "generated",
    status: "complete",
    content: id,
    ...change,
  }) as MessageView;

const QUESTION = message("q", null, 1, { role: "user" });
const A = message("a", "q", 2);
const B = message("b", "q", 3);
const pairOf = (leaf: MessageView, ...others: MessageView[]) =>
  pairAt(makeTree([QUESTION, leaf, ...others]), leaf)?.map(({ id }) => id) ?? null;

it("finds two answers that were asked for together, in the order of their making", () => {
  expect(pairOf(A, B)).toEqual(["a", "b"]);
  expect(pairOf(B, A)).toEqual(["a", "b"]);
  expect(pairOf(A, { ...B, status: "generating", content: "" })).toEqual(["a", "b"]);
});

it("offers no choice where there is none", () => {
  expect(pairOf(A)).toBeNull();
  expect(pairOf(A, { ...B, created_ms: 5000 })).toBeNull(); // asked for again, later
  expect(pairOf(A, { ...B, origin: "imported" })).toBeNull();
  expect(pairOf(A, { ...B, status: "stopped" })).toBeNull();
  expect(pairOf(A, B, message("next", "b", 9, { role: "user" }))).toBeNull(); // the talk went on
});

it("knows a choice whichever of the two comes first in it", () => {
  const choice = { first_id: "b", second_id: "a", chosen_id: null } as ChoiceView;
  expect(isChosen([A, B], [choice])).toBe(true);
  expect(isChosen([A, { ...B, id: "c" }], [choice])).toBe(false);
});
