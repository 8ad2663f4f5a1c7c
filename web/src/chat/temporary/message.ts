/** Messages of a chat that is stored nowhere, in the form of stored ones, so that one thread draws both. */

import type { MessageView } from "@/api/generated/types.gen";

const NOWHERE = "";

export const isStored = ({ conversation_id: id }: MessageView): boolean => id !== NOWHERE;

let next = 0;

type Given = Pick<MessageView, "role" | "origin" | "status" | "content" | "parent_id">;

export function temporaryMessage(given: Given): MessageView {
  const now = Date.now();
  return {
    id: `temporary-${next++}`,
    conversation_id: NOWHERE,
    reasoning: "",
    model: null,
    model_version: null,
    finish_reason: null,
    prompt_tokens: null,
    completion_tokens: null,
    dropped_turns: 0,
    sampling: {},
    attachments: [],
    error: null,
    created_ms: now,
    updated_ms: now,
    ...given,
  };
}
