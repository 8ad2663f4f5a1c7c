/** The frame: the sidebar (a drawer on phones), and beside it the page. */

import { Outlet } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";

import { Sidebar } from "@/sidebar/sidebar";

export function Shell() {
  const { t } = useTranslation();
  return (
    <div className="flex h-dvh overflow-hidden">
      <a
        href="#main"
        className="sr-only z-50 rounded-lg bg-accent px-4 py-2 text-accent-ink focus:not-sr-only focus:absolute focus:top-2 focus:left-2"
      >
        {t("app.skip")}
      </a>
      <Sidebar />
      <main id="main" tabIndex={-1} className="flex min-w-0 grow flex-col outline-none">
        <Outlet />
      </main>
    </div>
  );
}
