import { expect, it } from "vitest";

import { withMathDelimiters } from "@/markdown/delimiters";
import { settled } from "@/markdown/settled";

const drawn = (text: string) => settled(withMathDelimiters(text));

it.each([
  ["text\n\n##", "text\n\n"],
  ["one\n- ", "one\n"],
  ["one\n2.", "one\n"],
  ["- one\n- **", "- one\n"],
  ["a line\n---", "a line\n"],
  ["text\n``", "text\n"],
  ["text\n```pyth", "text\n"],
  ["```py\nprint(1)\n``", "```py\nprint(1)\n"],
  ["text\n\n| name | val", "text\n\n"],
  ["text\n\n| name | value |\n| --- |", "text\n\n"],
  ["so $$\n\\frac{1}{", "so "],
  ["so \\[ x = \\fr", "so "],
  ["so \\(x^", "so "],
  ["面积是$a^", "面积是"],
  ["area $a^", "area "],
])("%j waits for its end", (text, shown) => expect(drawn(text)).toBe(shown));

it.each([
  "",
  "some **bold",
  "It costs $5 and",
  "- an item",
  "text\n\n| name | value |\n| --- | --- |\n| a",
  "```py\n# a comment\n#",
  "```\n| not | a table",
  "```\ncode\n```\nand text",
  "$$\nx = 1\n$$\nand text",
  "`$$` is a mark",
  "a lonely \\[ bracket\n\nand more text",
])("%j is drawn as it is", (text) => expect(drawn(text)).toBe(text));

it("never lets go of what was drawn, and shows all in the end", () => {
  const text =
    "# A\n\nSome `code` and $x^2$.\n\n```py\na = 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\\[\n\\frac{1}{2}\n\\]\n\nend";
  let last = "";
  for (let end = 0; end <= text.length; end++) {
    const now = drawn(text.slice(0, end));
    expect(now.startsWith(last), JSON.stringify([last, now])).toBe(true);
    last = now;
  }
  expect(last).toBe(withMathDelimiters(text));
});

it("is quick on text made to be slow", () => {
  const started = performance.now();
  for (const text of [
    "$".repeat(20_000),
    "|\n".repeat(20_000),
    "`".repeat(20_000),
    "| ".repeat(20_000),
    " ".repeat(20_000),
  ])
    settled(text);
  expect(performance.now() - started).toBeLessThan(5_000);
});
