/** What people do with conversations in the list. The list changes at once, and back again if the server refuses. */

import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";

import type { ConversationChanges, ConversationView } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { changeConversation, conversationQuery, messagesQuery } from "@/chat/queries";
import { withChange, type Pages } from "@/sidebar/listed";
import type { Filter } from "@/sidebar/queries";
import { confirm } from "@/ui/confirm";
import { tell, tellError } from "@/ui/toast";

type Named = Pick<ConversationView, "id" | "title">;

export interface Changes {
  change: (conversation: Named, changes: ConversationChanges) => Promise<boolean>;
  archive: (conversation: Named) => Promise<void>;
  remove: (conversation: Named) => Promise<void>;
}

export function useChanges(): Changes {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { conversationId: open } = useParams({ strict: false });
  const { t } = useTranslation();
  return useMemo(() => {
    const change = async ({ id }: Named, changes: ConversationChanges) => {
      await queries.cancelQueries({ queryKey: ["conversations"] }); // or an older answer would undo what is shown
      redraw(queries, id, changes);
      try {
        queries.setQueryData(conversationQuery(id).queryKey, await changeConversation(id, changes));
        return true;
      } catch (error) {
        tellError(error, t("app.offline"));
        return false;
      } finally {
        void queries.invalidateQueries({ queryKey: ["conversations"] });
      }
    };
    return {
      change,
      archive: async (conversation) => {
        if (!(await change(conversation, { archived: true }))) return;
        if (open === conversation.id) await navigate({ to: "/" });
        tell(t("sidebar.archived"), {
          label: t("sidebar.undo"),
          run: () => void change(conversation, { archived: false }),
        });
      },
      remove: async ({ id, title }) => {
        const wanted = await confirm({
          title: t("sidebar.deleteTitle", { title: title || t("sidebar.untitled") }),
          text: t("sidebar.deleteText"),
          action: t("common.delete"),
        });
        if (!wanted) return;
        try {
          await request(`/api/conversations/${id}`, { method: "DELETE" });
        } catch (error) {
          tellError(error, t("app.offline"));
          return;
        }
        redraw(queries, id, null);
        if (open === id) await navigate({ to: "/" });
        queries.removeQueries({ queryKey: conversationQuery(id).queryKey });
        queries.removeQueries({ queryKey: messagesQuery(id).queryKey });
        void queries.invalidateQueries({ queryKey: ["conversations"] });
      },
    };
  }, [queries, navigate, open, t]);
}

function redraw(queries: QueryClient, id: string, changes: ConversationChanges | null): void {
  for (const [key] of queries.getQueriesData({ queryKey: ["conversations"] })) {
    const filter = key[1] as Filter;
    queries.setQueryData(key, (known: Pages | undefined) => known && withChange(known, filter, id, changes));
  }
}
