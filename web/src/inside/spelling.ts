/** How tokens are written: a token is bytes, which may be less than a character. */

import type { TokenView } from "@/api/generated/types.gen";

export interface Spelled {
  token: TokenView;
  position: number;
  /** The characters that it completes: empty for the beginning of a character that later tokens complete. */
  shown: string;
}

/** The tokens of a text, each with the characters that are whole once it is read. */
export function spell(tokens: readonly TokenView[]): Spelled[] {
  let decoder = newDecoder();
  return tokens.map((token, position) => {
    if (token.control) {
      decoder = newDecoder(); // half a character before it will never be whole
      return { token, position, shown: token.text ?? "" };
    }
    return { token, position, shown: decoder.decode(Uint8Array.from(token.bytes), { stream: true }) };
  });
}

const newDecoder = () => new TextDecoder("utf-8", { ignoreBOM: true });

const MARKS: Record<string, string> = { " ": "␣", "\n": "↵", "\r": "␍", "\t": "⇥" };

/** A token as a label: white space made visible, half characters as their bytes. */
export function labelOf(token: TokenView): string {
  if (token.text === null) return hexOf(token);
  return token.text === "" ? "∅" : token.text.replace(/[ \n\r\t]/g, (space) => MARKS[space] ?? space);
}

export const hexOf = (token: TokenView) =>
  token.bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
