import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import type { SystemHealth } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { useFormats } from "@/ui/formats";
import { Loaded } from "@/ui/load";
import { Badge, Panel, type Tone } from "@/ui/panel";

const TONES: Record<SystemHealth["model"], Tone> = {
  ready: "good",
  loading: "warning",
  unloaded: "plain",
  failed: "bad",
};

export function HealthSection() {
  const query = useQuery({
    queryKey: ["admin", "health"],
    queryFn: ({ signal }) => request<SystemHealth>("/api/admin/health", { signal }),
    refetchInterval: 5000,
  });
  return <Loaded query={query}>{(health) => <Health health={health} />}</Loaded>;
}

function Health({ health }: { health: SystemHealth }) {
  const { t } = useTranslation();
  const { dayAndTime, size, number } = useFormats();
  const { machine } = health;
  return (
    <>
      <Panel title={t("admin.health.server")}>
        <dl className="grid gap-4 text-sm sm:grid-cols-2 lg:grid-cols-3">
          <Fact term={t("admin.health.database")}>
            {health.database === "sqlite" ? "SQLite" : "PostgreSQL"}{" "}
            <Badge tone={health.database_ok ? "good" : "bad"}>
              {health.database_ok ? t("admin.health.answers") : t("admin.health.silent")}
            </Badge>
          </Fact>
          <Fact term={t("admin.health.model")}>
            <Badge tone={TONES[health.model]}>{t(`admin.models.states.${health.model}`)}</Badge> {health.model_detail}
          </Fact>
          <Fact term={t("admin.health.loaded")}>
            {t("admin.health.loadedModels", { count: health.models_loaded })} · {size(health.models_memory_bytes)}
          </Fact>
          <Fact term={t("admin.health.version")}>Chatwright {health.version}</Fact>
          <Fact term={t("admin.health.started")}>{dayAndTime(health.started_ms)}</Fact>
          <Fact term={t("admin.health.system")}>
            Python {health.python} · {health.platform}
          </Fact>
        </dl>
      </Panel>
      <Panel title={t("admin.health.machine")}>
        <div className="flex flex-col gap-5 text-sm">
          <Meter
            name={t("admin.health.memory")}
            used={machine.memory_total_bytes - machine.memory_free_bytes}
            total={machine.memory_total_bytes}
            more={t("admin.health.ofIt", { size: size(machine.process_memory_bytes) })}
          />
          <Meter
            name={t("admin.health.disk")}
            used={machine.disk_total_bytes - machine.disk_free_bytes}
            total={machine.disk_total_bytes}
          />
          <p>
            <span className="text-soft">{t("admin.health.load")}</span>{" "}
            <span className="tabular-nums">
              {number(machine.load, 2)} / {t("admin.health.cpus", { count: machine.cpus })}
            </span>
          </p>
          <a href="/metrics" className="w-fit py-2 text-accent underline underline-offset-2">
            {t("admin.health.metrics")}
          </a>
        </div>
      </Panel>
    </>
  );
}

function Fact({ term, children }: { term: string; children: ReactNode }) {
  return (
    <div>
      <dt className="text-soft">{term}</dt>
      <dd className="mt-0.5 wrap-anywhere">{children}</dd>
    </div>
  );
}

function Meter({ name, used, total, more }: { name: string; used: number; total: number; more?: string }) {
  const { t } = useTranslation();
  const { size } = useFormats();
  const share = used / total;
  return (
    <div className="flex flex-col gap-1.5">
      <p className="flex flex-wrap justify-between gap-x-4">
        <span className="text-soft">{name}</span>
        <span className="tabular-nums">
          {t("admin.health.used", { used: size(used), total: size(total) })}
          {more && <span className="text-soft"> {more}</span>}
        </span>
      </p>
      <div
        role="meter"
        aria-label={name}
        aria-valuenow={Math.round(share * 100)}
        aria-valuemin={0}
        aria-valuemax={100}
        className="h-2 overflow-hidden rounded-full bg-hover"
      >
        <div className={`h-full ${share > 0.9 ? "bg-danger" : "bg-accent"}`} style={{ width: `${share * 100}%` }} />
      </div>
    </div>
  );
}
