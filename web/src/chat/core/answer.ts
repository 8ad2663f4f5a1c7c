/** An answer while it grows: a pure function from what is known and an event to what is known then. */

import type { MessageView } from "@/api/generated/types.gen";
import type { AnswerEvent, Facts } from "@/chat/core/events";

export interface LiveAnswer {
  text: string;
  reasoning: string;
  facts: Facts;
  /** The message as it is stored, once it is finished. */
  final: MessageView | null;
  error: { message: string; code: string | null } | null;
}

export const NOTHING: LiveAnswer = { text: "", reasoning: "", facts: {}, final: null, error: null };

/** What is known of an answer that was loaded before anybody watches it. */
export function begun(message: MessageView): LiveAnswer {
  return { ...NOTHING, text: message.content, reasoning: message.reasoning };
}

export function grow(answer: LiveAnswer, event: AnswerEvent): LiveAnswer {
  switch (event.kind) {
    case "delta":
      return { ...answer, text: placed(answer.text, event) };
    case "reasoning":
      return { ...answer, reasoning: placed(answer.reasoning, event) };
    case "status":
      return { ...answer, facts: { ...answer.facts, ...event.facts } };
    case "done":
      return { ...answer, text: event.message.content, reasoning: event.message.reasoning, final: event.message };
    case "error":
      return { ...answer, error: { message: event.message, code: event.code } };
    case "started":
    case "title":
      return answer;
  }
}

/**
 * The text with a piece at its place. The server counts characters (code points), JavaScript halves of some of them;
 * and a piece may begin before our end, when a connection was lost or the server begins anew.
 */
function placed(text: string, { text: piece, offset }: { text: string; offset: number }): string {
  const length = characters(text);
  if (offset >= length) return text + piece;
  return firstCharacters(text, offset) + piece;
}

/** Unicode code points of a text. */
export function characters(text: string): number {
  let count = text.length;
  for (let at = 0; at < text.length - 1; at++) {
    if (isHigh(text.charCodeAt(at)) && isLow(text.charCodeAt(at + 1))) {
      count--;
      at++;
    }
  }
  return count;
}

function firstCharacters(text: string, count: number): string {
  let at = 0;
  for (; count > 0 && at < text.length; count--) {
    at += isHigh(text.charCodeAt(at)) && isLow(text.charCodeAt(at + 1)) ? 2 : 1;
  }
  return text.slice(0, at);
}

const isHigh = (unit: number) => unit >= 0xd800 && unit < 0xdc00;
const isLow = (unit: number) => unit >= 0xdc00 && unit < 0xe000;
