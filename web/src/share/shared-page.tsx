/** A shared conversation as strangers read it. */

import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { Link2Off } from "lucide-react";
import { Tooltip } from "radix-ui";
import { useTranslation } from "react-i18next";

import { LanguageButton, ThemeButton } from "@/account/frame";
import type { SharedView } from "@/api/generated/types.gen";
import { ApiError } from "@/api/http";
import { Alone, ErrorPage, Message, WaitingPage } from "@/app/states";
import { useTitle } from "@/app/title";
import { sharedQuery } from "@/share/queries";
import { SharedRow } from "@/share/shared-row";
import { Button } from "@/ui/button";

export function SharedPage() {
  const { t } = useTranslation();
  const { token } = useParams({ from: "/share/$token" });
  const { data, error, refetch } = useQuery(sharedQuery(token));
  useTitle(data ? data.title || t("sidebar.untitled") : t("share.shared"));
  if (data) return <Shared shared={data} />;
  if (!error) return <WaitingPage />;
  if (!(error instanceof ApiError && error.status === 404)) {
    return (
      <Alone>
        <ErrorPage error={error} reset={() => void refetch()} />
      </Alone>
    );
  }
  return (
    <Alone>
      <Message icon={<Link2Off className="size-10" />} title={t("share.gone")}>
        <Button look="solid" asChild>
          <Link to="/">{t("app.home")}</Link>
        </Button>
      </Message>
    </Alone>
  );
}

function Shared({ shared }: { shared: SharedView }) {
  const { t, i18n } = useTranslation();
  const day = new Intl.DateTimeFormat(i18n.language, { dateStyle: "long" }).format(shared.created_ms);
  return (
    <Tooltip.Provider delayDuration={400}>
      <div className="flex min-h-dvh flex-col">
        <header className="sticky top-0 z-10 flex items-center gap-1 border-b border-line bg-surface px-3 py-2">
          <Link to="/" className="mr-auto flex items-center gap-2.5 rounded-lg font-semibold">
            <img src="/icon.svg" alt="" className="size-7 rounded-lg" />
            {t("app.name")}
          </Link>
          <LanguageButton />
          <ThemeButton />
        </header>
        <main className="mx-auto flex w-full max-w-3xl grow flex-col gap-7 px-4 pt-8 pb-16">
          <div className="border-b border-line pb-5">
            <h1 dir="auto" className="text-2xl font-semibold text-balance wrap-anywhere">
              {shared.title || t("sidebar.untitled")}
            </h1>
            <p className="mt-1.5 text-sm text-soft">{t("share.sharedOn", { day })}</p>
          </div>
          {shared.messages.map((message, index) => (
            // A shared conversation never changes: its places are its names.
            <SharedRow key={index} message={message} />
          ))}
          <footer className="mt-4 border-t border-line pt-6 text-center text-sm text-soft">
            <p>{t("share.note")}</p>
            <Button className="mt-4" asChild>
              <Link to="/">{t("share.begin")}</Link>
            </Button>
          </footer>
        </main>
      </div>
    </Tooltip.Provider>
  );
}
