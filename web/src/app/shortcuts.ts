/** The keys of the page: one list for what listens to them and for the sheet that shows them. */

import { useEffect } from "react";

export interface Keys {
  /** As `KeyboardEvent.key` names it, letters in small. */
  key: string;
  /** Control, or the command key of a Mac. */
  control?: boolean;
  shift?: boolean;
}

/** What works everywhere on the page. */
export const PAGE_KEYS = {
  palette: { key: "k", control: true },
  newChat: { key: "o", control: true, shift: true },
  sidebar: { key: "s", control: true, shift: true },
  composer: { key: "Escape", shift: true },
  shortcuts: { key: "/", control: true },
} as const satisfies Record<string, Keys>;

/** What works in a conversation; the chat listens itself. */
export const WRITING_KEYS = {
  send: { key: "Enter" },
  newLine: { key: "Enter", shift: true },
  editLast: { key: "ArrowUp" },
  stop: { key: "Escape" },
  copyLast: { key: "c", control: true, shift: true },
} as const satisfies Record<string, Keys>;

export type PageKey = keyof typeof PAGE_KEYS;

const isMac = /mac|iphone|ipad/i.test(navigator.platform);

const CAPS: Record<string, string> = { Enter: "↵", ArrowUp: "↑", Escape: "Esc" };

/** What is written on the keys. */
export function caps({ key, control = false, shift = false }: Keys): string[] {
  const cap = CAPS[key] ?? key.toUpperCase();
  return [...(control ? [isMac ? "⌘" : "Ctrl"] : []), ...(shift ? [isMac ? "⇧" : "Shift"] : []), cap];
}

export const keysOf = (name: PageKey): string[] => caps(PAGE_KEYS[name]);

/** Whether these keys were pressed. */
export function isPressed(event: KeyboardEvent, keys: Keys): boolean {
  if (event.isComposing || event.altKey || event.key.toLowerCase() !== keys.key.toLowerCase()) return false;
  // The shift that a sign needs on some keyboards, such as "/" on a German one, is not the shortcut's.
  const isSign = keys.key.length === 1 && !/[a-z]/.test(keys.key);
  if (!isSign && event.shiftKey !== (keys.shift ?? false)) return false;
  return (isMac ? event.metaKey : event.ctrlKey) === (keys.control ?? false);
}

/** Which of the page's shortcuts was pressed. */
export function pressed(event: KeyboardEvent): PageKey | null {
  const found = (Object.entries(PAGE_KEYS) as [PageKey, Keys][]).find(([, keys]) => isPressed(event, keys));
  return found ? found[0] : null;
}

/** Listen while the component is there. `act` should not change with every draw. */
export function useShortcuts(act: (name: PageKey) => void): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const name = pressed(event);
      if (name === null) return;
      event.preventDefault(); // the browser has its own use for some of them
      act(name);
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, [act]);
}
