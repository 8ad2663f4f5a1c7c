import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { AddModel } from "@/admin/models/add-model";
import { ModelMenu } from "@/admin/models/model-menu";
import { lineage, modelsQuery } from "@/admin/models/queries";
import type { ModelInfo } from "@/api/generated/types.gen";
import { Button } from "@/ui/button";
import { useFormats } from "@/ui/formats";
import { Loaded } from "@/ui/load";
import { Badge, Panel, type Tone } from "@/ui/panel";
import { Table, type Column } from "@/ui/table";

const TONES: Record<ModelInfo["state"], Tone> = { ready: "good", loading: "warning", unloaded: "plain", failed: "bad" };

export function ModelsPanel() {
  const { t } = useTranslation();
  const [adding, setAdding] = useState(false);
  const query = useQuery(modelsQuery);
  return (
    <Panel
      title={t("admin.models.served")}
      actions={
        <Button look="solid" onClick={() => setAdding(true)}>
          <Plus className="size-4" aria-hidden />
          {t("admin.models.add")}
        </Button>
      }
    >
      <Loaded query={query}>{({ data }) => <ModelTable models={data} />}</Loaded>
      {adding && <AddModel onClose={() => setAdding(false)} />}
    </Panel>
  );
}

function ModelTable({ models }: { models: readonly ModelInfo[] }) {
  const { t } = useTranslation();
  const { size, number } = useFormats();
  const columns: Column<ModelInfo>[] = [
    { id: "name", title: t("admin.models.name"), quiet: true, cell: (row) => <Name model={row} models={models} /> },
    {
      id: "state",
      title: t("admin.models.state"),
      cell: (row) => (
        <span title={row.detail}>
          <Badge tone={TONES[row.state]}>{t(`admin.models.states.${row.state}`)}</Badge>
        </span>
      ),
    },
    {
      id: "memory",
      title: t("admin.models.memory"),
      numeric: true,
      cell: (row) => (row.memory_bytes ? size(row.memory_bytes) : "–"),
    },
    {
      id: "context",
      title: t("admin.models.context"),
      numeric: true,
      cell: (row) => (row.context_length === null ? "–" : number(row.context_length)),
    },
    {
      id: "actions",
      title: t("common.actions"),
      quiet: true,
      cell: (row) => (
        <div className="flex justify-end">
          <ModelMenu model={row} />
        </div>
      ),
    },
  ];
  return <Table caption={t("admin.models.served")} columns={columns} rows={models} id={(row) => row.name} />;
}

function Name({ model, models }: { model: ModelInfo; models: readonly ModelInfo[] }) {
  const { t } = useTranslation();
  const ancestors = lineage(model, models);
  return (
    <div className="flex flex-col gap-1">
      <span className="flex flex-wrap items-center gap-2">
        <span className="font-medium">{model.name}</span>
        {model.is_default && <Badge tone="good">{t("admin.models.default")}</Badge>}
        {!model.enabled && <Badge tone="warning">{t("admin.models.off")}</Badge>}
        {model.owner_id && <Badge>{t("admin.models.private")}</Badge>}
        {model.kind === "upstream" && <Badge>{t("admin.models.elsewhere")}</Badge>}
      </span>
      <span className="text-xs text-soft">{model.source}</span>
      {ancestors.length > 0 && (
        <span className="text-xs text-soft">{t("admin.models.from", { line: ancestors.join(" ← ") })}</span>
      )}
      {model.state === "failed" && model.detail && <span className="text-xs text-danger">{model.detail}</span>}
    </div>
  );
}
