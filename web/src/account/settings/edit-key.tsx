import { useState } from "react";
import { useTranslation } from "react-i18next";

import { KeyScopes, type Scope } from "@/account/settings/key-scopes";
import { useChange } from "@/api/change";
import type { KeyChanges, KeyInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { TextField } from "@/ui/form";

interface EditKeyProps {
  row: KeyInfo;
  scopes: readonly string[];
  onClose: () => void;
}

/** Rename a key, or change what it is for. */
export function EditKey({ row, scopes, onClose }: EditKeyProps) {
  const { t } = useTranslation();
  const [name, setName] = useState(row.name);
  const [chosen, setChosen] = useState(row.scopes as Scope[]);
  const change = useChange<KeyInfo, KeyChanges>(
    (body) => request<KeyInfo>(`/api/me/keys/${row.id}`, { method: "PATCH", body }),
    { stale: [["keys"]], told: t("settings.saved"), quiet: true, onDone: onClose },
  );
  return (
    <Dialog open onOpenChange={onClose} title={t("settings.keys.change", { name: row.name })}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          change.mutate({ name: name.trim(), scopes: chosen });
        }}
      >
        <TextField
          label={t("settings.keys.name")}
          error={change.error?.message}
          value={name}
          onChange={(event) => setName(event.target.value)}
          maxLength={200}
          autoComplete="off"
          required
        />
        <KeyScopes allowed={scopes} chosen={chosen} onChange={setChosen} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" look="solid" disabled={change.isPending || !name.trim() || chosen.length === 0}>
            {t("common.save")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
