import { expect, test } from "vitest";

import { cut } from "@/palette/cut";

const shown = (text: string, places: [number, number][]) =>
  cut(text, places)
    .map((piece) => (piece.found ? `[${piece.text}]` : piece.text))
    .join("");

test.each<[string, [number, number][], string]>([
  ["a red apple", [[2, 5]], "a [red] apple"],
  ["天空是蓝色的", [[0, 2]], "[天空]是蓝色的"],
  ["😀 sky 😀 blue", [[8, 12], [2, 5]], "😀 [sky] 😀 [blue]"], // prettier-ignore
  ["overlapping", [[0, 4], [2, 6]], "[over][la]pping"], // prettier-ignore
  ["nothing", [], "nothing"],
  ["short", [[2, 99]], "sh[ort]"],
  ["", [], ""],
])("what was looked for is marked in %s", (text, places, expected) => expect(shown(text, places)).toBe(expected));
