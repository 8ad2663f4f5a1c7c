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
  const lost = () => {
    useConnection.setState({ reachable: false });
    clearTimeout(timer);
    timer = setTimeout(knock, wait);
    wait = Math.min(wait * 2, LONGEST_RETRY_MS);
  };
  const knock = () => {
    clearTimeout(timer);
    // Not by `request`: a refusal is an answer too, and a failure here is no news.
    fetch("/health", { cache: "no-store" }).then(reached, lost);
  };
  onOutcome((outcome) => {
    const { reachable } = useConnection.getState();
    if (outcome === "unreached") {
      if (reachable) lost();
    } else if (!reachable) {
      knock(); // what arrives now may have been on its way before
    }
  });
  // A machine without a network still reaches a server of its own: the browser's word is only a reason to look.
  window.addEventListener("offline", knock);
  window.addEventListener("online", knock);
  if (!navigator.onLine) knock();
}
