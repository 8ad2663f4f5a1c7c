/**
 * LaTeX in every usual delimiter, brought to the one that the parser knows.
 *
 * `\(x\)` and `$x$` become `$$x$$` within the line, `\[x\]` a block of its own between lines of `$$`. A single dollar
 * counts as Pandoc reads it, so that prices stay prices: it opens before and closes after something that is no space,
 * and no digit follows the closing one. Code is left alone.
 */
export function withMathDelimiters(markdown: string): string {
  if (!/[$\\]/.test(markdown)) return markdown;
  return outsideCode(markdown, (text) =>
    text
      .replace(/\\\[([\s\S]+?)\\\]/g, (_, formula: string) => `\n${MARK}\n${formula.trim()}\n${MARK}\n`)
      .replace(/\\\((.+?)\\\)/g, (_, formula: string) => MARK + formula.trim() + MARK)
      .replace(/(?<![\\$])\$(?![\s$])([^$\n]*?[^\s\\$])\$(?![\d$])/g, (_, formula: string) => MARK + formula + MARK),
  );
}

const MARK = "$$";
// A fence (to its end, or to the text's end while it grows), or a span between equally many backticks.
const CODE =
  /(^|\n)( {0,3})(`{3,}|~{3,})[^\n]*(?:\n[\s\S]*?(?:\n {0,3}\3[`~]*[ \t]*(?=\n|$)|$)|$)|(`+)(?!`)[\s\S]*?[^`]\4(?!`)/g;

function outsideCode(markdown: string, change: (text: string) => string): string {
  const pieces: string[] = [];
  let from = 0;
  for (const found of markdown.matchAll(CODE)) {
    pieces.push(change(markdown.slice(from, found.index)), found[0]);
    from = found.index + found[0].length;
  }
  pieces.push(change(markdown.slice(from)));
  return pieces.join("");
}
