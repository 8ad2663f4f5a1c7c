import { Plus } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { WordListForm } from "@/admin/moderation/word-list-form";
import { useChange } from "@/api/change";
import type { ChangedList, ShownList } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { useRows } from "@/api/pages";
import { Button } from "@/ui/button";
import { confirm } from "@/ui/confirm";
import { useFormats } from "@/ui/formats";
import { Badge, Panel } from "@/ui/panel";
import { RowList } from "@/ui/row-list";
import type { Column } from "@/ui/table";

export function WordListsPanel() {
  const { t } = useTranslation();
  const { number, day } = useFormats();
  const [edited, setEdited] = useState<ShownList | "new" | null>(null);
  const list = useRows<ShownList>(["admin", "word-lists"], "/api/admin/word-lists");
  const after = { stale: [["admin", "word-lists"]] };
  const change = useChange<ShownList, { id: string; body: ChangedList }>(
    ({ id, body }) => request(`/api/admin/word-lists/${id}`, { method: "PATCH", body }),
    after,
  );
  const remove = useChange<undefined, string>(
    (id) => request(`/api/admin/word-lists/${id}`, { method: "DELETE" }),
    after,
  );
  const askToRemove = async (row: ShownList) => {
    const title = t("admin.words.deleteOf", { name: row.name });
    if (await confirm({ title, text: t("admin.words.deleteHint"), action: t("common.delete") })) remove.mutate(row.id);
  };
  const columns: Column<ShownList>[] = [
    {
      id: "name",
      title: t("admin.words.name"),
      quiet: true,
      cell: (row) => (
        <span className="flex flex-wrap items-center gap-2">
          <span className="font-medium">{row.name}</span>
          <Badge tone={row.action === "block" ? "bad" : "warning"}>{t(`admin.moderation.actions.${row.action}`)}</Badge>
          {!row.enabled && <Badge>{t("admin.words.off")}</Badge>}
        </span>
      ),
    },
    { id: "category", title: t("admin.words.category"), cell: (row) => row.category },
    { id: "words", title: t("admin.words.words"), numeric: true, cell: (row) => number(row.words.length) },
    { id: "changed", title: t("admin.words.changed"), cell: (row) => day(row.changed_ms) },
    {
      id: "actions",
      title: t("common.actions"),
      quiet: true,
      cell: (row) => (
        <div className="flex flex-wrap justify-end gap-2">
          <Button size="small" onClick={() => change.mutate({ id: row.id, body: { enabled: !row.enabled } })}>
            {row.enabled ? t("admin.models.switchOff") : t("admin.models.switchOn")}
          </Button>
          <Button size="small" onClick={() => setEdited(row)}>
            {t("common.change")}
          </Button>
          <Button size="small" look="danger" onClick={() => void askToRemove(row)}>
            {t("common.delete")}
          </Button>
        </div>
      ),
    },
  ];
  return (
    <Panel
      title={t("admin.words.title")}
      description={t("admin.words.hint")}
      actions={
        <Button onClick={() => setEdited("new")}>
          <Plus className="size-4" aria-hidden />
          {t("admin.words.new")}
        </Button>
      }
    >
      <RowList
        list={list}
        caption={t("admin.words.title")}
        columns={columns}
        id={(row) => row.id}
        empty={t("admin.words.none")}
      />
      {edited && <WordListForm list={edited === "new" ? null : edited} onClose={() => setEdited(null)} />}
    </Panel>
  );
}
