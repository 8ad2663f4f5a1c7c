import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import {
  Archive,
  Ghost,
  Keyboard,
  Languages,
  LogOut,
  Moon,
  PanelLeft,
  Settings,
  Shield,
  SquarePen,
  Sun,
} from "lucide-react";
import type { LucideIcon } from "lucide-react";
import { useTranslation } from "react-i18next";

import { useLanguage } from "@/account/language";
import { signOut } from "@/account/sign-out";
import { meQuery } from "@/api/session";
import { show, toggleSidebar } from "@/app/shell-state";
import { keysOf } from "@/app/shortcuts";
import { useTheme } from "@/app/theme";
import { tellError } from "@/ui/toast";

export interface Action {
  id: string;
  icon: LucideIcon;
  label: string;
  /** Other words by which people look for it. */
  keywords: string[];
  keys?: string[];
  run: () => void;
}

/** What can be done from the palette, for whoever is signed in. */
export function usePaletteActions(): Action[] {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { data: me } = useQuery(meQuery);
  const { setTheme } = useTheme();
  const [language, chooseLanguage] = useLanguage();
  const dark = document.documentElement.classList.contains("dark");
  const actions: (Action | false)[] = [
    {
      id: "new-chat",
      icon: SquarePen,
      label: t("sidebar.newChat"),
      keywords: ["new chat", "新对话"],
      keys: keysOf("newChat"),
      run: () => void navigate({ to: "/" }),
    },
    {
      id: "temporary-chat",
      icon: Ghost,
      label: t("chat.temporary.begin"),
      keywords: ["temporary private incognito chat", "临时 无痕"],
      run: () => void navigate({ to: "/temporary" }),
    },
    {
      id: "theme",
      icon: dark ? Sun : Moon,
      label: t(dark ? "palette.toLight" : "palette.toDark"),
      keywords: ["theme dark light", "主题"],
      run: () => setTheme(dark ? "light" : "dark"),
    },
    {
      id: "language",
      icon: Languages,
      label: t("palette.toLanguage"),
      keywords: ["language chinese english", "语言 中文 英文"],
      run: () => chooseLanguage(language === "zh" ? "en" : "zh"),
    },
    {
      id: "sidebar",
      icon: PanelLeft,
      label: t("shortcuts.sidebar"),
      keywords: ["sidebar", "侧栏"],
      keys: keysOf("sidebar"),
      run: toggleSidebar,
    },
    {
      id: "archive",
      icon: Archive,
      label: t("sidebar.archivedOnes"),
      keywords: ["archive", "归档"],
      run: () => show("archive"),
    },
    {
      id: "settings",
      icon: Settings,
      label: t("sidebar.settings"),
      keywords: ["settings account password keys", "设置 密码"],
      run: () => void navigate({ to: "/settings" }),
    },
    me?.role === "admin" && {
      id: "admin",
      icon: Shield,
      label: t("sidebar.admin"),
      keywords: ["admin models users training", "管理 模型 用户"],
      run: () => void navigate({ to: "/admin" }),
    },
    {
      id: "shortcuts",
      icon: Keyboard,
      label: t("shortcuts.title"),
      keywords: ["keyboard shortcuts help", "快捷键"],
      keys: keysOf("shortcuts"),
      run: () => show("shortcuts"),
    },
    me?.channel === "session" && {
      id: "sign-out",
      icon: LogOut,
      label: t("account.signOut"),
      keywords: ["sign out log out", "退出"],
      run: () => void signOut().catch((error: unknown) => tellError(error, t("app.offline"))),
    },
  ];
  return actions.filter((action) => action !== false);
}
