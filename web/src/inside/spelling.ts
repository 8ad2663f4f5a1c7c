/** How tokens are written: a token is bytes, which may be less than a character. */

import type { TokenView } from "@/api/generated/types.gen";

export interface Spelled {
  token: TokenView;
  position: number;
  /** The characters that it completes: empty for the beginning of a character that later tokens complete. */
  shown: string;
  /** The token as a label: of half a character, the whole one and the bytes of this half. */
  label: string;
}

/** The tokens of a text, each with the characters that are whole once it is read. */
export function spell(tokens: readonly TokenView[]): Spelled[] {
  let decoder = newDecoder();
  const shown = tokens.map((token) => {
    if (!token.control) return decoder.decode(Uint8Array.from(token.bytes), { stream: true });
    decoder = newDecoder(); // half a character before it will never be whole
    return token.text ?? "";
  });
  let next = ""; // the character that the token at hand begins
  const spelled = tokens.map<Spelled>((token, position) => ({
    token,
    position,
    shown: shown[position] ?? "",
    label: "",
  }));
  for (const each of spelled.reverse()) {
    const whole = each.shown || next;
    each.label = each.token.text === null ? `${marked(whole)} ${hexOf(each.token)}`.trim() : labelOf(each.token);
    next = [...whole][0] ?? "";
  }
  return spelled.reverse();
}

const newDecoder = () => new TextDecoder("utf-8", { ignoreBOM: true });

const MARKS: Record<string, string> = { " ": "␣", "\n": "↵", "\r": "␍", "\t": "⇥" };

/** A token as a label: white space made visible, half characters as their bytes. */
export function labelOf(token: TokenView): string {
  if (token.text === null) return hexOf(token);
  return token.text === "" ? "∅" : marked(token.text);
}

const marked = (text: string) => text.replace(/[ \n\r\t]/g, (space) => MARKS[space] ?? space);

export const hexOf = (token: TokenView) =>
  token.bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
