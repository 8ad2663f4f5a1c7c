/** What stands around the pages for people who are not signed in. */

import { Languages, Moon, Sun, SunMoon } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { useTheme, type Theme } from "@/app/theme";
import { useTitle } from "@/app/title";
import { setLanguage } from "@/i18n";
import { Button } from "@/ui/button";
import { Menu, MenuChoice } from "@/ui/menu";

const THEME_ICONS = { system: SunMoon, light: Sun, dark: Moon } as const;

export function Frame({ title, intro, children }: { title: string; intro?: string; children: ReactNode }) {
  useTitle(title);
  return (
    <div className="flex min-h-dvh flex-col bg-sunken">
      <header className="flex justify-end gap-1 p-3">
        <LanguageButton />
        <ThemeButton />
      </header>
      <main className="mx-auto flex w-full max-w-md grow flex-col px-4 pt-[6dvh] pb-16">
        <img src="/icon.svg" alt="" className="mx-auto mb-5 size-14 rounded-2xl" />
        <h1 className="text-center text-2xl font-semibold text-balance">{title}</h1>
        {intro && <p className="mt-2 text-center text-soft text-balance">{intro}</p>}
        <div className="mt-8 rounded-2xl border border-line bg-raised p-5 shadow-sm sm:p-7">{children}</div>
      </main>
    </div>
  );
}

/** Each language says its own name: who looks for it may read no other. */
export function LanguageButton() {
  const { t, i18n } = useTranslation();
  const other = i18n.language === "zh" ? "en" : "zh";
  return (
    <Button look="plain" onClick={() => setLanguage(other)} lang={other} aria-label={t("account.toLanguage")}>
      <Languages className="size-4" aria-hidden />
      {t("account.toLanguage")}
    </Button>
  );
}

export function ThemeButton() {
  const { t } = useTranslation();
  const { theme, setTheme } = useTheme();
  const Icon = THEME_ICONS[theme];
  return (
    <Menu
      trigger={
        <Button look="plain" size="icon" className="size-10" aria-label={t("account.theme")}>
          <Icon className="size-4" aria-hidden />
        </Button>
      }
    >
      <MenuChoice<Theme>
        value={theme}
        onChoose={setTheme}
        choices={(["system", "light", "dark"] as const).map((value) => ({
          value,
          label: t(`account.themes.${value}`),
        }))}
      />
    </Menu>
  );
}
