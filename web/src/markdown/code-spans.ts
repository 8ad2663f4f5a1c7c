/** Where a text is code, and so none of what looks like other markup counts. */

// A fence (to its end, or to the text's end while it grows), or a span between equally many backticks.
const CODE =
  /(^|\n)( {0,3})(`{3,}|~{3,})[^\n]*(?:\n[\s\S]*?(?:\n {0,3}\3[`~]*[ \t]*(?=\n|$)|$)|$)|(`+)(?!`)[\s\S]*?[^`]\4(?!`)/g;

/** The text with everything changed that is not code. */
export function outsideCode(markdown: string, change: (text: string) => string): string {
  const pieces: string[] = [];
  let from = 0;
  for (const found of markdown.matchAll(CODE)) {
    pieces.push(change(markdown.slice(from, found.index)), found[0]);
    from = found.index + found[0].length;
  }
  pieces.push(change(markdown.slice(from)));
  return pieces.join("");
}

/** The text, as long as it is, with code as blanks. */
export function withoutCode(markdown: string): string {
  return markdown.replace(CODE, (code) => code.replace(/[^\n]/g, " "));
}

/** Whether the text ends within a fence that is still open. */
export function endsInFence(markdown: string): boolean {
  let open: string | null = null;
  for (const [, mark = "", rest = ""] of markdown.matchAll(/^ {0,3}(`{3,}|~{3,})([^\n]*)$/gm)) {
    if (open === null) open = mark;
    else if (mark[0] === open[0] && mark.length >= open.length && rest.trim() === "") open = null;
  }
  return open !== null;
}
