export interface Piece {
  text: string;
  found: boolean;
}

type Span = readonly [start: number, end: number];

/** A text in pieces, those that were looked for and those between. Places are code points, as the server counts. */
export function cut(text: string, places: readonly Span[]): Piece[] {
  const characters = [...text];
  const pieces: Piece[] = [];
  let last = 0;
  const take = (end: number, found: boolean) => {
    if (end > last) pieces.push({ text: characters.slice(last, end).join(""), found });
    last = Math.max(last, end);
  };
  for (const [start, end] of [...places].sort(([a], [b]) => a - b)) {
    take(start, false);
    take(end, true); // two words may overlap: only what is left of the second
  }
  take(characters.length, false);
  return pieces;
}
