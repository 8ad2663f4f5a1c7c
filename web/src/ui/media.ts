import { useSyncExternalStore } from "react";

// Where the sidebar becomes a drawer and the top bar appears: the breakpoint `md` of the styles.
const PHONE = "(width < 48rem)";

/** Whether the page is as narrow as a phone's. */
export function useIsPhone(): boolean {
  return useSyncExternalStore(watch, () => window.matchMedia(PHONE).matches);
}

/** Whether a keyboard is likely to be there: a field that is focused unasked opens the one on a phone's screen. */
export const hasKeyboard = (): boolean => window.matchMedia("(pointer: fine)").matches;

function watch(changed: () => void): () => void {
  const query = window.matchMedia(PHONE);
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
}
