import { cut } from "@/palette/cut";

/** A text with the words that were looked for. */
export function Highlighted({ text, places }: { text: string; places: readonly (readonly [number, number])[] }) {
  return cut(text, places).map((piece, index) =>
    piece.found ? (
      <mark key={index} className="rounded-xs bg-accent-soft text-accent">
        {piece.text}
      </mark>
    ) : (
      <span key={index}>{piece.text}</span>
    ),
  );
}
