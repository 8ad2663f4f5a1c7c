import { Link } from "@tanstack/react-router";
import { PanelLeftClose, PanelLeftOpen, Search, SquarePen, X } from "lucide-react";
import { Dialog } from "radix-ui";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { show, toggleSidebar, useShell } from "@/app/shell-state";
import { keysOf } from "@/app/shortcuts";
import { ConversationList } from "@/sidebar/conversation-list";
import { UserMenu } from "@/sidebar/user-menu";
import { Button } from "@/ui/button";

/** Beside the page on wide screens: all of it, or its icons. */
export function Sidebar() {
  const { t } = useTranslation();
  const open = useShell((state) => state.sidebar);
  return (
    <aside
      aria-label={t("sidebar.title")}
      className={`hidden shrink-0 flex-col border-r border-line bg-sunken md:flex ${open ? "w-72" : "w-14"}`}
    >
      {open ? (
        <Content
          corner={
            <Button look="plain" size="icon" onClick={toggleSidebar} aria-label={t("sidebar.fold")}>
              <PanelLeftClose className="size-5" aria-hidden />
            </Button>
          }
        />
      ) : (
        <Rail />
      )}
    </aside>
  );
}

/** The same on phones: slides over the page, and away when one goes anywhere. */
export function Drawer() {
  const { t } = useTranslation();
  const open = useShell((state) => state.drawer);
  return (
    <Dialog.Root open={open} onOpenChange={(wanted) => show("drawer", wanted)}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-30 bg-black/40 data-[state=open]:animate-fade-in" />
        <Dialog.Content
          aria-describedby={undefined}
          // Escape in a name that is being written gives up the name, not the drawer.
          onEscapeKeyDown={(event) => event.target instanceof HTMLInputElement && event.preventDefault()}
          className="fixed inset-y-0 left-0 z-30 flex w-80 max-w-[85vw] flex-col bg-sunken pb-[env(safe-area-inset-bottom)] shadow-xl outline-none data-[state=open]:animate-slide-in"
        >
          <Dialog.Title className="sr-only">{t("sidebar.title")}</Dialog.Title>
          <Content
            corner={
              <Dialog.Close asChild>
                <Button look="plain" size="icon" className="size-10" aria-label={t("common.close")}>
                  <X className="size-5" aria-hidden />
                </Button>
              </Dialog.Close>
            }
          />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Content({ corner }: { corner: ReactNode }) {
  const { t } = useTranslation();
  return (
    <>
      <div className="flex h-14 shrink-0 items-center justify-between pr-2 pl-4">
        <Link to="/" className="flex items-center gap-2.5 rounded-lg font-semibold">
          <img src="/icon.svg" alt="" className="size-7 rounded-lg" />
          {t("app.name")}
        </Link>
        {corner}
      </div>
      <div className="shrink-0 px-2 pb-2">
        <Button look="plain" className="w-full justify-start px-2.5 text-ink! max-md:h-11" asChild>
          <Link to="/">
            <SquarePen className="size-4" aria-hidden />
            <span className="grow">{t("sidebar.newChat")}</span>
            <Keys of="newChat" />
          </Link>
        </Button>
        <Button
          look="plain"
          className="w-full justify-start px-2.5 text-ink! max-md:h-11"
          onClick={() => show("palette")}
        >
          <Search className="size-4" aria-hidden />
          <span className="grow text-left">{t("sidebar.search")}</span>
          <Keys of="palette" />
        </Button>
      </div>
      <div className="min-h-0 grow overflow-y-auto overscroll-contain px-2 pt-1">
        <ConversationList />
      </div>
      <div className="shrink-0 border-t border-line p-2">
        <UserMenu />
      </div>
    </>
  );
}

function Rail() {
  const { t } = useTranslation();
  return (
    <div className="flex h-full flex-col items-center gap-1 py-2.5">
      <Button look="plain" size="icon" onClick={toggleSidebar} aria-label={t("sidebar.unfold")} aria-expanded={false}>
        <PanelLeftOpen className="size-5" aria-hidden />
      </Button>
      <Button look="plain" size="icon" asChild>
        <Link to="/" aria-label={t("sidebar.newChat")} title={t("sidebar.newChat")}>
          <SquarePen className="size-5" aria-hidden />
        </Link>
      </Button>
      <Button
        look="plain"
        size="icon"
        onClick={() => show("palette")}
        aria-label={t("sidebar.search")}
        title={t("sidebar.search")}
      >
        <Search className="size-5" aria-hidden />
      </Button>
      <div className="grow" />
      <UserMenu small />
    </div>
  );
}

/** The keys for something, where there is a keyboard. */
function Keys({ of }: { of: Parameters<typeof keysOf>[0] }) {
  return (
    <kbd className="hidden font-sans text-xs text-soft md:inline" aria-hidden>
      {keysOf(of).join(" ")}
    </kbd>
  );
}
