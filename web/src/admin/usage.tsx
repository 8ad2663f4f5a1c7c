import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";

import type { AllUsage, UsageSum } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { SelectField } from "@/ui/form";
import { useFormats } from "@/ui/formats";
import { Empty, Loaded } from "@/ui/load";
import { Panel } from "@/ui/panel";
import { Table, type Column } from "@/ui/table";
import { amount, utcOffset, type Measure } from "@/usage/by-day";
import { PeriodAndMeasure, type Period } from "@/usage/period-and-measure";
import { UsageChart } from "@/usage/usage-chart";

const KINDS = ["model", "user"] as const;
type Kind = (typeof KINDS)[number];

export function UsageSection() {
  const { t } = useTranslation();
  const [period, setPeriod] = useState<Period>("30");
  const [measure, setMeasure] = useState<Measure>("tokens");
  const [kind, setKind] = useState<Kind>("model");
  const daily = useUsage(["day", kind], period);
  const nameOf = useMemo(
    () => (row: UsageSum) => (kind === "model" ? row.model : (row.user_name ?? row.user_id)) || t("admin.usage.nobody"),
    [kind, t],
  );
  return (
    <>
      <Panel
        title={t("admin.usage.everybody")}
        actions={
          <>
            <SelectField
              label={t("admin.usage.by")}
              value={kind}
              onChange={setKind}
              choices={KINDS.map((value) => ({ value, label: t(`usage.${value}`) }))}
            />
            <PeriodAndMeasure period={period} onPeriod={setPeriod} measure={measure} onMeasure={setMeasure} />
          </>
        }
      >
        <Loaded query={daily}>
          {({ data, has_more }) =>
            data.length === 0 ? (
              <Empty>{t("usage.none")}</Empty>
            ) : (
              <>
                <UsageChart rows={data} days={Number(period)} measure={measure} kind={nameOf} />
                {has_more && <p className="text-sm text-warning">{t("usage.cut")}</p>}
              </>
            )
          }
        </Loaded>
      </Panel>
      <Totals period={period} measure={measure} />
    </>
  );
}

function Totals({ period, measure }: { period: Period; measure: Measure }) {
  const { t } = useTranslation();
  const { number } = useFormats();
  const totals = useUsage(["user", "model"], period);
  const columns: Column<UsageSum>[] = [
    { id: "user", title: t("usage.user"), cell: (row) => row.user_name ?? row.user_id ?? t("admin.usage.nobody") },
    { id: "model", title: t("usage.model"), cell: (row) => row.model },
    { id: "requests", title: t("usage.requests"), numeric: true, cell: (row) => number(row.requests) },
    { id: "prompt", title: t("usage.promptTokens"), numeric: true, cell: (row) => number(row.prompt_tokens) },
    {
      id: "completion",
      title: t("usage.completionTokens"),
      numeric: true,
      cell: (row) => number(row.completion_tokens),
    },
  ];
  return (
    <Panel title={t("admin.usage.totals")}>
      <Loaded query={totals}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty>{t("usage.none")}</Empty>
          ) : (
            <Table
              caption={t("admin.usage.totals")}
              columns={columns}
              rows={data.toSorted((a, b) => amount(b, measure) - amount(a, measure))}
              id={(row) => `${row.user_id} ${row.model}`}
            />
          )
        }
      </Loaded>
    </Panel>
  );
}

function useUsage(by: readonly string[], period: Period) {
  const groups = by.map((group) => `by=${group}`).join("&");
  return useQuery({
    queryKey: ["admin", "usage", groups, period],
    queryFn: ({ signal }) =>
      request<AllUsage>(`/api/admin/usage?${groups}`, {
        query: { days: period, utc_offset_minutes: utcOffset() },
        signal,
      }),
  });
}
