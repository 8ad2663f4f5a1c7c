/** The view inside an answer: a window of its own, the whole screen on phones. */

import { useQuery } from "@tanstack/react-query";
import { EyeOff, X } from "lucide-react";
import { Dialog, Tabs } from "radix-ui";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";

import type { InsideView, MessageView } from "@/api/generated/types.gen";
import { ApiError } from "@/api/http";
import { AttentionTab } from "@/inside/attention-tab";
import { CertaintyTab } from "@/inside/certainty-tab";
import { CutTab } from "@/inside/cut-tab";
import { insideQuery, subjectOf, type Subject } from "@/inside/queries";
import { spell, type Spelled } from "@/inside/spelling";
import { Button } from "@/ui/button";
import { Loaded } from "@/ui/load";
import { useReturnFocus } from "@/ui/return-focus";

export interface InsideDialogProps {
  message: MessageView;
  open: boolean;
  onOpenChange: (open: boolean) => void;
}

export function InsideDialog({ message, open, onOpenChange }: InsideDialogProps) {
  const { t } = useTranslation();
  const focus = useReturnFocus();
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-40 bg-black/40" />
        <Dialog.Content
          {...focus}
          className="fixed inset-0 z-50 flex flex-col bg-raised md:inset-auto md:top-1/2 md:left-1/2 md:h-[min(90dvh,52rem)] md:w-[min(calc(100vw-3rem),72rem)] md:-translate-1/2 md:rounded-2xl md:border md:border-line md:shadow-xl"
        >
          <header className="flex items-start justify-between gap-4 px-4 pt-3 md:px-6 md:pt-4">
            <div>
              <Dialog.Title className="text-lg font-semibold">{t("inside.title")}</Dialog.Title>
              <Dialog.Description className="text-sm text-soft max-md:sr-only">
                {t("inside.description")}
              </Dialog.Description>
            </div>
            <Dialog.Close asChild>
              <Button look="plain" size="icon" className="max-md:size-10" aria-label={t("common.close")}>
                <X className="size-5" aria-hidden />
              </Button>
            </Dialog.Close>
          </header>
          <Content subject={subjectOf(message)} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** What every tab is given. */
export interface TabProps {
  subject: Subject;
  view: InsideView;
  tokens: readonly Spelled[];
  /** The token that is looked at. */
  position: number;
  onPosition: (position: number) => void;
}

function Content({ subject }: { subject: Subject }) {
  const query = useQuery(insideQuery(subject));
  if (query.data) return <Views subject={subject} view={query.data} />;
  if (query.error instanceof ApiError && REFUSED.has(query.error.status)) {
    return (
      <div role="alert" className="flex grow flex-col items-center justify-center gap-4 p-8 text-center">
        <EyeOff className="size-10 text-soft" aria-hidden />
        <p className="max-w-prose">{query.error.message}</p>
      </div>
    );
  }
  return (
    <div className="p-6">
      <Loaded query={query}>{() => null}</Loaded>
    </div>
  );
}

/** Statuses of refusals that asking again would not change: a model elsewhere, a text that is too long, one that is gone. */
const REFUSED: ReadonlySet<number> = new Set([400, 404]);

const TABS = { certainty: CertaintyTab, attention: AttentionTab, cut: CutTab };
type TabName = keyof typeof TABS;

function Views({ subject, view }: { subject: Subject; view: InsideView }) {
  const { t } = useTranslation();
  const tokens = useMemo(() => spell(view.tokens?.tokens ?? []), [view]);
  const [position, setPosition] = useState(view.answer_start);
  const names = Object.keys(TABS) as TabName[];
  return (
    <Tabs.Root defaultValue="certainty" className="flex min-h-0 grow flex-col">
      <Tabs.List
        aria-label={t("inside.title")}
        className="flex shrink-0 gap-1 border-b border-line px-2 max-md:overflow-x-auto md:px-4"
      >
        {names.map((name) => (
          <Tabs.Trigger
            key={name}
            value={name}
            className="h-10 cursor-pointer border-b-2 border-transparent px-3 text-sm whitespace-nowrap text-soft hover:text-ink data-[state=active]:border-accent data-[state=active]:font-medium data-[state=active]:text-ink"
          >
            {t(`inside.tabs.${name}`)}
          </Tabs.Trigger>
        ))}
      </Tabs.List>
      {!view.same_version && (
        <p className="bg-warning-soft px-4 py-2 text-sm text-warning md:px-6">
          {t("inside.otherVersion", { model: view.model })}
        </p>
      )}
      {names.map((name) => {
        const Tab = TABS[name];
        return (
          <Tabs.Content
            key={name}
            value={name}
            tabIndex={-1}
            className="flex min-h-0 grow flex-col outline-none md:flex-row"
          >
            <Tab subject={subject} view={view} tokens={tokens} position={position} onPosition={setPosition} />
          </Tabs.Content>
        );
      })}
    </Tabs.Root>
  );
}
