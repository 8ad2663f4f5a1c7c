import { useState } from "react";
import { useTranslation } from "react-i18next";

import { Refused } from "@/account/settings/refused";
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
      description={t("settings.privacy.accountHint")}
      actions={
        <Button look="danger" onClick={() => setAsking(true)}>
          {t("settings.privacy.deleteAccount")}
        </Button>
      }
    >
      {asking && <Farewell me={me} onClose={() => setAsking(false)} />}
    </Panel>
  );
}

/** Nobody but the person: the password is asked for again, or the server wants a recent sign-in. */
function Farewell({ me, onClose }: { me: Me; onClose: () => void }) {
  const { t } = useTranslation();
  const [password, setPassword] = useState("");
  const leave = useLeave();
  const remove = useChange<undefined, string | null>(
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
          remove.mutate(me.has_password ? password : null);
        }}
      >
        {me.has_password && (
          <>
            <input type="text" value={me.name} autoComplete="username" readOnly hidden />
            <TextField
              type="password"
              label={t("settings.security.current")}
              value={password}
              onChange={(event) => setPassword(event.target.value)}
              autoComplete="current-password"
              required
            />
          </>
        )}
        <Refused error={remove.error} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" look="danger" disabled={remove.isPending || (me.has_password && !password)}>
            {t("settings.privacy.deleteAccount")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
