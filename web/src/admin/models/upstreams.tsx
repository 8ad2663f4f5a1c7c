import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { MODEL_LISTS, upstreamsQuery } from "@/admin/models/queries";
import { UpstreamForm } from "@/admin/models/upstream-form";
import { useChange } from "@/api/change";
import type { UpstreamCheck, UpstreamInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { confirm } from "@/ui/confirm";
import { Empty, Loaded } from "@/ui/load";
import { Badge, Panel } from "@/ui/panel";

export function UpstreamsPanel() {
  const { t } = useTranslation();
  const [edited, setEdited] = useState<UpstreamInfo | "new" | null>(null);
  const query = useQuery(upstreamsQuery);
  return (
    <Panel
      title={t("admin.upstreams.title")}
      description={t("admin.upstreams.hint")}
      actions={
        <Button onClick={() => setEdited("new")}>
          <Plus className="size-4" aria-hidden />
          {t("admin.upstreams.new")}
        </Button>
      }
    >
      <Loaded query={query}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty>{t("admin.upstreams.none")}</Empty>
          ) : (
            <ul className="flex flex-col gap-3">
              {data.map((upstream) => (
                <Upstream key={upstream.id} upstream={upstream} onEdit={() => setEdited(upstream)} />
              ))}
            </ul>
          )
        }
      </Loaded>
      {edited && <UpstreamForm upstream={edited === "new" ? null : edited} onClose={() => setEdited(null)} />}
    </Panel>
  );
}

function Upstream({ upstream, onEdit }: { upstream: UpstreamInfo; onEdit: () => void }) {
  const { t } = useTranslation();
  const path = `/api/admin/upstreams/${upstream.id}`;
  const check = useChange(() => request<UpstreamCheck>(`${path}/check`, { method: "POST", body: {} }));
  const remove = useChange(() => request<undefined>(path, { method: "DELETE" }), {
    stale: [["admin", "upstreams"], ...MODEL_LISTS],
    told: t("admin.upstreams.removed"),
  });
  const askToRemove = async () => {
    const title = t("admin.upstreams.removeOf", { name: upstream.name });
    if (await confirm({ title, text: t("admin.upstreams.removeHint"), action: t("common.delete") })) remove.mutate();
  };
  return (
    <li className="flex flex-col gap-2 rounded-xl border border-line p-4 text-sm">
      <div className="flex flex-wrap items-center gap-2">
        <span className="font-medium">{upstream.name}</span>
        {!upstream.enabled && <Badge tone="warning">{t("admin.models.off")}</Badge>}
        {upstream.has_key && <Badge>{t("admin.upstreams.hasKey")}</Badge>}
        <div className="ml-auto flex flex-wrap gap-2">
          <Button size="small" onClick={() => check.mutate()} disabled={check.isPending}>
            {t("admin.upstreams.check")}
          </Button>
          <Button size="small" onClick={onEdit}>
            {t("common.change")}
          </Button>
          <Button size="small" look="danger" onClick={() => void askToRemove()}>
            {t("common.delete")}
          </Button>
        </div>
      </div>
      <code className="text-xs wrap-anywhere text-soft">{upstream.base_url}</code>
      <div role="status">
        {check.data?.state === "failed" && <p className="text-danger">{check.data.detail}</p>}
        {check.data?.state === "ready" && (
          <p>{t("admin.upstreams.has", { count: check.data.models.length, models: check.data.models.join(", ") })}</p>
        )}
      </div>
    </li>
  );
}
