/** What is shown while there is nothing to show yet, nothing at all, or something went wrong. */

import { useQueryClient } from "@tanstack/react-query";
import { Link, useRouter, type ErrorComponentProps } from "@tanstack/react-router";
import { LoaderCircle, SearchX, ServerOff } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { ApiError } from "@/api/http";
import { Button } from "@/ui/button";

/** One of these where nothing else is on the page. */
export function Alone({ children }: { children: ReactNode }) {
  return <main className="flex min-h-dvh flex-col justify-center">{children}</main>;
}

export function Message({ icon, title, children }: { icon: ReactNode; title: string; children?: ReactNode }) {
  return (
    <div className="flex min-h-[60dvh] flex-col items-center justify-center gap-4 p-6 text-center">
      <div className="text-soft" aria-hidden>
        {icon}
      </div>
      <h1 className="max-w-md text-lg font-medium">{title}</h1>
      {children}
    </div>
  );
}

export function WaitingPage() {
  const { t } = useTranslation();
  return (
    <div className="flex h-dvh items-center justify-center" role="status">
      <LoaderCircle className="size-6 animate-spin text-soft" aria-hidden />
      <span className="sr-only">{t("app.loading")}</span>
    </div>
  );
}

export function NotFoundPage() {
  const { t } = useTranslation();
  return (
    <Message icon={<SearchX className="size-10" />} title={t("app.notFound")}>
      <Button look="solid" asChild>
        <Link to="/">{t("app.home")}</Link>
      </Button>
    </Message>
  );
}

export function ErrorPage({ error, reset }: Pick<ErrorComponentProps, "error" | "reset">) {
  const { t } = useTranslation();
  const router = useRouter();
  const queries = useQueryClient();
  const offline = error instanceof ApiError && error.isOffline;
  const told = error instanceof Error ? error.message : t("app.failed");
  const again = async () => {
    await queries.refetchQueries({ predicate: ({ state }) => state.status === "error" });
    await router.invalidate();
    reset();
  };
  return (
    <Message icon={<ServerOff className="size-10" />} title={offline ? t("app.offline") : told}>
      <Button look="solid" onClick={() => void again()}>
        {t("app.retry")}
      </Button>
    </Message>
  );
}
