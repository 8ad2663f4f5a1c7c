import { useState } from "react";
import { useTranslation } from "react-i18next";

import { useLanguage } from "@/account/language";
import { useChangeMe } from "@/account/settings/me";
import { useTheme, type Theme } from "@/app/theme";
import type { Me } from "@/api/generated/types.gen";
import { Button } from "@/ui/button";
import { SelectField, TextField } from "@/ui/form";
import { useFormats } from "@/ui/formats";
import { Panel } from "@/ui/panel";

export function ProfileSection({ me }: { me: Me }) {
  return (
    <>
      {me.channel !== "local" && <Account me={me} />}
      <Look />
    </>
  );
}

function Account({ me }: { me: Me }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const change = useChangeMe();
  const [name, setName] = useState(me.name);
  const facts = [
    [t("settings.profile.role"), t(`settings.profile.roles.${me.role}`)],
    [t("settings.profile.since"), formats.day(me.created_ms)],
    ...(me.email ? [[t("settings.profile.email"), me.email]] : []),
  ];
  return (
    <Panel title={t("settings.profile.account")}>
      <form
        className="flex flex-wrap items-end gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          change.mutate({ name: name.trim() });
        }}
      >
        <div className="min-w-48 grow">
          <TextField
            label={t("settings.profile.name")}
            value={name}
            onChange={(event) => setName(event.target.value)}
            autoComplete="username"
            maxLength={64}
            required
          />
        </div>
        <Button type="submit" look="solid" disabled={change.isPending || !name.trim() || name.trim() === me.name}>
          {t("common.save")}
        </Button>
      </form>
      <dl className="mt-5 grid grid-cols-[auto_1fr] gap-x-6 gap-y-2 text-sm">
        {facts.map(([term, fact]) => (
          <div key={term} className="col-span-2 grid grid-cols-subgrid">
            <dt className="text-soft">{term}</dt>
            <dd className="wrap-anywhere">{fact}</dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}

/** Each language is named in itself, so that whoever cannot read the page finds the way. */
const LANGUAGES = [
  { value: "en", label: "English" },
  { value: "zh", label: "中文" },
] as const;

const THEMES: readonly Theme[] = ["system", "light", "dark"];

function Look() {
  const { t } = useTranslation();
  const [language, chooseLanguage] = useLanguage();
  const { theme, setTheme } = useTheme();
  return (
    <Panel title={t("settings.profile.look")}>
      <div className="grid gap-5 sm:grid-cols-2">
        <SelectField
          label={t("settings.profile.language")}
          value={language}
          choices={LANGUAGES}
          onChange={chooseLanguage}
        />
        <SelectField
          label={t("settings.profile.theme")}
          value={theme}
          choices={THEMES.map((value) => ({ value, label: t(`settings.profile.themes.${value}`) }))}
          onChange={setTheme}
        />
      </div>
    </Panel>
  );
}
