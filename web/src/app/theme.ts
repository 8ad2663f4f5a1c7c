/** Light, dark, or as the system is. The first paint is `public/theme.js`'s business; this is for changes. */

import { create } from "zustand";

export type Theme = "system" | "light" | "dark";

const KEY = "theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

interface ThemeState {
  theme: Theme;
  setTheme: (theme: Theme) => void;
}

export const useTheme = create<ThemeState>((set) => ({
  theme: stored(),
  setTheme: (theme) => {
    try {
      if (theme === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // remembered until the page is closed
    }
    set({ theme });
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

function paint(): void {
  const { theme } = useTheme.getState();
  const dark = theme === "dark" || (theme === "system" && systemIsDark.matches);
  document.documentElement.classList.toggle("dark", dark);
}

useTheme.subscribe(paint);
systemIsDark.addEventListener("change", paint);
