/** Light, dark, or as the system has it. /theme.js does the same before the first paint. */

import { create } from "zustand";

export type Theme = "light" | "dark" | "system";

export const THEMES: readonly Theme[] = ["system", "light", "dark"];

const KEY = "theme";
const DARK = "(prefers-color-scheme: dark)";

interface ThemeState {
  theme: Theme;
  /** What is shown: charts draw with the colours of this. */
  dark: boolean;
  setTheme: (theme: Theme) => void;
}

export const useTheme = create<ThemeState>((set) => ({
  theme: stored(),
  dark: document.documentElement.classList.contains("dark"), // as /theme.js left it
  setTheme: (theme) => {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // remembered until the page is closed
    }
    show(theme);
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
  return theme === "dark" || (theme === "system" && matchMedia(DARK).matches);
}

function show(theme: Theme): void {
  document.documentElement.classList.toggle("dark", isDark(theme));
}

/** Follow the system while nothing else was chosen, and what is chosen in another tab. */
export function followTheme(): void {
  const again = () => {
    const theme = stored();
    show(theme);
    useTheme.setState({ theme, dark: isDark(theme) });
  };
  matchMedia(DARK).addEventListener("change", again);
  addEventListener("storage", (event) => event.key === KEY && again());
}
