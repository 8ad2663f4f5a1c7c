import { useState } from "react";
import { useTranslation } from "react-i18next";

import { useLeave } from "@/account/settings/sessions";
import { useChange } from "@/api/change";
import type { Me } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { Dialog } from "@/ui/dialog";
import { TextField } from "@/ui/form";
import { Panel } from "@/ui/panel";

export function DeleteAccount({ me }: { me: Me }) {
  const { t } = useTranslation();
  const [asking, setAsking] = useState(false);
  return (
    <Panel
      danger
      title={t("settings.privacy.account")}
      description={me.has_password ? t("settings.privacy.accountHint") : t("settings.privacy.askAdmin")}
      actions={
        me.has_password && (
          <Button look="danger" onClick={() => setAsking(true)}>
            {t("settings.privacy.deleteAccount")}
          </Button>
        )
      }
    >
      {asking && <Farewell name={me.name} onClose={() => setAsking(false)} />}
    </Panel>
  );
}

/** Nobody but the person: the password is asked for again. */
function Farewell({ name, onClose }: { name: string; onClose: () => void }) {
  const { t } = useTranslation();
  const [password, setPassword] = useState("");
  const leave = useLeave();
  const remove = useChange<undefined, string>(
    (current_password) => request("/api/me", { method: "DELETE", body: { current_password } }),
    { quiet: true, onDone: leave },
  );
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title={t("settings.privacy.deleteAccount")}
      description={t("settings.privacy.accountHint")}
    >
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          remove.mutate(password);
        }}
      >
        <input type="text" value={name} autoComplete="username" readOnly hidden />
        <TextField
          type="password"
          label={t("settings.security.current")}
          error={remove.error?.message}
          value={password}
          onChange={(event) => setPassword(event.target.value)}
          autoComplete="current-password"
          required
        />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" look="danger" disabled={remove.isPending || !password}>
            {t("settings.privacy.deleteAccount")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
