import { expect, test } from "vitest";

import { safePlace } from "@/app/places";

test.each([
  ["/c/conv_1?x=1#end", "/c/conv_1?x=1#end"],
  ["/", "/"],
  [undefined, "/"],
  ["https://evil.example", "/"],
  ["//evil.example", "/"],
  ["/\\evil.example", "/"],
  ["javascript:alert(1)", "/"],
  ["", "/"],
])("after signing in, %s leads to %s", (wanted, place) => expect(safePlace(wanted)).toBe(place));
