/** What went wrong when somebody wanted in; with a countdown where the server asks to wait. */

import { TriangleAlert } from "lucide-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { ApiError } from "@/api/http";

/** Seconds until the server listens again; 0 when it does. */
export function useWait(error: unknown): number {
  const seconds = error instanceof ApiError && error.status === 429 ? (error.retryAfterSeconds ?? 0) : 0;
  const [now, setNow] = useState({ error, left: seconds });
  if (now.error !== error) setNow({ error, left: seconds });
  const waiting = now.left > 0;
  useEffect(() => {
    if (!waiting) return;
    const timer = setInterval(() => setNow((before) => ({ ...before, left: Math.max(before.left - 1, 0) })), 1000);
    return () => clearInterval(timer);
  }, [waiting, error]);
  return now.left;
}

/** The refusal, unless it belongs to one of the fields that show theirs themselves. */
export function Refusal({ error, wait, fields = [] }: { error: unknown; wait: number; fields?: readonly string[] }) {
  const { t } = useTranslation();
  if (!error) return null;
  if (error instanceof ApiError) {
    if (error.param !== null && fields.includes(error.param)) return null;
    if (error.status === 429 && wait === 0) return null;
  }
  return (
    <Notice>
      {wait > 0
        ? t("account.wait", { count: wait })
        : error instanceof ApiError && !error.isOffline
          ? error.message
          : t("app.offline")}
    </Notice>
  );
}

export function Notice({ children }: { children: string }) {
  return (
    <p role="alert" className="flex items-start gap-2 rounded-lg bg-danger-soft px-3 py-2.5 text-sm text-danger">
      <TriangleAlert className="mt-0.5 size-4 shrink-0" aria-hidden />
      {children}
    </p>
  );
}

/** What the server says about one field. */
export function errorOf(error: unknown, field: string): string | null {
  return error instanceof ApiError && error.param === field ? error.message : null;
}
