import { expect, it } from "vitest";

import { withMathDelimiters } from "@/markdown/delimiters";

it.each([
  ["Euler: \\(e^{i\\pi}\\).", "Euler: $$e^{i\\pi}$$."],
  ["面积是$a^2$，周长是$4a$。", "面积是$$a^2$$，周长是$$4a$$。"],
  ["so \\[x = 1\\] holds", "so \n$$\nx = 1\n$$\n holds"],
  ["$$\ny = 2\n$$", "$$\ny = 2\n$$"],
])("%j is a formula", (given, made) => expect(withMathDelimiters(given)).toBe(made));

it.each([
  "It costs $5 and then $10.",
  "From $5 to $7, US$20",
  "`$x$` and ``\\(y\\)``",
  "```sh\necho $HOME $PATH\n```",
  "~~~\n\\[not math\\]\n~~~",
  "a growing block\n```sh\necho $HOME$",
  "an escaped \\$x$",
])("%j is left alone", (text) => expect(withMathDelimiters(text)).toBe(text));

it("is quick on text made to be slow", () => {
  const started = performance.now();
  for (const text of ["$".repeat(20_000), "\\(".repeat(20_000), "`".repeat(20_000), "```\n".repeat(5_000)])
    withMathDelimiters(text);
  expect(performance.now() - started).toBeLessThan(5_000);
});
