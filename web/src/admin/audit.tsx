import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { AuditInfo } from "@/api/generated/types.gen";
import { useRows } from "@/api/pages";
import { TextField } from "@/ui/form";
import { useFormats } from "@/ui/formats";
import { Panel } from "@/ui/panel";
import { RowList } from "@/ui/row-list";
import type { Column } from "@/ui/table";

export function AuditSection() {
  const { t } = useTranslation();
  const { dayAndTime } = useFormats();
  const [action, setAction] = useState("");
  const [target, setTarget] = useState("");
  const [wanted, setWanted] = useState({ action: "", target: "" });
  const list = useRows<AuditInfo>(["admin", "audit"], "/api/admin/audit", {
    action: wanted.action || null,
    target: wanted.target || null,
  });
  const apply = () => setWanted({ action: action.trim(), target: target.trim() });
  const columns: Column<AuditInfo>[] = [
    {
      id: "at",
      title: t("admin.audit.at"),
      cell: (row) => <span className="whitespace-nowrap">{dayAndTime(row.at_ms)}</span>,
    },
    { id: "actor", title: t("admin.audit.actor"), cell: (row) => row.actor_name || "–" },
    { id: "action", title: t("admin.audit.action"), cell: (row) => <code className="text-xs">{row.action}</code> },
    {
      id: "target",
      title: t("admin.audit.target"),
      cell: (row) => <code className="text-xs break-all">{row.target || "–"}</code>,
    },
    {
      id: "detail",
      title: t("admin.audit.detail"),
      cell: (row) => <code className="text-xs break-all text-soft">{shown(row.detail)}</code>,
    },
    { id: "address", title: t("admin.audit.address"), cell: (row) => row.address },
  ];
  return (
    <Panel title={t("admin.audit.what")} description={t("admin.audit.hint")}>
      <form
        className="mb-4 grid gap-3 sm:grid-cols-2"
        onSubmit={(event) => {
          event.preventDefault();
          apply();
        }}
      >
        <TextField
          type="search"
          label={t("admin.audit.action")}
          placeholder="settings.change"
          value={action}
          onChange={(event) => setAction(event.target.value)}
          onBlur={apply}
        />
        <TextField
          type="search"
          label={t("admin.audit.target")}
          value={target}
          onChange={(event) => setTarget(event.target.value)}
          onBlur={apply}
        />
        <button type="submit" className="sr-only">
          {t("admin.audit.filter")}
        </button>
      </form>
      <RowList
        list={list}
        caption={t("admin.audit.what")}
        columns={columns}
        id={(row) => row.id}
        empty={t("admin.audit.none")}
      />
    </Panel>
  );
}

/** Changes as the record has them; names and values are the server's own. */
function shown(detail: AuditInfo["detail"]): string {
  const parts = Object.entries(detail).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  return parts.join(", ") || "–";
}
