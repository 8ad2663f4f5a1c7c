import { useQuery } from "@tanstack/react-query";
import { Undo2 } from "lucide-react";
import { useTranslation } from "react-i18next";

import { MODEL_LISTS, modelPath, modelsQuery, promotionsQuery } from "@/admin/models/queries";
import { useChange } from "@/api/change";
import type { ModelInfo, PromotionInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { confirm } from "@/ui/confirm";
import { useFormats } from "@/ui/formats";
import { Empty, Loaded } from "@/ui/load";
import { Badge, Panel } from "@/ui/panel";
import { Table, type Column } from "@/ui/table";

const SHOWN = 20;

/** Which model answered where none was named, and the way back. */
export function PromotionsPanel() {
  const { t } = useTranslation();
  const { dayAndTime } = useFormats();
  const query = useQuery(promotionsQuery);
  const models = useQuery(modelsQuery).data?.data ?? [];
  const current = models.find((model) => model.is_default)?.name;
  const history = query.data?.data ?? [];
  // Where the history begins, the settings' own model answered.
  const before =
    history.find((row) => row.model !== current && row.is_served)?.model ??
    models.find((model) => model.is_fixed)?.name;
  const previous = history.length > 0 && before !== current ? before : undefined;
  const promote = useChange<ModelInfo, string>(
    (name) => request(`${modelPath(name)}/default`, { method: "POST", body: {} }),
    { stale: MODEL_LISTS, told: t("admin.models.done") },
  );
  const ask = async (name: string) => {
    const title = t("admin.models.promoteOf", { name });
    const action = t("admin.models.promote");
    if (await confirm({ title, text: t("admin.models.promoteHint"), action })) promote.mutate(name);
  };
  const columns: Column<PromotionInfo & { id: string }>[] = [
    { id: "at", title: t("admin.audit.at"), cell: (row) => dayAndTime(row.at_ms) },
    { id: "model", title: t("usage.model"), cell: (row) => <span className="font-medium">{row.model}</span> },
    { id: "actor", title: t("admin.audit.actor"), cell: (row) => row.actor_name },
    {
      id: "actions",
      title: t("common.actions"),
      quiet: true,
      cell: (row) => (
        <div className="flex justify-end">
          {!row.is_served ? (
            <Badge>{t("admin.models.gone")}</Badge>
          ) : (
            row.model !== current && (
              <Button size="small" onClick={() => void ask(row.model)} disabled={promote.isPending}>
                {t("admin.models.putBack")}
              </Button>
            )
          )}
        </div>
      ),
    },
  ];
  return (
    <Panel
      title={t("admin.models.history")}
      description={t("admin.models.historyHint", { name: current })}
      actions={
        previous && (
          <Button onClick={() => void ask(previous)} disabled={promote.isPending}>
            <Undo2 className="size-4" aria-hidden />
            {t("admin.models.rollBack", { name: previous })}
          </Button>
        )
      }
    >
      <Loaded query={query}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty>{t("admin.models.noHistory")}</Empty>
          ) : (
            <Table
              caption={t("admin.models.history")}
              columns={columns}
              rows={data.slice(0, SHOWN).map((row) => ({ ...row, id: `${row.at_ms} ${row.model}` }))}
              id={(row) => row.id}
            />
          )
        }
      </Loaded>
    </Panel>
  );
}
