/** What of the frame is open. What a person would miss after a reload is remembered by the browser. */

import { create } from "zustand";

interface ShellState {
  /** The whole sidebar beside the page, or only its icons; on phones it is a drawer. */
  sidebar: boolean;
  drawer: boolean;
  palette: boolean;
  shortcuts: boolean;
  archive: boolean;
  /** Ids of the folders that are unfolded. */
  folders: readonly string[];
}

const SIDEBAR = "sidebar";
const FOLDERS = "folders";

export const useShell = create<ShellState>(() => ({
  sidebar: read(SIDEBAR) !== "closed",
  drawer: false,
  palette: false,
  shortcuts: false,
  archive: false,
  folders: read(FOLDERS)?.split(" ").filter(Boolean) ?? [],
}));

type Window = "drawer" | "palette" | "shortcuts" | "archive";

export const show = (window: Window, open = true): void => useShell.setState({ [window]: open });

export function toggleSidebar(): void {
  const sidebar = !useShell.getState().sidebar;
  useShell.setState({ sidebar });
  write(SIDEBAR, sidebar ? "open" : "closed");
}

export function unfold(folderId: string, open: boolean): void {
  const others = useShell.getState().folders.filter((id) => id !== folderId);
  const folders = open ? [...others, folderId] : others;
  useShell.setState({ folders });
  write(FOLDERS, folders.join(" "));
}

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // remembered until the page is closed
  }
}
