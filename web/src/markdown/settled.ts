import { endsInFence, withoutCode } from "@/markdown/code-spans";

/**
 * A growing text without what at its end cannot be drawn yet as what it will be.
 *
 * Half a formula is an error, the head of a table a line of bars, two backticks a line of code: drawn at once they would
 * jump into their true form a few tokens later. They wait; the finished text is drawn as it is.
 */
export function settled(markdown: string): string {
  const lineStart = markdown.lastIndexOf("\n") + 1;
  const line = markdown.slice(lineStart);
  if (FENCE_LINE.test(line)) return markdown.slice(0, lineStart);
  if (endsInFence(markdown)) return markdown;
  const end = BARE_MARKUP.test(line) ? lineStart : markdown.length;
  const text = withoutCode(markdown.slice(0, end));
  return markdown.slice(0, Math.min(tableStart(text), formulaStart(text)));
}

// The line that opens or closes a fence, also before all of its marks and its language are there.
const FENCE_LINE = /^ {0,3}(?:`{3,}[^`]*|`{1,2}|~{1,2}|~{3,}.*)$/;
// A heading, item or rule without its text; or dashes that would make a heading of the line above.
const BARE_MARKUP = /^[ \t>]*(?:[#*+\-=_~`|:]+|\d+[.)]?)[ \t]*[*_~`|:-]*[ \t]*$/;
const ROW = /^ {0,3}\|/;
const RULER = /^[ |:-]*$/;
const LONGEST_FORMULA = 2_000;
const LONGEST_IN_LINE = 60;

/** Where the last lines begin, if they are the head of a table whose second line is not complete. */
function tableStart(text: string): number {
  const complete = text.endsWith("\n");
  let rows = 0;
  let start = text.length;
  let end = complete ? text.length - 1 : text.length;
  const last = text.slice(text.lastIndexOf("\n", end - 1) + 1, end);
  while (end > 0 && rows < 3) {
    const lineStart = text.lastIndexOf("\n", end - 1) + 1;
    if (!ROW.test(text.slice(lineStart, end))) break;
    rows += 1;
    start = lineStart;
    end = lineStart - 1;
  }
  return rows === 1 || (rows === 2 && !complete && RULER.test(last)) ? start : text.length;
}

/** Where a formula begins that is not closed yet; what grows too long, or past an empty line, was none. */
function formulaStart(text: string): number {
  const marks = [...text.matchAll(/\$\$/g)];
  const starts = [
    marks.length % 2 === 1 ? (marks.at(-1)?.index ?? -1) : -1,
    text.lastIndexOf("\\["),
    text.lastIndexOf("\\("),
    text.endsWith("\\") ? text.length - 1 : -1,
  ];
  const inLine = /(?<![\\$\w])\$(?:[\\({a-zA-Z][^$\n]*)?$/.exec(text);
  if (inLine && text.length - inLine.index <= LONGEST_IN_LINE) starts.push(inLine.index);
  const open = starts.filter(
    (start) => start >= 0 && text.length - start <= LONGEST_FORMULA && !text.slice(start).includes("\n\n"),
  );
  return Math.min(text.length, ...open);
}
