/** The window of Ctrl+K: everything that can be done, and a search in everything that was said. */

import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Command } from "cmdk";
import { LoaderCircle, MessageSquare, Search } from "lucide-react";
import { Dialog } from "radix-ui";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { SearchHit } from "@/api/generated/types.gen";
import { show } from "@/app/shell-state";
import { usePaletteActions, type Action } from "@/palette/actions";
import { Highlighted } from "@/palette/highlighted";
import { scrollToMessage, showBranchOf } from "@/palette/open-hit";
import { useSearchHits } from "@/palette/search";
import { conversationsQuery } from "@/sidebar/queries";
import { tellError } from "@/ui/toast";

const ITEM =
  "flex min-h-10 cursor-pointer items-center gap-3 rounded-lg px-3 py-2 text-sm select-none data-[selected=true]:bg-hover";
const GROUP =
  "[&_[cmdk-group-heading]]:px-3 [&_[cmdk-group-heading]]:py-2 [&_[cmdk-group-heading]]:text-xs [&_[cmdk-group-heading]]:font-medium [&_[cmdk-group-heading]]:text-soft";
const RECENT = 6;

export function Palette() {
  const { t } = useTranslation();
  const [words, setWords] = useState("");
  const wanted = words.trim();
  const search = useSearchHits(wanted);
  const actions = usePaletteActions().filter((action) => fits(action, wanted));
  const close = () => show("palette", false);
  const nothing = wanted !== "" && !search.waiting && search.hits.length === 0 && actions.length === 0;
  return (
    <Dialog.Root open onOpenChange={(open) => show("palette", open)}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-40 bg-black/40" />
        <Dialog.Content
          aria-describedby={undefined}
          className="fixed top-[10dvh] left-1/2 z-50 w-[calc(100vw-1.5rem)] max-w-2xl -translate-x-1/2 overflow-hidden rounded-2xl border border-line bg-raised shadow-2xl max-md:top-3"
        >
          <Dialog.Title className="sr-only">{t("palette.title")}</Dialog.Title>
          {/* The server searches and we filter the actions: cmdk only moves the choice. */}
          <Command shouldFilter={false} loop label={t("palette.title")}>
            <div className="flex items-center gap-3 border-b border-line px-4">
              {search.waiting ? (
                <LoaderCircle className="size-4 shrink-0 animate-spin text-soft" aria-hidden />
              ) : (
                <Search className="size-4 shrink-0 text-soft" aria-hidden />
              )}
              <Command.Input
                value={words}
                onValueChange={setWords}
                placeholder={t("palette.placeholder")}
                maxLength={500}
                className="h-13 grow bg-transparent text-base outline-none placeholder:text-soft"
              />
            </div>
            <Command.List label={t("palette.results")} className="max-h-[min(60dvh,30rem)] overflow-y-auto p-2">
              {wanted === "" && <Recent onDone={close} />}
              {search.hits.length > 0 && <Hits hits={search.hits} onDone={close} />}
              {actions.length > 0 && (
                <Command.Group heading={t("palette.actions")} className={GROUP}>
                  {actions.map((action) => (
                    <ActionItem key={action.id} action={action} onDone={close} />
                  ))}
                </Command.Group>
              )}
              {nothing && (
                <p className="px-3 py-8 text-center text-sm text-soft" role="status">
                  {search.failed ? t("app.offline") : t("palette.nothing", { words: wanted })}
                </p>
              )}
            </Command.List>
          </Command>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function fits({ label, keywords }: Action, wanted: string): boolean {
  const all = [label, ...keywords].join(" ").toLowerCase();
  return wanted
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word));
}

function ActionItem({ action, onDone }: { action: Action; onDone: () => void }) {
  const Icon = action.icon;
  return (
    <Command.Item
      value={`action:${action.id}`}
      onSelect={() => {
        onDone();
        action.run();
      }}
      className={ITEM}
    >
      <Icon className="size-4 shrink-0 text-soft" aria-hidden />
      <span className="grow">{action.label}</span>
      {action.keys && (
        <kbd className="hidden font-sans text-xs text-soft md:inline" aria-hidden>
          {action.keys.join(" ")}
        </kbd>
      )}
    </Command.Item>
  );
}

function Recent({ onDone }: { onDone: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { data } = useInfiniteQuery(conversationsQuery({ archived: false }));
  const rows = data?.pages[0]?.data.toSorted((a, b) => b.updated_ms - a.updated_ms).slice(0, RECENT) ?? [];
  if (rows.length === 0) return null;
  return (
    <Command.Group heading={t("palette.recent")} className={GROUP}>
      {rows.map(({ id, title }) => (
        <Command.Item
          key={id}
          value={`recent:${id}`}
          onSelect={() => {
            onDone();
            void navigate({ to: "/c/$conversationId", params: { conversationId: id } });
          }}
          className={ITEM}
        >
          <MessageSquare className="size-4 shrink-0 text-soft" aria-hidden />
          <span dir="auto" className="truncate">
            {title || t("sidebar.untitled")}
          </span>
        </Command.Item>
      ))}
    </Command.Group>
  );
}

function Hits({ hits, onDone }: { hits: SearchHit[]; onDone: () => void }) {
  const { t, i18n } = useTranslation();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const date = new Intl.DateTimeFormat(i18n.language, { dateStyle: "medium" });
  const open = async ({ conversation_id: conversationId, message_id: messageId }: SearchHit) => {
    onDone();
    try {
      if (messageId !== null) await showBranchOf(queries, conversationId, messageId);
      await navigate({ to: "/c/$conversationId", params: { conversationId } });
      if (messageId !== null) scrollToMessage(messageId);
    } catch (error) {
      tellError(error, t("app.offline"));
    }
  };
  return (
    <Command.Group heading={t("palette.found")} className={GROUP}>
      {hits.map((hit) => (
        <Command.Item
          key={`${hit.conversation_id}${hit.message_id ?? ""}`}
          value={`hit:${hit.conversation_id}${hit.message_id ?? ""}`}
          onSelect={() => void open(hit)}
          className={`${ITEM} items-start`}
        >
          <MessageSquare className="mt-0.5 size-4 shrink-0 text-soft" aria-hidden />
          <div className="min-w-0 grow">
            <div className="flex items-baseline justify-between gap-3">
              <span dir="auto" className="truncate font-medium">
                {hit.message_id === null ? (
                  <Highlighted text={hit.snippet} places={hit.highlights} />
                ) : (
                  hit.title || t("sidebar.untitled")
                )}
              </span>
              <time className="shrink-0 text-xs text-soft">{date.format(hit.created_ms)}</time>
            </div>
            {hit.message_id !== null && (
              <p dir="auto" className="mt-0.5 line-clamp-2 text-soft wrap-anywhere">
                <Highlighted text={hit.snippet} places={hit.highlights} />
              </p>
            )}
          </div>
        </Command.Item>
      ))}
    </Command.Group>
  );
}
