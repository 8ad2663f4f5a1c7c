import { useQuery } from "@tanstack/react-query";
import { ThumbsDown, ThumbsUp } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { useUserNames } from "@/admin/user-names";
import type { ListedRating, PageVersionSummary, VersionSummary } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { useRows } from "@/api/pages";
import { Button } from "@/ui/button";
import { SelectField } from "@/ui/form";
import { useFormats } from "@/ui/formats";
import { Empty, Failed, Loaded, Loading } from "@/ui/load";
import { Badge, Panel } from "@/ui/panel";
import { Table, type Column } from "@/ui/table";

const THUMBS = ["all", "1", "-1", "0"] as const;

export function FeedbackSection() {
  return (
    <>
      <SummaryPanel />
      <RatingsPanel />
    </>
  );
}

function SummaryPanel() {
  const { t } = useTranslation();
  const { number, percent } = useFormats();
  const query = useQuery({
    queryKey: ["admin", "feedback-summary"],
    queryFn: ({ signal }) => request<PageVersionSummary>("/api/admin/feedback/summary", { signal }),
  });
  const columns: Column<VersionSummary>[] = [
    { id: "model", title: t("usage.model"), cell: (row) => row.model ?? "–" },
    {
      id: "version",
      title: t("admin.feedback.version"),
      cell: (row) => <code>{row.model_version?.slice(0, 12) || "–"}</code>,
    },
    { id: "up", title: t("admin.feedback.thumbs.1"), numeric: true, cell: (row) => number(row.up) },
    { id: "down", title: t("admin.feedback.thumbs.-1"), numeric: true, cell: (row) => number(row.down) },
    {
      id: "share",
      title: t("admin.feedback.liked"),
      numeric: true,
      cell: (row) => (row.up + row.down === 0 ? "–" : percent(row.up / (row.up + row.down))),
    },
    { id: "edits", title: t("admin.feedback.edits"), numeric: true, cell: (row) => number(row.edits) },
  ];
  return (
    <Panel title={t("admin.feedback.summary")}>
      <Loaded query={query}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty>{t("admin.feedback.none")}</Empty>
          ) : (
            <Table
              caption={t("admin.feedback.summary")}
              columns={columns}
              rows={data}
              id={(row) => `${row.model} ${row.model_version}`}
            />
          )
        }
      </Loaded>
    </Panel>
  );
}

function RatingsPanel() {
  const { t } = useTranslation();
  const [thumb, setThumb] = useState<(typeof THUMBS)[number]>("all");
  const list = useRows<ListedRating>(["admin", "feedback"], "/api/admin/feedback", {
    thumb: thumb === "all" ? null : thumb,
  });
  const hidden = list.rows.some((row) => row.answer === null);
  return (
    <Panel
      title={t("admin.feedback.ratings")}
      description={hidden ? t("admin.feedback.hidden") : undefined}
      actions={
        <SelectField
          label={t("admin.feedback.thumb")}
          value={thumb}
          onChange={setThumb}
          choices={THUMBS.map((value) => ({ value, label: t(`admin.feedback.thumbs.${value}`) }))}
        />
      }
    >
      {list.isPending ? (
        <Loading />
      ) : list.error ? (
        <Failed error={list.error} retry={list.retry} />
      ) : list.rows.length === 0 ? (
        <Empty>{t(thumb === "all" ? "admin.feedback.none" : "admin.feedback.noneSuch")}</Empty>
      ) : (
        <ul className="flex flex-col divide-y divide-line">
          {list.rows.map((row) => (
            <Rating key={row.id} row={row} />
          ))}
        </ul>
      )}
      {list.more && <Button onClick={list.more}>{t("common.more")}</Button>}
    </Panel>
  );
}

function Rating({ row }: { row: ListedRating }) {
  const { t } = useTranslation();
  const { dayAndTime } = useFormats();
  const nameOf = useUserNames();
  const texts = [
    ["question", row.question],
    ["answer", row.answer],
    ["edit", row.edit],
    ["comment", row.comment],
  ] as const;
  return (
    <li className="flex flex-col gap-2 py-4 text-sm">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        {row.thumb !== 0 && (
          <span className={row.thumb === 1 ? "text-accent" : "text-danger"}>
            {row.thumb === 1 ? (
              <ThumbsUp className="size-4" aria-hidden />
            ) : (
              <ThumbsDown className="size-4" aria-hidden />
            )}
            <span className="sr-only">{t(`admin.feedback.thumbs.${row.thumb}`)}</span>
          </span>
        )}
        <span className="font-medium">{nameOf(row.user_id)}</span>
        <span className="text-soft">{row.model}</span>
        {row.reasons.map((reason) => (
          <Badge key={reason}>{t(`admin.feedback.reasons.${reason}`, { defaultValue: reason })}</Badge>
        ))}
        <Badge tone={row.consent ? "good" : "plain"}>
          {row.consent ? t("admin.feedback.consent") : t("admin.feedback.noConsent")}
        </Badge>
        <span className="ml-auto text-soft">{dayAndTime(row.updated_ms)}</span>
      </div>
      <dl className="flex flex-col gap-1.5">
        {texts.map(
          ([name, text]) =>
            text && (
              <div key={name} className="grid gap-x-4 sm:grid-cols-[6rem_1fr]">
                <dt className="text-soft">{t(`admin.feedback.${name}`)}</dt>
                <dd className="line-clamp-6 wrap-anywhere whitespace-pre-wrap">{text}</dd>
              </div>
            ),
        )}
      </dl>
    </li>
  );
}
