import { afterEach, describe, expect, it, vi } from "vitest";

import type { MessageView } from "@/api/generated/types.gen";
import { send } from "@/api/http";
import { characters, grow, NOTHING } from "@/chat/core/answer";
import { attach } from "@/chat/core/attach";
import { readEvents } from "@/chat/core/events";
import { branchTo, makeTree, newestLeaf, placeOf } from "@/chat/core/tree";

function message(id: string, parent: string | null, created: number): MessageView {
  return { id, parent_id: parent, created_ms: created, content: id, reasoning: "" } as MessageView;
}

function sse(...events: string[]): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(events.join(""));
  return new ReadableStream({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte)); // every split there is
      controller.close();
    },
  });
}

const delta = (text: string, offset: number) => `event: delta\ndata: ${JSON.stringify({ text, offset })}\n\n`;
const done = (text: string) =>
  `event: done\ndata: ${JSON.stringify({ message: { content: text, reasoning: "" } })}\n\n`;

afterEach(() => vi.unstubAllGlobals());

describe("a growing answer", () => {
  it("counts characters as the server does", () => {
    expect(characters("你好😀a")).toBe(4);
    expect(characters("\ud800a")).toBe(2);
  });

  it("puts each piece at its place, also one that overlaps or begins anew", () => {
    let answer = grow(NOTHING, { kind: "delta", text: "你好😀", offset: 0 });
    answer = grow(answer, { kind: "delta", text: "😀，世界", offset: 2 });
    expect(answer.text).toBe("你好😀，世界");
    expect(grow(answer, { kind: "delta", text: "anew", offset: 0 }).text).toBe("anew");
  });

  it("reads events whatever the pieces in which they arrive", async () => {
    const seen = [];
    for await (const { event } of readEvents(sse(": keep-alive\n\n", delta("中文", 0), "event: new\ndata: {}\n\n"))) {
      seen.push(event);
    }
    expect(seen).toEqual([{ kind: "delta", text: "中文", offset: 0 }, null]);
  });

  it("goes on after a lost connection where it was", async () => {
    const asked: string[] = [];
    const answers = [sse(delta("one 😀", 0)), null, sse(delta(" two", 5), done("one 😀 two"))];
    vi.stubGlobal("fetch", (url: string) => {
      asked.push(url);
      const body = answers.shift();
      return body ? Promise.resolve(new Response(body)) : Promise.reject(new TypeError("network"));
    });
    const lost: boolean[] = [];
    const answer = await attach({
      open: (known, signal) => send("/api/messages/m/events", { query: { ...known }, signal }),
      from: NOTHING,
      signal: new AbortController().signal,
      onChange: () => undefined,
      onLost: (is) => lost.push(is),
      delay: () => 0,
    });
    expect(answer.text).toBe("one 😀 two");
    expect(asked.map((url) => new URL(url, "http://x").searchParams.get("offset"))).toEqual(["0", "5", "5"]);
    expect(lost).toEqual([true, true, false]);
  });

  it("does not ask again for an answer that is gone", async () => {
    const body = { error: { message: "there is no message", type: "", param: null, code: "message_not_found" } };
    const fetched = vi.fn(() => Promise.resolve(Response.json(body, { status: 404 })));
    vi.stubGlobal("fetch", fetched);
    const signal = new AbortController().signal;
    await expect(attach({ open: () => send("/x"), from: NOTHING, signal, onChange: () => undefined })).rejects.toThrow(
      "no message",
    );
    expect(fetched).toHaveBeenCalledOnce();
  });
});

describe("a tree of messages", () => {
  //  a ── b ── c
  //   └── d ── e, f (siblings)
  const tree = makeTree([
    message("a", null, 1),
    message("b", "a", 2),
    message("c", "b", 3),
    message("d", "a", 4),
    message("e", "d", 5),
    message("f", "d", 6),
  ]);
  const ids = (messages: readonly MessageView[]) => messages.map(({ id }) => id).join("");

  it("shows the branch of a leaf, and the newest where none is chosen", () => {
    expect(ids(branchTo(tree, "c"))).toBe("abc");
    expect(ids(branchTo(tree, null))).toBe("adf");
    expect(ids(branchTo(tree, "deleted"))).toBe("adf");
  });

  it("knows alternatives and where they lead", () => {
    const b = tree.byId.get("b") as MessageView;
    expect(placeOf(tree, b)).toMatchObject({ index: 0 });
    expect(ids(placeOf(tree, b).siblings)).toBe("bd");
    expect(newestLeaf(tree, "d")?.id).toBe("f");
    expect(newestLeaf(tree, "c")?.id).toBe("c");
  });

  it("survives parents that are missing or go in circles", () => {
    expect(ids(branchTo(makeTree([message("x", "gone", 1)]), "x"))).toBe("x");
    expect(branchTo(makeTree([message("x", "y", 1), message("y", "x", 2)]), "x").length).toBeLessThanOrEqual(2);
  });
});
