/** An answer's text as Markdown. Until the parser has arrived, the text itself. */

import { lazy, memo, Suspense, use, useRef } from "react";

import { Far, useNear } from "@/markdown/near";

const Rendered = lazy(() => import("@/markdown/rendered"));

export interface MarkdownProps {
  text: string;
  /** Whether the text still grows: what is not closed yet is drawn as if it were. */
  streaming?: boolean;
}

export const Markdown = memo(function Markdown({ text, streaming = false }: MarkdownProps) {
  const place = useRef<HTMLDivElement>(null);
  const near = useNear(place, use(Far));
  const plain = <p className="wrap-anywhere whitespace-pre-wrap">{text}</p>;
  return (
    <div ref={place}>
      {near || streaming ? (
        <Suspense fallback={plain}>
          <Rendered text={text} streaming={streaming} />
        </Suspense>
      ) : (
        plain
      )}
    </div>
  );
});
