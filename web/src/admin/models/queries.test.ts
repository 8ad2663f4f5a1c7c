import { expect, test } from "vitest";

import { lineage, modelPath } from "@/admin/models/queries";
import type { ModelInfo } from "@/api/generated/types.gen";

const model = (name: string, parent: string | null) => ({ name, parent }) as ModelInfo;

test("lineage goes back to the first model, and ends in a circle", () => {
  const models = [model("third", "second"), model("second", "first"), model("a", "b"), model("b", "a")];
  expect(lineage(model("third", "second"), models)).toEqual(["second", "first"]);
  expect(lineage(model("a", "b"), models)).toEqual(["b"]);
  expect(lineage(model("first", null), models)).toEqual([]);
});

test("a model's name in a path", () => {
  expect(modelPath("owner/a model?")).toBe("/api/admin/models/owner/a%20model%3F");
});
