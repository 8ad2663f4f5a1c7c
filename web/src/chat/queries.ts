/** Conversations and messages, as the server keeps them. */

import { queryOptions, type QueryClient } from "@tanstack/react-query";

import type {
  Attachment,
  ConversationChanges,
  ConversationView,
  MessageView,
  NewConversation,
  PageMessageView,
  Sampling,
  Turn,
} from "@/api/generated/types.gen";
import { request } from "@/api/http";

export const conversationQuery = (id: string) =>
  queryOptions({
    queryKey: ["conversation", id],
    queryFn: () => request<ConversationView>(`/api/conversations/${id}`),
  });

export const messagesQuery = (id: string) =>
  queryOptions({ queryKey: ["messages", id], queryFn: ({ signal }) => everyMessage(id, signal) });

async function everyMessage(id: string, signal: AbortSignal): Promise<MessageView[]> {
  const messages: MessageView[] = [];
  let after: string | null | undefined = null;
  do {
    const page: PageMessageView = await request(`/api/conversations/${id}/messages`, {
      query: { after, limit: 1000 },
      signal,
    });
    messages.push(...page.data);
    after = page.next;
  } while (after);
  return messages;
}

export interface Question {
  content: string;
  parentId: string | null;
  attachments?: Attachment[];
  /** For this answer alone; the conversation's own otherwise. */
  model?: string | null;
  sampling?: Sampling;
}

export const createConversation = (body: NewConversation) =>
  request<ConversationView>("/api/conversations", { method: "POST", body });

export const changeConversation = (id: string, body: ConversationChanges) =>
  request<ConversationView>(`/api/conversations/${id}`, { method: "PATCH", body });

export const deleteConversation = (id: string) => request(`/api/conversations/${id}`, { method: "DELETE" });

/** Ask; `twice` gives two answers to choose between. */
export const ask = (conversationId: string, question: Question, twice = false) =>
  request<Turn>(`/api/conversations/${conversationId}/${twice ? "compare" : "messages"}`, {
    method: "POST",
    body: {
      content: question.content,
      parent_id: question.parentId,
      attachments: question.attachments ?? [],
      ...(question.model ? { model: question.model } : {}),
      ...(question.sampling ? { sampling: question.sampling } : {}),
    },
  });

type Act = "regenerate" | "continue" | "stop";

export const act = <T extends Act>(message: MessageView, what: T) =>
  request<T extends "stop" ? MessageView : Turn>(
    `/api/conversations/${message.conversation_id}/messages/${message.id}/${what}`,
    { method: "POST", body: what === "regenerate" ? {} : undefined },
  );

/** A question in other words, or an answer as it should have been; the message itself stays. */
export const editMessage = (message: MessageView, content: string) =>
  request<Turn>(`/api/conversations/${message.conversation_id}/messages/${message.id}/edit`, {
    method: "POST",
    body: { content },
  });

/** Put messages into what is known of a conversation, by their ids, and show the branch of `leafId`. */
export function remember(queries: QueryClient, conversationId: string, messages: MessageView[], leafId?: string): void {
  queries.setQueryData(messagesQuery(conversationId).queryKey, (known: MessageView[] = []) => {
    const byId = new Map(known.map((message) => [message.id, message]));
    for (const message of messages) byId.set(message.id, message);
    return [...byId.values()];
  });
  if (leafId === undefined) return;
  queries.setQueryData(
    conversationQuery(conversationId).queryKey,
    (known) => known && { ...known, current_id: leafId },
  );
}

/** All messages of a turn, the question first. */
export const messagesOf = (turn: Turn): MessageView[] =>
  turn.user_message ? [turn.user_message, ...turn.messages] : turn.messages;
