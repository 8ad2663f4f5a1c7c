import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Archive, ChevronsUpDown, Ghost, Keyboard, Languages, LogOut, Palette, Settings, Shield } from "lucide-react";
import { useTranslation } from "react-i18next";

import { meQuery } from "@/api/session";
import { useLanguage } from "@/account/language";
import { signOut } from "@/account/sign-out";
import { show } from "@/app/shell-state";
import { useTheme, type Theme } from "@/app/theme";
import type { Language } from "@/i18n";
import { Menu, MenuChoice, MenuGroup, MenuItem, MenuLink, MenuSeparator } from "@/ui/menu";
import { tellError } from "@/ui/toast";

const THEMES = ["system", "light", "dark"] as const;

/** Who one is; and what belongs to the person and not to a conversation. */
export function UserMenu({ small = false }: { small?: boolean }) {
  const { t } = useTranslation();
  const { data: me } = useQuery(meQuery);
  const { theme, setTheme } = useTheme();
  const [language, chooseLanguage] = useLanguage();
  if (!me) return null;
  const name = me.channel === "local" ? t("sidebar.thisMachine") : me.name;
  return (
    <Menu
      align="start"
      side="top"
      trigger={
        <button
          type="button"
          aria-label={t("sidebar.userMenu", { name })}
          className={`flex cursor-pointer items-center gap-2.5 rounded-lg text-left text-sm hover:bg-hover data-[state=open]:bg-hover ${small ? "p-1" : "min-h-11 w-full px-2 py-1.5"}`}
        >
          <span
            className="flex size-8 shrink-0 items-center justify-center rounded-full bg-accent font-medium text-accent-ink uppercase"
            aria-hidden
          >
            {[...name][0]}
          </span>
          {!small && (
            <>
              <span className="grow truncate font-medium">{name}</span>
              <ChevronsUpDown className="size-4 shrink-0 text-soft" aria-hidden />
            </>
          )}
        </button>
      }
    >
      <MenuGroup icon={<Languages className="size-4" aria-hidden />} label={t("sidebar.language")}>
        <MenuChoice<Language>
          value={language}
          onChoose={chooseLanguage}
          choices={[
            { value: "en", label: "English", lang: "en" },
            { value: "zh", label: "中文", lang: "zh" },
          ]}
        />
      </MenuGroup>
      <MenuGroup icon={<Palette className="size-4" aria-hidden />} label={t("account.theme")}>
        <MenuChoice<Theme>
          value={theme}
          onChoose={setTheme}
          choices={THEMES.map((value) => ({ value, label: t(`account.themes.${value}`) }))}
        />
      </MenuGroup>
      <MenuSeparator />
      <MenuLink>
        <Link to="/temporary">
          <Ghost className="size-4" aria-hidden />
          {t("chat.temporary.begin")}
        </Link>
      </MenuLink>
      <MenuItem icon={<Archive className="size-4" aria-hidden />} onSelect={() => show("archive")}>
        {t("sidebar.archivedOnes")}
      </MenuItem>
      <MenuItem icon={<Keyboard className="size-4" aria-hidden />} onSelect={() => show("shortcuts")}>
        {t("shortcuts.title")}
      </MenuItem>
      <MenuLink>
        <Link to="/settings">
          <Settings className="size-4" aria-hidden />
          {t("sidebar.settings")}
        </Link>
      </MenuLink>
      {me.role === "admin" && (
        <MenuLink>
          <Link to="/admin">
            <Shield className="size-4" aria-hidden />
            {t("sidebar.admin")}
          </Link>
        </MenuLink>
      )}
      {me.channel === "session" && (
        <>
          <MenuSeparator />
          <MenuItem
            icon={<LogOut className="size-4" aria-hidden />}
            onSelect={() => void signOut().catch((error: unknown) => tellError(error, t("app.offline")))}
          >
            {t("account.signOut")}
          </MenuItem>
        </>
      )}
    </Menu>
  );
}
