import { useEffect } from "react";

import { isPressed, WRITING_KEYS } from "@/app/shortcuts";

interface ChatKeys {
  /** Set while an answer is written. */
  stop?: (() => void) | undefined;
  copyLast?: (() => void) | undefined;
}

/** The keys of a conversation. What is open above the page has the Escape key first. */
export function useChatKeys({ stop, copyLast }: ChatKeys): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.defaultPrevented || document.querySelector("[role=dialog],[role=menu],[role=listbox]")) return;
      const act = isPressed(event, WRITING_KEYS.stop)
        ? stop
        : isPressed(event, WRITING_KEYS.copyLast)
          ? copyLast
          : null;
      if (!act) return;
      event.preventDefault();
      act();
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, [stop, copyLast]);
}
