/** What answers are written with: the model, its instructions, and how it chooses its words. */

import { useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

import type { ConversationView, Sampling } from "@/api/generated/types.gen";
import { changeConversation, conversationQuery } from "@/chat/queries";
import { tellError } from "@/ui/toast";

export interface ChatSetup {
  /** Null: the server's default, whichever it is at the time. */
  model: string | null;
  system_prompt: string;
  sampling: Sampling;
}

export const DEFAULT_SETUP: ChatSetup = { model: null, system_prompt: "", sampling: {} };

export const setupOf = ({ model, system_prompt, sampling }: ConversationView): ChatSetup => ({
  model,
  system_prompt,
  sampling: sampling as Sampling, // the server took it as one
});

/** Whether answers are written in another way than the model's makers advise. */
export const isPersonal = ({ system_prompt, sampling }: ChatSetup): boolean =>
  system_prompt.trim() !== "" || Object.keys(sampling).length > 0;

export type ChangeSetup = (changes: Partial<ChatSetup>) => void;

/** Changes the setup of a stored conversation: on the page at once, and back if the server refuses. */
export function useChangeSetup(conversationId: string): ChangeSetup {
  const queries = useQueryClient();
  const { t } = useTranslation();
  return (changes) => {
    const { queryKey } = conversationQuery(conversationId);
    const before = queries.getQueryData(queryKey);
    queries.setQueryData(queryKey, (known) => known && { ...known, ...withoutUnset(changes) });
    changeConversation(conversationId, changes)
      .catch((error: unknown) => {
        queries.setQueryData(queryKey, before);
        tellError(error, t("app.offline"));
      })
      .finally(() => void queries.invalidateQueries({ queryKey: ["context", conversationId] }));
  };
}

function withoutUnset({ sampling, ...others }: Partial<ChatSetup>): Partial<ConversationView> {
  if (!sampling) return others;
  const set = Object.entries(sampling).filter(([, value]) => value !== null && value !== undefined);
  return { ...others, sampling: Object.fromEntries(set) };
}
