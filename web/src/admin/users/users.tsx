import { Plus } from "lucide-react";
import { useDeferredValue, useState } from "react";
import { useTranslation } from "react-i18next";

import { EditUser } from "@/admin/users/edit-user";
import { InvitationsPanel } from "@/admin/users/invitations";
import { NewUser } from "@/admin/users/new-user";
import type { UserInfo } from "@/api/generated/types.gen";
import { useRows } from "@/api/pages";
import { Button } from "@/ui/button";
import { TextField } from "@/ui/form";
import { useFormats } from "@/ui/formats";
import { Badge, Panel } from "@/ui/panel";
import { RowList } from "@/ui/row-list";
import type { Column } from "@/ui/table";

export function UsersSection() {
  return (
    <>
      <UsersPanel />
      <InvitationsPanel />
    </>
  );
}

function UsersPanel() {
  const { t } = useTranslation();
  const { day } = useFormats();
  const [words, setWords] = useState("");
  const [making, setMaking] = useState(false);
  const [edited, setEdited] = useState<UserInfo | null>(null);
  const list = useRows<UserInfo>(["admin", "users"], "/api/admin/users", { query: useDeferredValue(words) || null });
  const columns: Column<UserInfo>[] = [
    {
      id: "name",
      title: t("admin.users.name"),
      quiet: true,
      cell: (row) => (
        <span className="flex flex-wrap items-center gap-2">
          <span className="font-medium">{row.name}</span>
          {row.role === "admin" && <Badge tone="good">{t("admin.users.roles.admin")}</Badge>}
          {row.disabled && <Badge tone="bad">{t("admin.users.disabled")}</Badge>}
          {row.email && <span className="text-soft">{row.email}</span>}
        </span>
      ),
    },
    { id: "created", title: t("admin.users.created"), cell: (row) => day(row.created_ms) },
    { id: "seen", title: t("admin.users.seen"), cell: (row) => (row.seen_ms === null ? "–" : day(row.seen_ms)) },
    {
      id: "actions",
      title: t("common.actions"),
      quiet: true,
      cell: (row) => (
        <div className="flex justify-end">
          <Button
            size="small"
            aria-label={t("admin.users.changeOf", { name: row.name })}
            onClick={() => setEdited(row)}
          >
            {t("common.change")}
          </Button>
        </div>
      ),
    },
  ];
  return (
    <Panel
      title={t("admin.users.accounts")}
      actions={
        <Button look="solid" onClick={() => setMaking(true)}>
          <Plus className="size-4" aria-hidden />
          {t("admin.users.new")}
        </Button>
      }
    >
      <div className="mb-3 max-w-xs">
        <TextField
          type="search"
          label={t("admin.users.find")}
          value={words}
          onChange={(event) => setWords(event.target.value)}
          maxLength={100}
        />
      </div>
      <RowList
        list={list}
        caption={t("admin.users.accounts")}
        columns={columns}
        id={(row) => row.id}
        empty={t("admin.users.none")}
      />
      {making && <NewUser onClose={() => setMaking(false)} />}
      {edited && <EditUser key={edited.id} user={edited} onClose={() => setEdited(null)} />}
    </Panel>
  );
}
