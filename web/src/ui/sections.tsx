/** A page of several sections, one shown at a time: their names at the side, or in a row on phones. */

import { Link } from "@tanstack/react-router";
import { ArrowLeft } from "lucide-react";
import { useEffect, useRef, type ComponentType, type ReactNode } from "react";
import { createPortal } from "react-dom";
import { useTranslation } from "react-i18next";

import { useTitle } from "@/app/title";
import { useTopBarPlace } from "@/app/top-bar-place";
import { Button } from "@/ui/button";

export interface SectionLink {
  /** The end of its address. */
  id: string;
  label: string;
  icon: ComponentType<{ className?: string }>;
}

interface SectionsProps {
  title: string;
  base: "/settings" | "/admin";
  sections: readonly SectionLink[];
  current: string;
  children: ReactNode;
}

export function Sections({ title, base, sections, current, children }: SectionsProps) {
  const { t } = useTranslation();
  const row = useRef<HTMLElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const label = sections.find((section) => section.id === current)?.label ?? title;

  useEffect(() => {
    row.current?.querySelector('[aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "center" });
    content.current?.scrollTo({ top: 0 });
  }, [current]);
  useTitle(label);
  const topBar = useTopBarPlace((state) => state.element);

  return (
    <div className="flex min-h-0 grow flex-col md:flex-row">
      {topBar && createPortal(<p className="truncate px-1 font-semibold">{title}</p>, topBar)}
      <nav
        ref={row}
        aria-label={title}
        className="flex shrink-0 flex-col gap-2 border-line max-md:border-b md:w-50 md:overflow-y-auto md:border-r md:p-3"
      >
        <div className="flex items-center gap-1 max-md:hidden">
          <Button look="plain" size="icon" asChild>
            <Link to="/" aria-label={t("common.back")}>
              <ArrowLeft className="size-5" aria-hidden />
            </Link>
          </Button>
          <p className="truncate font-semibold">{title}</p>
        </div>
        <ul className="flex gap-1 max-md:overflow-x-auto max-md:p-2 md:flex-col">
          {sections.map(({ id, label: name, icon: Icon }) => (
            <li key={id} className="shrink-0">
              <Link
                to={`${base}/${id}` as string}
                aria-current={id === current ? "page" : undefined}
                className="flex h-10 items-center gap-2.5 rounded-lg px-3 text-sm whitespace-nowrap text-soft hover:bg-hover hover:text-ink aria-[current=page]:bg-hover aria-[current=page]:font-medium aria-[current=page]:text-ink"
              >
                <Icon className="size-4.5 shrink-0" aria-hidden />
                {name}
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      <div ref={content} className="min-h-0 min-w-0 grow overflow-y-auto">
        <div className="mx-auto flex max-w-5xl flex-col gap-5 p-4 sm:p-6">
          <h1 className="text-xl font-semibold">{label}</h1>
          {children}
        </div>
      </div>
    </div>
  );
}
