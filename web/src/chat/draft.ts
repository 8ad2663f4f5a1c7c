import { useState } from "react";

/** What was begun to be written in a conversation; kept for this tab until it is sent. */
export function useDraft(conversationId: string): [string, (text: string) => void] {
  const key = `draft:${conversationId}`;
  const [text, setText] = useState(() => read(key));
  const change = (next: string) => {
    setText(next);
    try {
      if (next) sessionStorage.setItem(key, next);
      else sessionStorage.removeItem(key);
    } catch {
      // storage is full or forbidden: the draft lives as long as the page
    }
  };
  return [text, change];
}

function read(key: string): string {
  try {
    return sessionStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}
