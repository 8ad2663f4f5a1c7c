import { useState } from "react";
import { useTranslation } from "react-i18next";

import { KeyScopes, type Scope } from "@/account/settings/key-scopes";
import { useChange } from "@/api/change";
import type { CreatedKey, NewKeyRequest } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { SelectField, TextField } from "@/ui/form";
import { ShownOnce } from "@/ui/shown-once";

const LIFETIMES = ["30", "90", "365", "never"] as const;

interface NewKeyProps {
  scopes: readonly string[];
  onClose: () => void;
}

/** Asks for what a key needs, and then shows it for the only time. */
export function NewKey({ scopes, onClose }: NewKeyProps) {
  const { t } = useTranslation();
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState<Scope[]>(["inference"]);
  const [lifetime, setLifetime] = useState<(typeof LIFETIMES)[number]>("90");
  const make = useChange<CreatedKey, NewKeyRequest>(
    (body) => request<CreatedKey>("/api/me/keys", { method: "POST", body }),
    { stale: [["keys"]], quiet: true },
  );
  if (make.data) {
    return (
      <Dialog open onOpenChange={onClose} title={t("settings.keys.made")} description={t("settings.keys.once")}>
        <ShownOnce label={t("settings.keys.key")} secret={make.data.key} onDone={onClose} />
      </Dialog>
    );
  }
  return (
    <Dialog open onOpenChange={onClose} title={t("settings.keys.new")}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          const days = lifetime === "never" ? null : Number(lifetime);
          make.mutate({ name: name.trim(), scopes: chosen, expires_in_days: days });
        }}
      >
        <TextField
          label={t("settings.keys.name")}
          placeholder={t("settings.keys.namePlaceholder")}
          error={make.error?.message}
          value={name}
          onChange={(event) => setName(event.target.value)}
          maxLength={200}
          autoComplete="off"
          autoFocus
          required
        />
        <KeyScopes allowed={scopes} chosen={chosen} onChange={setChosen} />
        <SelectField
          label={t("settings.keys.lifetime")}
          value={lifetime}
          onChange={setLifetime}
          choices={LIFETIMES.map((value) => ({
            value,
            label: value === "never" ? t("settings.keys.forever") : t("settings.keys.days", { count: Number(value) }),
          }))}
        />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" look="solid" disabled={make.isPending || !name.trim() || chosen.length === 0}>
            {t("settings.keys.make")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
