import { useEffect } from "react";

const NAME = "Chatwright";

/** What the browser's tab says; without a text, the product's name. */
export function useTitle(text: string | undefined): void {
  useEffect(() => {
    document.title = text ? `${text} · ${NAME}` : NAME;
  }, [text]);
}
