/** An answer's text as Markdown. Until the parser has arrived, the text itself. */

import { lazy, memo, Suspense } from "react";

const Rendered = lazy(() => import("@/markdown/rendered"));

export interface MarkdownProps {
  text: string;
  /** Whether the text still grows: what is not closed yet is drawn as if it were. */
  streaming?: boolean;
}

export const Markdown = memo(function Markdown({ text, streaming = false }: MarkdownProps) {
  return (
    <Suspense fallback={<p className="wrap-anywhere whitespace-pre-wrap">{text}</p>}>
      <Rendered text={text} streaming={streaming} />
    </Suspense>
  );
});
