import { Link } from "@tanstack/react-router";
import { Menu as MenuIcon, SquarePen } from "lucide-react";
import { useTranslation } from "react-i18next";

import { show } from "@/app/shell-state";
import { setTopBarPlace } from "@/app/top-bar-place";
import { Button } from "@/ui/button";

/** On phones: the way to the sidebar, room for the page's own controls, and a new chat. */
export function TopBar() {
  const { t } = useTranslation();
  return (
    <header className="flex h-13 shrink-0 items-center gap-1 border-b border-line px-1.5 md:hidden">
      <Button
        look="plain"
        size="icon"
        className="size-10"
        onClick={() => show("drawer")}
        aria-label={t("sidebar.open")}
        aria-haspopup="dialog"
      >
        <MenuIcon className="size-5" aria-hidden />
      </Button>
      <div ref={setTopBarPlace} className="flex min-w-0 grow items-center" />
      <Button look="plain" size="icon" className="size-10" asChild>
        <Link to="/" aria-label={t("sidebar.newChat")}>
          <SquarePen className="size-5" aria-hidden />
        </Link>
      </Button>
    </header>
  );
}
