import { useSyncExternalStore } from "react";

// Where the sidebar becomes a drawer and the top bar appears: the breakpoint `md` of the styles.
const PHONE = "(width < 48rem)";

/** Whether the page is as narrow as a phone's. */
export function useIsPhone(): boolean {
  return useSyncExternalStore(watch, () => window.matchMedia(PHONE).matches);
}

function watch(changed: () => void): () => void {
  const query = window.matchMedia(PHONE);
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
}
