/** Light, dark, or as the system is. The first paint is `public/theme.js`'s business; this is for changes. */

import { create } from "zustand";

export type Theme = "system" | "light" | "dark";

const KEY = "theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

interface ThemeState {
  theme: Theme;
  /** What is shown: charts are drawn with the colours of one or the other. */
  dark: boolean;
  setTheme: (theme: Theme) => void;
}

export const useTheme = create<ThemeState>((set) => ({
  theme: stored(),
  dark: isDark(stored()),
  setTheme: (theme) => {
    try {
      if (theme === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // remembered until the page is closed
    }
    set({ theme, dark: isDark(theme) });
  },
}));

function stored(): Theme {
  try {
    const theme = localStorage.getItem(KEY);
    return theme === "light" || theme === "dark" ? theme : "system";
  } catch {
    return "system";
  }
}

function isDark(theme: Theme): boolean {
  return theme === "dark" || (theme === "system" && systemIsDark.matches);
}

useTheme.subscribe(({ dark }) => document.documentElement.classList.toggle("dark", dark));
systemIsDark.addEventListener("change", () => useTheme.setState(({ theme }) => ({ dark: isDark(theme) })));
