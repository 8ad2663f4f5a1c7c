import { useState } from "react";
import { useTranslation } from "react-i18next";

import { WordListsPanel } from "@/admin/moderation/word-lists";
import { useUserNames } from "@/admin/user-names";
import { useChange } from "@/api/change";
import type { Entry } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { useRows } from "@/api/pages";
import { Button } from "@/ui/button";
import { SelectField } from "@/ui/form";
import { useFormats } from "@/ui/formats";
import { Badge, Panel } from "@/ui/panel";
import { RowList } from "@/ui/row-list";
import type { Column } from "@/ui/table";

const ACTIONS = ["all", "flag", "block"] as const;
const REVIEWED = ["false", "true", "all"] as const;

export function ModerationSection() {
  return (
    <>
      <RecordPanel />
      <WordListsPanel />
    </>
  );
}

function RecordPanel() {
  const { t } = useTranslation();
  const { dayAndTime, percent } = useFormats();
  const nameOf = useUserNames();
  const [action, setAction] = useState<(typeof ACTIONS)[number]>("all");
  const [reviewed, setReviewed] = useState<(typeof REVIEWED)[number]>("false");
  const list = useRows<Entry>(["admin", "moderation"], "/api/admin/moderation", {
    action: action === "all" ? null : action,
    reviewed: reviewed === "all" ? null : reviewed,
  });
  const review = useChange<Entry, string>(
    (id) => request(`/api/admin/moderation/${id}/review`, { method: "POST", body: {} }),
    { stale: [["admin", "moderation"]] },
  );
  const columns: Column<Entry>[] = [
    {
      id: "what",
      title: t("admin.moderation.what"),
      quiet: true,
      cell: (row) => (
        <div className="flex flex-col gap-1.5">
          <span className="flex flex-wrap items-center gap-2">
            <Badge tone={row.action === "block" ? "bad" : "warning"}>
              {t(`admin.moderation.actions.${row.action}`)}
            </Badge>
            <span className="text-soft">{t(`admin.moderation.directions.${row.direction}`)}</span>
            {Object.entries(row.categories).map(([category, score]) => (
              <span key={category} className="tabular-nums">
                {t(`admin.moderation.categories.${category}`, { defaultValue: category })} {percent(score)}
              </span>
            ))}
          </span>
          {row.excerpt && <q className="wrap-anywhere text-soft">{row.excerpt}</q>}
        </div>
      ),
    },
    { id: "who", title: t("usage.user"), cell: (row) => (row.user_id === null ? "–" : nameOf(row.user_id)) },
    { id: "model", title: t("usage.model"), cell: (row) => row.model },
    { id: "at", title: t("admin.audit.at"), cell: (row) => dayAndTime(row.at_ms) },
    {
      id: "actions",
      title: t("common.actions"),
      quiet: true,
      cell: (row) => (
        <div className="flex justify-end">
          {row.reviewed_ms === null ? (
            <Button size="small" onClick={() => review.mutate(row.id)} disabled={review.isPending}>
              {t("admin.moderation.review")}
            </Button>
          ) : (
            <Badge tone="good">{t("admin.moderation.reviewed.true")}</Badge>
          )}
        </div>
      ),
    },
  ];
  return (
    <Panel
      title={t("admin.moderation.record")}
      description={t("admin.moderation.recordHint")}
      actions={
        <>
          <SelectField
            label={t("admin.moderation.action")}
            value={action}
            onChange={setAction}
            choices={ACTIONS.map((value) => ({ value, label: t(`admin.moderation.actions.${value}`) }))}
          />
          <SelectField
            label={t("admin.moderation.seen")}
            value={reviewed}
            onChange={setReviewed}
            choices={REVIEWED.map((value) => ({ value, label: t(`admin.moderation.reviewed.${value}`) }))}
          />
        </>
      }
    >
      <RowList
        list={list}
        caption={t("admin.moderation.record")}
        columns={columns}
        id={(row) => row.id}
        empty={t("admin.moderation.none")}
      />
    </Panel>
  );
}
