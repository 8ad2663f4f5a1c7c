/** The frame: the sidebar (a drawer on phones), and beside it the page. */

import { Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useEffect } from "react";
import { useTranslation } from "react-i18next";

import { useAccountLanguage } from "@/account/language";
import { useSignInError } from "@/account/sign-in-note";
import { DocumentTitle } from "@/app/document-title";
import { OfflineBanner } from "@/app/offline-banner";
import { show, toggleSidebar, useShell } from "@/app/shell-state";
import { useShortcuts, type PageKey } from "@/app/shortcuts";
import { TopBar } from "@/app/top-bar";
import { Drawer, Sidebar } from "@/sidebar/sidebar";

const Palette = lazy(() => import("@/palette/palette").then((module) => ({ default: module.Palette })));
const ShortcutSheet = lazy(() => import("@/app/shortcut-sheet").then((module) => ({ default: module.ShortcutSheet })));
const Archive = lazy(() => import("@/sidebar/archive").then((module) => ({ default: module.Archive })));

export function Shell() {
  const { t } = useTranslation();
  useAccountLanguage();
  useSignInError();
  useKeys();
  useClosedDrawer();
  return (
    <div className="flex h-dvh overflow-hidden">
      <a
        href="#main"
        className="sr-only z-50 rounded-lg bg-accent px-4 py-2 text-accent-ink focus:not-sr-only focus:absolute focus:top-2 focus:left-2"
      >
        {t("app.skip")}
      </a>
      <DocumentTitle />
      <Sidebar />
      <Drawer />
      <div className="flex min-w-0 grow flex-col">
        <OfflineBanner />
        <TopBar />
        <main id="main" tabIndex={-1} className="flex min-h-0 min-w-0 grow flex-col outline-none">
          <Outlet />
        </main>
      </div>
      <Windows />
    </div>
  );
}

/** What opens above the page, loaded when it first does. */
function Windows() {
  const { palette, shortcuts, archive } = useShell();
  return (
    <Suspense>
      {palette && <Palette />}
      {shortcuts && <ShortcutSheet />}
      {archive && <Archive />}
    </Suspense>
  );
}

function useKeys(): void {
  const navigate = useNavigate();
  useShortcuts(
    useCallback(
      (name: PageKey) => {
        if (name === "palette") show("palette", !useShell.getState().palette);
        if (name === "shortcuts") show("shortcuts", !useShell.getState().shortcuts);
        if (name === "sidebar") toggleSidebar();
        if (name === "newChat") void navigate({ to: "/" });
        if (name === "composer") document.querySelector<HTMLTextAreaElement>("[data-composer]")?.focus();
      },
      [navigate],
    ),
  );
}

/** Whoever chose something in the drawer wants to see it. */
function useClosedDrawer(): void {
  const place = useRouterState({ select: ({ location }) => location.href });
  useEffect(() => show("drawer", false), [place]);
}
