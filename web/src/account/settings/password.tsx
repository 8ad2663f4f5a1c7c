import { useState } from "react";
import { useTranslation } from "react-i18next";

import { Refused } from "@/account/settings/refused";
import { useChange } from "@/api/change";
import type { Me, PasswordChange } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { TextField } from "@/ui/form";
import { Panel } from "@/ui/panel";

const SHORTEST = 8;

/** Another password, or a first one for who signs in with an identity provider. */
export function PasswordPanel({ me }: { me: Me }) {
  const { t } = useTranslation();
  const [current, setCurrent] = useState("");
  const [fresh, setFresh] = useState("");
  const [again, setAgain] = useState("");
  const change = useChange<Me, PasswordChange>((body) => request<Me>("/api/me/password", { method: "POST", body }), {
    told: t("settings.security.changed"),
    stale: [["sessions"], ["me"]],
    quiet: true,
    onDone: () => {
      setCurrent("");
      setFresh("");
      setAgain("");
    },
  });
  const differs = again !== "" && again !== fresh;
  return (
    <Panel
      title={t("settings.security.password")}
      description={t(me.has_password ? "settings.security.passwordHint" : "settings.security.noPassword")}
    >
      <form
        className="flex max-w-md flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (fresh === again)
            change.mutate({ current_password: me.has_password ? current : null, new_password: fresh });
        }}
      >
        {/* For password managers, which keep the two together. */}
        <input type="text" value={me.name} autoComplete="username" readOnly hidden />
        {me.has_password && (
          <TextField
            type="password"
            label={t("settings.security.current")}
            value={current}
            onChange={(event) => setCurrent(event.target.value)}
            autoComplete="current-password"
            required
          />
        )}
        <TextField
          type="password"
          label={t("settings.security.new")}
          hint={t("settings.security.rule", { count: SHORTEST })}
          value={fresh}
          onChange={(event) => setFresh(event.target.value)}
          autoComplete="new-password"
          minLength={SHORTEST}
          required
        />
        <TextField
          type="password"
          label={t("settings.security.again")}
          error={differs ? t("settings.security.differs") : undefined}
          value={again}
          onChange={(event) => setAgain(event.target.value)}
          autoComplete="new-password"
          required
        />
        <Refused error={change.error} />
        <Button type="submit" look="solid" className="self-start" disabled={change.isPending || differs || !again}>
          {t(me.has_password ? "settings.security.change" : "settings.security.set")}
        </Button>
      </form>
    </Panel>
  );
}
