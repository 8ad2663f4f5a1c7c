import { expect, test } from "vitest";

import { faultOf, samplingOf, textsOf } from "@/chat/setup/parameters";

test("a sampling survives its fields", () => {
  const sampling = { temperature: 0, top_p: 0.9, seed: 7, stop: ["END", " two words "], thinking: false };
  expect(samplingOf(textsOf(sampling))).toEqual(sampling);
});

test("what is left empty is not sent", () => {
  expect(samplingOf(textsOf({ temperature: null }))).toEqual({});
});

test("numbers are held to their bounds", () => {
  expect(faultOf("temperature", "2.1")).toBe("range");
  expect(faultOf("temperature", "warm")).toBe("range");
  expect(faultOf("max_tokens", "0")).toBe("range");
  expect(faultOf("max_tokens", "1.5")).toBe("whole");
  expect(faultOf("presence_penalty", "-2")).toBeNull();
});

test("nothing is sent while something is wrong", () => {
  const fine = textsOf({});
  expect(samplingOf({ ...fine, numbers: { ...fine.numbers, top_k: "-1" } })).toBeNull();
  expect(samplingOf({ ...fine, stop: "a\nb\nc\nd\ne" })).toBeNull();
});
