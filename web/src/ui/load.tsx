/** What stands in a place whose content is loading, missing or failed. */

import type { UseQueryResult } from "@tanstack/react-query";
import { CircleAlert, Inbox } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { ApiError } from "@/api/http";
import { Button } from "@/ui/button";

interface LoadedProps<Data> {
  query: UseQueryResult<Data>;
  children: (data: Data) => ReactNode;
}

/** The data of a query, or what there is to say until it is there. */
export function Loaded<Data>({ query, children }: LoadedProps<Data>) {
  if (query.data !== undefined) return children(query.data);
  if (query.isError) return <Failed error={query.error} retry={() => void query.refetch()} />;
  return <Loading />;
}

export function Loading() {
  const { t } = useTranslation();
  return (
    <div role="status" className="flex animate-pulse flex-col gap-3 py-2">
      <span className="sr-only">{t("app.loading")}</span>
      {["w-2/3", "w-full", "w-1/2"].map((width) => (
        <div key={width} className={`h-4 rounded bg-hover ${width}`} />
      ))}
    </div>
  );
}

export function Failed({ error, retry }: { error: Error; retry: () => void }) {
  const { t } = useTranslation();
  const told = error instanceof ApiError && !error.isOffline ? error.message : t("app.offline");
  return (
    <div
      role="alert"
      className="flex flex-wrap items-center gap-3 rounded-xl bg-danger-soft px-4 py-3 text-sm text-danger"
    >
      <CircleAlert className="size-5 shrink-0" aria-hidden />
      <p className="min-w-0 grow">{told}</p>
      <Button size="small" onClick={retry}>
        {t("app.retry")}
      </Button>
    </div>
  );
}

/** Nothing yet, and what to do about it. */
export function Empty({ children, action }: { children: ReactNode; action?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-3 py-8 text-center text-sm text-soft">
      <Inbox className="size-8" aria-hidden />
      <div className="max-w-prose">{children}</div>
      {action}
    </div>
  );
}
