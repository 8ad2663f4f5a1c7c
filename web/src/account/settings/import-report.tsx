import { useTranslation } from "react-i18next";

import { useChange } from "@/api/change";
import type { ImportView } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { useFormats } from "@/ui/formats";
import { Badge, type Tone } from "@/ui/panel";

const TONES: Record<ImportView["status"], Tone> = {
  running: "plain",
  complete: "good",
  failed: "bad",
  cancelled: "warning",
};

/** How far an import is, what came of it, and what was left out and why. */
export function ImportReport({ one }: { one: ImportView }) {
  const { t } = useTranslation();
  const { dayAndTime, number } = useFormats();
  const cancel = useChange(() => request<ImportView>(`/api/imports/${one.id}`, { method: "DELETE" }), {
    stale: [["imports"]],
  });
  const running = one.status === "running";
  return (
    <li className="flex flex-col gap-2 rounded-xl border border-line p-4 text-sm">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <span className="font-medium wrap-anywhere">{one.filename}</span>
        <Badge tone={TONES[one.status]}>{t(`settings.data.status.${one.status}`)}</Badge>
        <span className="ml-auto text-soft">{dayAndTime(one.created_ms)}</span>
      </div>
      {running && (
        <div className="flex items-center gap-3">
          <progress
            aria-label={one.filename}
            value={one.read_bytes}
            max={Math.max(one.total_bytes, 1)}
            className="h-2 grow appearance-none overflow-hidden rounded-full bg-hover [&::-moz-progress-bar]:bg-accent [&::-webkit-progress-bar]:bg-hover [&::-webkit-progress-value]:bg-accent"
          />
          <Button size="small" onClick={() => cancel.mutate()} disabled={cancel.isPending}>
            {t("common.cancel")}
          </Button>
        </div>
      )}
      <p role={running ? undefined : "status"}>
        {t("settings.data.conversations", { count: one.conversations, shown: number(one.conversations) })}
        {" · "}
        {one.grown > 0 && `${t("settings.data.grown", { count: one.grown, shown: number(one.grown) })} · `}
        {t("settings.data.messages", { count: one.messages, shown: number(one.messages) })}
      </p>
      {one.error && <p className="text-danger">{one.error}</p>}
      {one.skipped.length > 0 && (
        <div className="text-soft">
          <p>{t("settings.data.skipped")}</p>
          <ul className="mt-1 list-disc pl-5">
            {one.skipped.map(({ reason, count, message }) => (
              <li key={reason}>
                <span className="text-ink tabular-nums">{number(count)}</span> {message}
              </li>
            ))}
          </ul>
        </div>
      )}
    </li>
  );
}
