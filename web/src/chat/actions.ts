/** What people do with messages; every refusal becomes a note on the page. */

import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { useTranslation } from "react-i18next";

import type { MessageView, Turn } from "@/api/generated/types.gen";
import { makeTree, newestLeaf, placeOf } from "@/chat/core/tree";
import { noteLimit } from "@/chat/limit/limit";
import { watch } from "@/chat/live";
import {
  act,
  ask,
  changeConversation,
  editMessage,
  messagesOf,
  messagesQuery,
  remember,
  type Question,
} from "@/chat/queries";
import { tellError } from "@/ui/toast";

export interface Actions {
  /** Each resolves with whether it was done. */
  ask: (conversationId: string, question: Question, twice?: boolean) => Promise<boolean>;
  regenerate: (message: MessageView) => Promise<boolean>;
  continueAnswer: (message: MessageView) => Promise<boolean>;
  edit: (message: MessageView, content: string) => Promise<boolean>;
  stop: (message: MessageView) => Promise<boolean>;
  /** Show another of a message's alternatives, and what was said after it last. */
  showSibling: (message: MessageView, index: number) => Promise<boolean>;
  show: (message: MessageView) => Promise<boolean>;
}

/** Does something, tells a refusal, and resolves with whether it was done. */
export function useTold(): (work: () => Promise<void>) => Promise<boolean> {
  const { t } = useTranslation();
  return useCallback(
    async (work) => {
      try {
        await work();
        return true;
      } catch (error) {
        if (!noteLimit(error)) tellError(error, t("app.offline"));
        return false;
      }
    },
    [t],
  );
}

export function useActions(): Actions {
  const queries = useQueryClient();
  const told = useTold();
  return useMemo(() => {
    const taken = (conversationId: string, turn: Turn) => {
      const messages = messagesOf(turn);
      // Of two answers the server shows the first.
      remember(queries, conversationId, messages, turn.messages[0]?.id);
      for (const message of messages) if (message.status === "generating") watch(queries, message);
      void queries.invalidateQueries({ queryKey: ["conversations"] });
    };
    const treeOf = ({ conversation_id: id }: MessageView) =>
      makeTree(queries.getQueryData(messagesQuery(id).queryKey) ?? []);
    const show = (message: MessageView) =>
      told(async () => {
        const { conversation_id: conversationId } = message;
        const leaf = newestLeaf(treeOf(message), message.id) ?? message;
        remember(queries, conversationId, [], leaf.id);
        await changeConversation(conversationId, { current_id: leaf.id });
      });
    return {
      ask: (id, question, twice) => told(async () => taken(id, await ask(id, question, twice))),
      regenerate: (message) => told(async () => taken(message.conversation_id, await act(message, "regenerate"))),
      continueAnswer: (message) => told(async () => taken(message.conversation_id, await act(message, "continue"))),
      edit: (message, content) => told(async () => taken(message.conversation_id, await editMessage(message, content))),
      stop: (message) => told(async () => remember(queries, message.conversation_id, [await act(message, "stop")])),
      showSibling: (message, index) => {
        const sibling = placeOf(treeOf(message), message).siblings[index];
        return sibling ? show(sibling) : Promise.resolve(false);
      },
      show,
    };
  }, [queries, told]);
}
