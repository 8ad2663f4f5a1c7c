import { useQuery, useQueryClient } from "@tanstack/react-query";
import { RotateCcw } from "lucide-react";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { useChange } from "@/api/change";
import type { RuntimeValues, SettingsInfo } from "@/api/generated/types.gen";
import { request } from "@/api/http";
import { Button } from "@/ui/button";
import { SelectField, SwitchField, TextField } from "@/ui/form";
import { Loaded } from "@/ui/load";
import { Badge, Panel } from "@/ui/panel";

const KEY = ["admin", "settings"];
const SWITCHES = [
  "redact_before_storage",
  "redact_before_training",
  "redact_before_upstream",
  "admins_read_chats",
] as const;
const CHOICES = {
  sign_up: ["closed", "invitation", "open"],
  moderation: ["off", "flag", "block"],
} as const;

export function ServerSettingsSection() {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => request<SettingsInfo>("/api/admin/settings", { signal }),
  });
  return (
    <Loaded query={query}>
      {(info) => (
        <>
          <Panel title={t("admin.settings.access")}>
            <Choice name="sign_up" info={info} />
            <Choice name="moderation" info={info} />
          </Panel>
          <Panel title={t("admin.settings.privacy")}>
            {SWITCHES.map((name) => (
              <Toggle key={name} name={name} info={info} />
            ))}
            <Retention key={String(info.values.retention_days)} info={info} />
          </Panel>
        </>
      )}
    </Loaded>
  );
}

function useSave() {
  const queries = useQueryClient();
  const { t } = useTranslation();
  return useChange<SettingsInfo, Partial<RuntimeValues>>(
    (body) => request("/api/admin/settings", { method: "PATCH", body }),
    { stale: [["setup"]], told: t("settings.saved"), onDone: (info) => queries.setQueryData(KEY, info) },
  );
}

function Choice({ name, info }: { name: keyof typeof CHOICES; info: SettingsInfo }) {
  const { t } = useTranslation();
  const save = useSave();
  return (
    <Row name={name} info={info}>
      <SelectField
        label={t(`admin.settings.${name}.label`)}
        hint={t(`admin.settings.${name}.hint`)}
        value={info.values[name] as string}
        onChange={(value) => save.mutate({ [name]: value })}
        choices={CHOICES[name].map((value) => ({
          value: value as string,
          label: t(`admin.settings.${name}.${value}`),
        }))}
        disabled={save.isPending}
      />
    </Row>
  );
}

function Toggle({ name, info }: { name: (typeof SWITCHES)[number]; info: SettingsInfo }) {
  const { t } = useTranslation();
  const save = useSave();
  return (
    <Row name={name} info={info}>
      <SwitchField
        label={t(`admin.settings.${name}.label`)}
        hint={t(`admin.settings.${name}.hint`)}
        checked={info.values[name]}
        onChange={(value) => save.mutate({ [name]: value })}
        disabled={save.isPending}
      />
    </Row>
  );
}

function Retention({ info }: { info: SettingsInfo }) {
  const { t } = useTranslation();
  const save = useSave();
  const [days, setDays] = useState(() => info.values.retention_days?.toString() ?? "");
  const wanted = days === "" ? null : Number(days);
  return (
    <Row name="retention_days" info={info}>
      <form
        className="flex items-end gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate({ retention_days: wanted });
        }}
      >
        <div className="max-w-sm grow">
          <TextField
            type="number"
            label={t("admin.settings.retention_days.label")}
            hint={t("admin.settings.retention_days.hint")}
            placeholder={t("admin.settings.retention_days.never")}
            min={1}
            max={36_500}
            value={days}
            onChange={(event) => setDays(event.target.value)}
          />
        </div>
        {wanted !== info.values.retention_days && (
          <Button type="submit" look="solid" disabled={save.isPending}>
            {t("common.save")}
          </Button>
        )}
      </form>
    </Row>
  );
}

/** A setting; where administrators have changed it, with the way back to what the server was started with. */
function Row({ name, info, children }: { name: keyof RuntimeValues; info: SettingsInfo; children: ReactNode }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const reset = useChange(() => request<SettingsInfo>(`/api/admin/settings/${name}`, { method: "DELETE" }), {
    stale: [["setup"]],
    told: t("settings.saved"),
    onDone: (found) => queries.setQueryData(KEY, found),
  });
  return (
    <div className="flex flex-col gap-2 border-line py-4 not-first:border-t first:pt-0 last:pb-0">
      {children}
      {info.changed.includes(name) && (
        <div className="flex items-center gap-2">
          <Badge tone="warning">{t("admin.settings.changed")}</Badge>
          <Button look="plain" size="small" onClick={() => reset.mutate()} disabled={reset.isPending}>
            <RotateCcw className="size-4" aria-hidden />
            {t("admin.settings.reset")}
          </Button>
        </div>
      )}
    </div>
  );
}
