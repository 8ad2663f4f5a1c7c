/** What the server tells while an answer grows: server-sent events, read into values of one type. */

import { createParser } from "eventsource-parser";

import type { MessageView } from "@/api/generated/types.gen";

export interface Facts {
  status?: MessageView["status"];
  model?: string | null;
  dropped_turns?: number;
}

export type AnswerEvent =
  /** Of a temporary chat: the id by which a viewer can come back. */
  | { kind: "started"; id: string }
  | { kind: "status"; facts: Facts }
  | { kind: "reasoning" | "delta"; text: string; offset: number }
  | { kind: "done"; message: MessageView }
  | { kind: "title"; title: string }
  | { kind: "error"; message: string; code: string | null };

/** An event by its name and its JSON; null for what this version of the page does not know. */
export function parseEvent(name: string | undefined, data: string): AnswerEvent | null {
  const value = JSON.parse(data) as Record<string, unknown>;
  switch (name) {
    case "started":
      return { kind: "started", id: String(value.id) };
    case "status":
      return { kind: "status", facts: value };
    case "reasoning":
    case "delta":
      return { kind: name, text: String(value.text), offset: Number(value.offset) };
    case "done":
      return { kind: "done", message: value.message as MessageView };
    case "title":
      return { kind: "title", title: String(value.title) };
    case "error": {
      const error = value.error as { message: string; code: string | null };
      return { kind: "error", message: error.message, code: error.code };
    }
    default:
      return null;
  }
}

export interface Received {
  event: AnswerEvent | null;
  /** What to send as Last-Event-ID when the connection is lost after this event. */
  id: string | null;
}

/** The events of a response's body, as they arrive. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<Received> {
  const arrived: Received[] = [];
  const parser = createParser({
    onEvent: ({ event, data, id }) => arrived.push({ event: parseEvent(event, data), id: id ?? null }),
  });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      yield* arrived.splice(0);
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}
