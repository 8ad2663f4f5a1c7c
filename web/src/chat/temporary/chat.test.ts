import { afterEach, expect, test, vi } from "vitest";

import { branchTo, makeTree } from "@/chat/core/tree";
import { isStored } from "@/chat/temporary/message";
import { TemporaryChat } from "@/chat/temporary/chat";

afterEach(() => vi.unstubAllGlobals());

const stream = (...events: [string, object][]) =>
  new Response(events.map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join(""));

const answered = (content: string) =>
  stream(
    ["started", { id: "tmp_1" }],
    ["delta", { text: content, offset: 0 }],
    [
      "done",
      { message: { content, reasoning: "", status: "complete", finish_reason: "stop", error: null, model: "m" } },
    ],
  );

const asked: unknown[] = [];

function serve(...answers: (() => Response)[]): void {
  asked.length = 0;
  vi.stubGlobal("fetch", (url: string, { method, body }: { method: string; body?: string }) => {
    asked.push(method === "POST" && body ? JSON.parse(body) : url);
    const answer = answers.shift();
    return answer ? Promise.resolve(answer()) : Promise.reject(new TypeError("network"));
  });
}

const shown = (chat: TemporaryChat) => {
  const { messages, leafId } = chat.store.getState();
  return branchTo(makeTree(messages), leafId);
};
const texts = (chat: TemporaryChat) => shown(chat).map(({ content }) => content);
const ended = (chat: TemporaryChat) => vi.waitFor(() => expect(shown(chat).at(-1)?.status).not.toBe("generating"));

test("the page tells the server all that was said, with the setup", async () => {
  serve(
    () => answered("one"),
    () => answered("two"),
  );
  const chat = new TemporaryChat();
  chat.setUp({ system_prompt: "Be brief." });
  await chat.ask("first", null);
  await ended(chat);
  await chat.ask("second", shown(chat).at(-1)?.id ?? null);
  await ended(chat);
  expect(texts(chat)).toEqual(["first", "one", "second", "two"]);
  expect(asked[1]).toMatchObject({
    system_prompt: "Be brief.",
    messages: [
      { role: "user", content: "first" },
      { role: "assistant", content: "one" },
      { role: "user", content: "second" },
    ],
  });
  expect(shown(chat).some(isStored)).toBe(false);
});

test("answers and questions have alternatives", async () => {
  serve(
    () => answered("one"),
    () => answered("another"),
    () => answered("to the new question"),
  );
  const chat = new TemporaryChat();
  await chat.ask("first", null);
  await ended(chat);
  const [question, answer] = shown(chat);
  if (!question || !answer) throw new Error("nothing was said");
  await chat.regenerate(answer);
  await ended(chat);
  expect(texts(chat)).toEqual(["first", "another"]);
  chat.showSibling(answer, 0);
  expect(texts(chat)).toEqual(["first", "one"]);
  await chat.edit(question, "changed");
  await ended(chat);
  expect(texts(chat)).toEqual(["changed", "to the new question"]);
});

test("a refused question was never asked", async () => {
  serve(() => Response.json({ error: { message: "later", code: null, param: null } }, { status: 429 }));
  const chat = new TemporaryChat();
  await expect(chat.ask("first", null)).rejects.toThrow("later");
  expect(chat.store.getState().messages).toEqual([]);
});

test("a lost connection is taken up again where it broke", async () => {
  serve(
    () => stream(["started", { id: "tmp_1" }], ["delta", { text: "half", offset: 0 }]),
    () => answered("half and half"),
  );
  const chat = new TemporaryChat();
  await chat.ask("first", null);
  await ended(chat);
  expect(texts(chat)).toEqual(["first", "half and half"]);
  expect(asked[1]).toBe("/api/temporary/answers/tmp_1/events?offset=4&reasoning_offset=0");
});

test("an answer that the server has let go of keeps what arrived", async () => {
  serve(
    () => stream(["started", { id: "tmp_1" }], ["delta", { text: "half", offset: 0 }]),
    () => Response.json({ error: { message: "gone", code: null, param: null } }, { status: 404 }),
  );
  const chat = new TemporaryChat();
  await chat.ask("first", null);
  await ended(chat);
  expect(shown(chat).at(-1)).toMatchObject({ content: "half", status: "interrupted" });
});

test("closing forgets everything", async () => {
  serve(() => answered("one"));
  const chat = new TemporaryChat();
  await chat.ask("first", null);
  chat.close();
  expect(chat.store.getState().messages).toEqual([]);
});
