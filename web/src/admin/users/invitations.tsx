import { Plus } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { NewInvitation } from "@/admin/users/new-invitation";
import { useChange } from "@/api/change";
import type { InvitationInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { useRows } from "@/api/pages";
import { Button } from "@/ui/button";
import { useFormats } from "@/ui/formats";
import { Badge, Panel } from "@/ui/panel";
import { RowList } from "@/ui/row-list";
import type { Column } from "@/ui/table";

export function InvitationsPanel() {
  const { t } = useTranslation();
  const { day, number } = useFormats();
  const [making, setMaking] = useState(false);
  const list = useRows<InvitationInfo>(["admin", "invitations"], "/api/admin/invitations");
  const revoke = useChange<undefined, string>((id) => request(`/api/admin/invitations/${id}`, { method: "DELETE" }), {
    stale: [["admin", "invitations"]],
    told: t("admin.invitations.revoked"),
  });
  const columns: Column<InvitationInfo>[] = [
    {
      id: "note",
      title: t("admin.invitations.note"),
      quiet: true,
      cell: (row) => (
        <span className="flex flex-wrap items-center gap-2 font-medium">
          {row.note || t("admin.invitations.noNote")}
          {row.role === "admin" && <Badge tone="good">{t("admin.users.roles.admin")}</Badge>}
        </span>
      ),
    },
    {
      id: "uses",
      title: t("admin.invitations.uses"),
      numeric: true,
      cell: (row) => `${number(row.uses)} / ${number(row.max_uses)}`,
    },
    { id: "expires", title: t("admin.invitations.expires"), cell: (row) => day(row.expires_ms) },
    {
      id: "actions",
      title: t("common.actions"),
      quiet: true,
      cell: (row) => (
        <div className="flex justify-end">
          <Button size="small" look="danger" onClick={() => revoke.mutate(row.id)} disabled={revoke.isPending}>
            {t("admin.invitations.revoke")}
          </Button>
        </div>
      ),
    },
  ];
  return (
    <Panel
      title={t("admin.invitations.title")}
      description={t("admin.invitations.hint")}
      actions={
        <Button onClick={() => setMaking(true)}>
          <Plus className="size-4" aria-hidden />
          {t("admin.invitations.new")}
        </Button>
      }
    >
      <RowList
        list={list}
        caption={t("admin.invitations.title")}
        columns={columns}
        id={(row) => row.id}
        empty={t("admin.invitations.none")}
      />
      {making && <NewInvitation onClose={() => setMaking(false)} />}
    </Panel>
  );
}
