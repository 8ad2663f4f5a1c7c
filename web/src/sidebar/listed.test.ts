import { describe, expect, test } from "vitest";

import type { ListedConversation } from "@/api/generated/types.gen";
import { grouped, withChange, type Pages } from "@/sidebar/listed";

const row = (id: string, more: Partial<ListedConversation> = {}): ListedConversation => ({
  id,
  title: id,
  title_by: "none",
  folder_id: null,
  pinned: false,
  archived: false,
  model: null,
  system_prompt: "",
  sampling: {},
  current_id: null,
  created_ms: 0,
  updated_ms: 0,
  group: "today",
  ...more,
});

const pages = (...rows: ListedConversation[][]): Pages => ({
  pages: rows.map((data) => ({ data, has_more: false })),
  pageParams: rows.map(() => null),
});
const ids = (known: Pages) => known.pages.map((page) => page.data.map(({ id }) => id).join(""));

describe("the list after a change", () => {
  const known = pages([row("a"), row("b")], [row("c")]);
  const unfiled = { archived: false } as const;

  test("shows a new name in its place", () => {
    const after = withChange(known, unfiled, "b", { title: "new" });
    expect(ids(after)).toEqual(["ab", "c"]);
    expect(after.pages[0]?.data[1]).toMatchObject({ title: "new", title_by: "person" });
    expect(known.pages[0]?.data[1]?.title).toBe("b");
  });

  test("lets go what is deleted, archived, or moved into a folder, unless it is pinned", () => {
    expect(ids(withChange(known, unfiled, "c", null))).toEqual(["ab", ""]);
    expect(ids(withChange(known, unfiled, "a", { archived: true }))).toEqual(["b", "c"]);
    expect(ids(withChange(known, unfiled, "a", { folder_id: "f" }))).toEqual(["b", "c"]);
    expect(ids(withChange(known, unfiled, "a", { folder_id: "f", pinned: true }))).toEqual(["ab", "c"]);
  });

  test("of a folder and of the archive is their own", () => {
    const folder = pages([row("a", { folder_id: "f" })]);
    expect(ids(withChange(folder, { folderId: "f" }, "a", { folder_id: null }))).toEqual([""]);
    expect(ids(withChange(folder, { folderId: "f" }, "a", { pinned: true }))).toEqual(["a"]);
    const archive = pages([row("a", { archived: true, folder_id: "f" })]);
    expect(ids(withChange(archive, { archived: true }, "a", { title: "x" }))).toEqual(["a"]);
    expect(ids(withChange(archive, { archived: true }, "a", { archived: false }))).toEqual([""]);
  });

  test("is the same where the conversation is not listed", () => {
    expect(withChange(known, unfiled, "z", { title: "new" })).toEqual(known);
  });
});

test("conversations stand under the headings in the order in which they come", () => {
  const rows = [row("a", { group: "pinned" }), row("b"), row("c"), row("d", { group: "2026-04" })];
  expect(grouped(rows).map(({ name, rows: members }) => `${name}:${members.map(({ id }) => id).join("")}`)).toEqual([
    "pinned:a",
    "today:bc",
    "2026-04:d",
  ]);
});
