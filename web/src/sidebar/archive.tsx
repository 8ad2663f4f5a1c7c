import { Link } from "@tanstack/react-router";
import { ArchiveRestore, Trash2 } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { ListedConversation } from "@/api/generated/types.gen";
import { show } from "@/app/shell-state";
import { useChanges } from "@/sidebar/changes";
import { MoreOf, useConversations } from "@/sidebar/more";
import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";

/** What was put away: to be read, taken back, or deleted. */
export function Archive() {
  const { t } = useTranslation();
  const { rows, query } = useConversations({ archived: true });
  return (
    <Dialog open onOpenChange={(open) => show("archive", open)} title={t("sidebar.archivedOnes")}>
      {query.isSuccess && rows.length === 0 && (
        <p className="py-6 text-center text-sm text-soft">{t("sidebar.emptyArchive")}</p>
      )}
      <ul className="divide-y divide-line">
        {rows.map((conversation) => (
          <ArchivedItem key={conversation.id} conversation={conversation} />
        ))}
      </ul>
      <MoreOf query={query} />
    </Dialog>
  );
}

function ArchivedItem({ conversation }: { conversation: ListedConversation }) {
  const { t, i18n } = useTranslation();
  const { change, remove } = useChanges();
  const title = conversation.title || t("sidebar.untitled");
  const used = new Intl.DateTimeFormat(i18n.language, { dateStyle: "medium" }).format(conversation.updated_ms);
  return (
    <li className="flex items-center gap-1 py-1.5">
      <Link
        to="/c/$conversationId"
        params={{ conversationId: conversation.id }}
        onClick={() => show("archive", false)}
        className="min-w-0 grow rounded-lg px-1 py-1.5 hover:underline"
      >
        <span dir="auto" className="block truncate text-sm">
          {title}
        </span>
        <span className="text-xs text-soft">{used}</span>
      </Link>
      <Button
        look="plain"
        size="icon"
        className="max-md:size-10"
        onClick={() => void change(conversation, { archived: false })}
        aria-label={t("sidebar.unarchive", { title })}
      >
        <ArchiveRestore className="size-4" aria-hidden />
      </Button>
      <Button
        look="plain"
        size="icon"
        className="max-md:size-10"
        onClick={() => void remove(conversation)}
        aria-label={t("sidebar.deleteOf", { title })}
      >
        <Trash2 className="size-4" aria-hidden />
      </Button>
    </li>
  );
}
