import { useQuery } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { FolderPlus } from "lucide-react";
import { useId, useMemo, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import type { ListedConversation } from "@/api/generated/types.gen";
import { useChanges } from "@/sidebar/changes";
import { ConversationItem } from "@/sidebar/conversation-item";
import { carried, isCarried } from "@/sidebar/drag";
import { useFolderActions } from "@/sidebar/folder-changes";
import { FolderSection } from "@/sidebar/folder-section";
import { grouped } from "@/sidebar/listed";
import { MoreOf, useConversations } from "@/sidebar/more";
import { NameInput } from "@/sidebar/name-input";
import { foldersQuery } from "@/sidebar/queries";
import { Button } from "@/ui/button";

const PINNED = "pinned";

/** Every conversation: pinned ones, folders, and the others under the days of their last use. */
export function ConversationList() {
  const { t, i18n } = useTranslation();
  const { rows, query } = useConversations({ archived: false });
  const groups = useMemo(() => grouped(rows), [rows]);
  const { change } = useChanges();
  const pinned = groups.find(({ name }) => name === PINNED);
  return (
    <nav
      aria-label={t("sidebar.conversations")}
      className="space-y-4 pb-4"
      // Outside the folders is a place too: what is dropped there leaves its folder.
      onDragOver={(event) => isCarried(event) && event.preventDefault()}
      onDrop={(event) => {
        const conversation = event.defaultPrevented ? null : carried(event);
        if (conversation) void change(conversation, { folder_id: null });
      }}
    >
      {pinned && <Group heading={t("sidebar.pinned")} rows={pinned.rows} />}
      <Folders />
      {groups.map(
        ({ name, rows: members }) =>
          name !== PINNED && <Group key={name} heading={headingOf(name, t, i18n.language)} rows={members} />,
      )}
      {query.isSuccess && rows.length === 0 && <p className="px-2.5 text-sm text-soft">{t("sidebar.empty")}</p>}
      <MoreOf query={query} />
    </nav>
  );
}

const DAYS = ["today", "yesterday", "previous_7_days", "previous_30_days"] as const;

/** Days by their names, months such as `2026-04` by the language's. */
function headingOf(group: string, t: TFunction, language: string): string {
  const days = DAYS.find((name) => name === group);
  if (days) return t(`sidebar.groups.${days}`);
  const [year, month] = group.split("-").map(Number);
  if (!year || !month) return group;
  return new Intl.DateTimeFormat(language, { year: "numeric", month: "long" }).format(new Date(year, month - 1));
}

function Group({ heading, rows }: { heading: string; rows: readonly ListedConversation[] }) {
  return (
    <Section heading={heading}>
      {rows.map((conversation) => (
        <ConversationItem key={conversation.id} conversation={conversation} />
      ))}
    </Section>
  );
}

function Section({ heading, action, children }: { heading: string; action?: ReactNode; children: ReactNode }) {
  const id = useId();
  return (
    <section>
      <div className="flex h-8 items-center justify-between pr-0.5 pl-2.5">
        <h2 id={id} className="text-xs font-medium text-soft">
          {heading}
        </h2>
        {action}
      </div>
      <ul aria-labelledby={id}>{children}</ul>
    </section>
  );
}

function Folders() {
  const { t } = useTranslation();
  const { data: folders = [] } = useQuery(foldersQuery);
  const { create } = useFolderActions();
  const [naming, setNaming] = useState(false);
  return (
    <Section
      heading={t("sidebar.folders")}
      action={
        <Button
          look="plain"
          size="icon"
          className="size-8 max-md:size-10"
          onClick={() => setNaming(true)}
          aria-label={t("sidebar.newFolder")}
        >
          <FolderPlus className="size-4" aria-hidden />
        </Button>
      }
    >
      {naming && (
        <li>
          <NameInput
            name=""
            label={t("sidebar.folderName")}
            placeholder={t("sidebar.folderName")}
            onDone={(name) => {
              setNaming(false);
              if (name) void create(name);
            }}
          />
        </li>
      )}
      {folders.map((folder) => (
        <FolderSection key={folder.id} folder={folder} />
      ))}
    </Section>
  );
}
