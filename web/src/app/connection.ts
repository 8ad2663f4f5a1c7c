/** Whether the server can be reached: told by the browser, and by what becomes of requests. */

import { create } from "zustand";

import { onOutcome } from "@/api/http";

const FIRST_RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 30_000;

interface Connection {
  reachable: boolean;
}

export const useConnection = create<Connection>(() => ({ reachable: true }));

/** Watch the connection as long as the page is open; `back` is called when it has come back. */
export function watchConnection(back: () => void): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = FIRST_RETRY_MS;
  const reached = () => {
    clearTimeout(timer);
    wait = FIRST_RETRY_MS;
    if (useConnection.getState().reachable) return;
    useConnection.setState({ reachable: true });
    back();
  };
  const knock = () => {
    // Not by `request`: a refusal is an answer too, and a failure here is no news.
    fetch("/health", { cache: "no-store" }).then(reached, later);
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(knock, wait);
    wait = Math.min(wait * 2, LONGEST_RETRY_MS);
  };
  const lost = () => {
    if (!useConnection.getState().reachable) return;
    useConnection.setState({ reachable: false });
    later();
  };
  if (!navigator.onLine) {
    useConnection.setState({ reachable: false });
    later();
  }
  onOutcome((outcome) => (outcome === "unreached" ? lost() : reached()));
  window.addEventListener("offline", lost);
  window.addEventListener("online", knock);
}
