import { Plus } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { EditKey } from "@/account/settings/edit-key";
import { NewKey } from "@/account/settings/new-key";
import { useChange } from "@/api/change";
import type { KeyInfo, Me } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { useRows } from "@/api/pages";
import { Button } from "@/ui/button";
import { confirm } from "@/ui/confirm";
import { useFormats } from "@/ui/formats";
import { Badge, Panel } from "@/ui/panel";
import { RowList } from "@/ui/row-list";
import type { Column } from "@/ui/table";

export function KeysSection({ me }: { me: Me }) {
  const { t } = useTranslation();
  const { day } = useFormats();
  const [making, setMaking] = useState(false);
  const [edited, setEdited] = useState<KeyInfo | null>(null);
  const list = useRows<KeyInfo>(["keys"], "/api/me/keys");
  const revoke = useChange<undefined, string>((id) => request(`/api/me/keys/${id}`, { method: "DELETE" }), {
    stale: [["keys"]],
    told: t("settings.keys.revoked"),
  });
  const askToRevoke = async (row: KeyInfo) => {
    const question = {
      title: t("settings.keys.revokeTitle", { name: row.name }),
      text: t("settings.keys.revokeHint"),
      action: t("settings.keys.revoke"),
    };
    if (await confirm(question)) revoke.mutate(row.id);
  };
  const columns: Column<KeyInfo>[] = [
    {
      id: "name",
      title: t("settings.keys.name"),
      quiet: true,
      cell: (row) => (
        <>
          <span className="block font-medium">{row.name}</span>
          <code className="text-xs text-soft">{row.prefix}…</code>
        </>
      ),
    },
    {
      id: "scopes",
      title: t("settings.keys.scopes"),
      cell: (row) => (
        <span className="flex flex-wrap justify-end gap-1 @xl:justify-start">
          {row.scopes.map((scope) => (
            <Badge key={scope}>{t(`settings.keys.scope.${scope}`)}</Badge>
          ))}
        </span>
      ),
    },
    {
      id: "used",
      title: t("settings.keys.used"),
      cell: (row) => (row.used_ms === null ? t("settings.keys.never") : day(row.used_ms)),
    },
    {
      id: "expires",
      title: t("settings.keys.expires"),
      cell: (row) => (row.expires_ms === null ? t("settings.keys.never") : day(row.expires_ms)),
    },
    {
      id: "actions",
      title: t("common.actions"),
      quiet: true,
      cell: (row) => (
        <div className="flex justify-end gap-2">
          <Button size="small" onClick={() => setEdited(row)}>
            {t("common.change")}
          </Button>
          <Button size="small" look="danger" onClick={() => void askToRevoke(row)}>
            {t("settings.keys.revoke")}
          </Button>
        </div>
      ),
    },
  ];
  return (
    <Panel
      title={t("settings.keys.title")}
      description={t("settings.keys.hint")}
      actions={
        <Button look="solid" onClick={() => setMaking(true)}>
          <Plus className="size-4" aria-hidden />
          {t("settings.keys.new")}
        </Button>
      }
    >
      <RowList
        list={list}
        caption={t("settings.keys.title")}
        columns={columns}
        id={(row) => row.id}
        empty={t("settings.keys.none")}
      />
      {making && <NewKey scopes={me.scopes} onClose={() => setMaking(false)} />}
      {edited && <EditKey key={edited.id} row={edited} scopes={me.scopes} onClose={() => setEdited(null)} />}
    </Panel>
  );
}
