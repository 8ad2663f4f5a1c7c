import { outsideCode } from "@/markdown/code-spans";

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
