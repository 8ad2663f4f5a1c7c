/** A server with OpenAI's API whose model says what the last message tells it to, as fast as that says. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export const MODEL = "parrot";

interface ChatBody {
  messages: { role: string; content: string }[];
  stream?: boolean;
}

interface Script {
  text: string;
  /** Pieces of about a token each; 0 is as fast as it goes. */
  perSecond: number;
}

/**
 * `say 40/s: Hello` is answered with "Hello", forty tokens a second; `say: Hello` at once; anything else politely. At
 * `[wait name]` the model says no more until `goOn("name")`.
 */
export function scriptOf(message: string): Script {
  const told = /say(?: (\d+)\/s)?: ?([\s\S]*)$/.exec(message);
  if (!told) return { text: "Certainly.", perSecond: 0 };
  return { text: told[2] ?? "", perSecond: Number(told[1] ?? 0) };
}

/** Let answers that wait for this name go on; from any process. */
export async function goOn(name: string): Promise<void> {
  await fetch(`${process.env.SCRIPTED_MODEL}/go/${name}`);
}

const waiting = new Map<string, () => void>();

export async function startScriptedModel(): Promise<{ baseUrl: string; server: Server }> {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return { baseUrl: `http://127.0.0.1:${port}/v1`, server };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url === "/v1/models") return json(response, 200, { data: [{ id: MODEL, object: "model" }] });
  const name = request.url?.split("/v1/go/")[1];
  if (name !== undefined) {
    waiting.get(name)?.();
    return json(response, waiting.delete(name) ? 200 : 404, {});
  }
  if (request.url !== "/v1/chat/completions") return json(response, 404, { error: { message: "not here" } });
  const { messages, stream } = JSON.parse(await bodyOf(request)) as ChatBody;
  const { text, perSecond } = scriptOf(messages.findLast(({ role }) => role === "user")?.content ?? "");
  const pieces = text.match(/\[wait \S+?\]|\s?(?:(?!\[wait )\S){1,6}|\s+/g) ?? [];
  const usage = { prompt_tokens: 7, completion_tokens: pieces.length };
  if (!stream) {
    const message = { role: "assistant", content: text };
    return json(response, 200, { choices: [{ index: 0, message, finish_reason: "stop" }], usage });
  }
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  const send = (event: unknown) => response.write(`data: ${JSON.stringify(event)}\n\n`);
  const began = performance.now();
  for (const [index, content] of pieces.entries()) {
    const wait = /^\[wait (\S+)\]$/.exec(content)?.[1];
    if (wait !== undefined) {
      await new Promise<void>((resolve) => {
        waiting.set(wait, resolve);
        response.on("close", resolve); // stopped
      });
      continue;
    }
    send({ choices: [{ index: 0, delta: { content } }] });
    if (perSecond === 0) continue;
    await sleep(Math.max(0, began + ((index + 1) * 1000) / perSecond - performance.now()));
    if (response.destroyed) return; // stopped
  }
  send({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage });
  response.end("data: [DONE]\n\n");
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const piece of request.setEncoding("utf8")) text += String(piece);
  return text;
}
