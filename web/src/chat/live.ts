/** Answers that are being written, while anybody on this page looks at them. */

import type { QueryClient } from "@tanstack/react-query";
import { create } from "zustand";

import type { MessageView } from "@/api/generated/types.gen";
import { ApiError, send } from "@/api/http";
import { begun, type LiveAnswer } from "@/chat/core/answer";
import { attach, type Known } from "@/chat/core/attach";
import type { AnswerEvent } from "@/chat/core/events";
import { conversationQuery, messagesQuery, remember } from "@/chat/queries";

export interface Live {
  answer: LiveAnswer;
  /** Whether the connection is lost just now; the server goes on writing. */
  lost: boolean;
}

interface LiveState {
  /** By the message's id. */
  live: Readonly<Record<string, Live>>;
  set: (id: string, live: Live | null) => void;
}

export const useLive = create<LiveState>((set) => ({
  live: {},
  set: (id, live) =>
    set((state) => {
      const { [id]: _, ...others } = state.live;
      return { live: live ? { ...others, [id]: live } : others };
    }),
}));

interface Follow {
  id: string;
  from: LiveAnswer;
  open: (known: Known, signal: AbortSignal) => Promise<Response>;
  signal: AbortSignal;
  onEvent: (event: AnswerEvent) => void;
}

/**
 * Show an answer while it grows. Changes reach the page once per frame: at a hundred tokens a second, drawing each would
 * be more work than anybody can see. `forget` ends the showing, when the message itself says all there is to say.
 */
export function follow({ id, from, open, signal, onEvent }: Follow): {
  ended: Promise<LiveAnswer>;
  forget: () => void;
} {
  const { set } = useLive.getState();
  let now: Live = { answer: from, lost: false };
  let frame: number | null = null;
  const draw = () => {
    frame = null;
    set(id, now);
  };
  const changed = (change: Partial<Live>) => {
    now = { ...now, ...change };
    frame ??= requestAnimationFrame(draw);
  };
  set(id, now);
  const ended = attach({
    open,
    from,
    signal,
    onChange: (answer, event) => {
      changed({ answer });
      onEvent(event);
    },
    onLost: (lost) => changed({ lost }),
  });
  const forget = () => {
    if (frame !== null) cancelAnimationFrame(frame);
    set(id, null);
  };
  return { ended, forget };
}

const watched = new Map<string, AbortController>();

/** Follow a stored answer to its end, once, however often it is asked for. */
export function watch(queries: QueryClient, message: MessageView): void {
  const { id, conversation_id: conversationId } = message;
  if (watched.has(id)) return;
  const controller = new AbortController();
  watched.set(id, controller);
  const { ended, forget } = follow({
    id,
    from: begun(message),
    open: (known, signal) => send(`/api/messages/${id}/events`, { query: { ...known }, signal }),
    signal: controller.signal,
    onEvent: (event) => {
      if (event.kind === "done") remember(queries, conversationId, [event.message]);
      if (event.kind === "title") retitle(queries, conversationId, event.title);
    },
  });
  ended
    .then((answer) => finished(queries, message, answer))
    .catch((error: unknown) => {
      if (!controller.signal.aborted) failed(queries, message, error);
    })
    .finally(() => {
      watched.delete(id);
      forget();
    });
}

/** Watch nothing more, as when somebody signs out. */
export function unwatchAll(): void {
  for (const controller of watched.values()) controller.abort();
}

function finished(queries: QueryClient, message: MessageView, { error, text, reasoning }: LiveAnswer): void {
  if (error) markFailed(queries, { ...message, content: text, reasoning }, error.message, error.code);
}

function failed(queries: QueryClient, message: MessageView, error: unknown): void {
  if (error instanceof ApiError && error.status === 404) {
    void queries.invalidateQueries({ queryKey: messagesQuery(message.conversation_id).queryKey });
    return;
  }
  markFailed(queries, message, error instanceof Error ? error.message : String(error), null);
}

function markFailed(queries: QueryClient, message: MessageView, told: string, code: string | null): void {
  const error = { message: told, code, param: null, type: "server_error" };
  remember(queries, message.conversation_id, [{ ...message, status: "failed", error }]);
}

function retitle(queries: QueryClient, id: string, title: string): void {
  queries.setQueryData(
    conversationQuery(id).queryKey,
    (known) => known && { ...known, title, title_by: "model" as const },
  );
  // What is being fetched meanwhile may be from before the title: it is given up, and asked for again.
  void queries.invalidateQueries({ queryKey: conversationQuery(id).queryKey });
  void queries.invalidateQueries({ queryKey: ["conversations"] });
}
