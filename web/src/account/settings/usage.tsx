import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { LimitState, MyUsage, UsageSum } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Empty, Loaded } from "@/ui/load";
import { useFormats } from "@/ui/formats";
import { Panel } from "@/ui/panel";
import { utcOffset, type Measure } from "@/usage/by-day";
import { PeriodAndMeasure, type Period } from "@/usage/period-and-measure";
import { UsageChart } from "@/usage/usage-chart";

const byModel = (row: UsageSum) => row.model ?? "";

export function UsageSection() {
  const { t } = useTranslation();
  const [period, setPeriod] = useState<Period>("30");
  const [measure, setMeasure] = useState<Measure>("tokens");
  const query = useQuery({
    queryKey: ["my-usage", period],
    queryFn: ({ signal }) =>
      request<MyUsage>("/api/me/usage?by=day&by=model", {
        query: { days: period, utc_offset_minutes: utcOffset() },
        signal,
      }),
  });
  return (
    <>
      <Panel
        title={t("settings.usage.used")}
        actions={<PeriodAndMeasure period={period} onPeriod={setPeriod} measure={measure} onMeasure={setMeasure} />}
      >
        <Loaded query={query}>
          {({ data, has_more }) =>
            data.length === 0 ? (
              <Empty>{t("usage.none")}</Empty>
            ) : (
              <>
                <UsageChart rows={data} days={Number(period)} measure={measure} kind={byModel} />
                {has_more && <p className="text-sm text-warning">{t("usage.cut")}</p>}
              </>
            )
          }
        </Loaded>
      </Panel>
      <Panel title={t("settings.usage.limits")} description={t("settings.usage.limitsHint")}>
        <Loaded query={query}>
          {({ limits, concurrent_generations: places }) => (
            <ul className="flex flex-col gap-4 text-sm">
              {limits.map((limit) => (
                <Limit key={`${limit.subject} ${limit.unit} ${limit.period}`} limit={limit} />
              ))}
              {places !== null && <li>{t("settings.usage.atOnce", { count: places })}</li>}
              {limits.length === 0 && places === null && <li className="text-soft">{t("settings.usage.noLimits")}</li>}
            </ul>
          )}
        </Loaded>
      </Panel>
    </>
  );
}

function Limit({ limit }: { limit: LimitState }) {
  const { t } = useTranslation();
  const { number } = useFormats();
  const used = limit.limit - limit.remaining;
  const name = t(`settings.usage.limit.${limit.unit}.${limit.period}`);
  return (
    <li className="flex flex-col gap-1.5">
      <span className="flex justify-between gap-4">
        <span>{name}</span>
        <span className="text-soft tabular-nums">
          {t("settings.usage.left", { left: number(limit.remaining), limit: number(limit.limit) })}
        </span>
      </span>
      <progress
        aria-label={name}
        value={used}
        max={limit.limit}
        className="h-2 w-full appearance-none overflow-hidden rounded-full bg-hover [&::-moz-progress-bar]:bg-accent [&::-webkit-progress-bar]:bg-hover [&::-webkit-progress-value]:bg-accent"
      />
    </li>
  );
}
