/** The heavy half of Markdown: the parser, formulas, highlighted code. Loaded after the page can be used. */

import "katex/dist/katex.min.css";
import "streamdown/styles.css";

import { cjk } from "@streamdown/cjk";
import { code } from "@streamdown/code";
import { createMathPlugin } from "@streamdown/math";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { defaultRehypePlugins, defaultRemarkPlugins, Streamdown, type StreamdownTranslations } from "streamdown";

import { withMathDelimiters } from "@/markdown/delimiters";
import { htmlAsText } from "@/markdown/html-as-text";
import { Image } from "@/markdown/image";
import { lineBreaks } from "@/markdown/line-breaks";
import { Link } from "@/markdown/link";
import { settled } from "@/markdown/settled";

const PLUGINS = { code, cjk, math: createMathPlugin() };
const COMPONENTS = { a: Link, img: Image };
const REMARK = [...Object.values(defaultRemarkPlugins), htmlAsText, lineBreaks];
// Without "raw": HTML is text here. "sanitize" and "harden" stay, as a second wall.
const REHYPE = Object.entries(defaultRehypePlugins)
  .filter(([name]) => name !== "raw")
  .map(([, plugin]) => plugin);
const CONTROLS = { code: { copy: true, download: false }, table: { copy: true, download: false, fullscreen: false } };
// One object for good: with a new one, every block that is finished would be drawn again with every token.
const LINK_SAFETY = { enabled: false };

export interface RenderedProps {
  text: string;
  streaming: boolean;
}

export default function Rendered({ text, streaming }: RenderedProps) {
  const { t } = useTranslation();
  const translations = useMemo<Partial<StreamdownTranslations>>(
    () => ({
      close: t("common.close"),
      copied: t("common.copied"),
      copyCode: t("markdown.copyCode"),
      copyTable: t("markdown.copyTable"),
      copyTableAsCsv: t("markdown.copyTableAs", { form: "CSV" }),
      copyTableAsMarkdown: t("markdown.copyTableAs", { form: "Markdown" }),
      copyTableAsTsv: t("markdown.copyTableAs", { form: "TSV" }),
    }),
    [t],
  );
  const prepared = useMemo(() => {
    const markdown = withMathDelimiters(text);
    return streaming ? settled(markdown) : markdown;
  }, [text, streaming]);
  // The two modes build different trees: to change at an answer's end would draw all of it anew, code first uncoloured.
  const [grew, setGrew] = useState(streaming);
  if (streaming && !grew) setGrew(true);
  return (
    <Streamdown
      mode={grew ? "streaming" : "static"}
      isAnimating={streaming}
      plugins={PLUGINS}
      components={COMPONENTS}
      remarkPlugins={REMARK}
      rehypePlugins={REHYPE}
      controls={CONTROLS}
      linkSafety={LINK_SAFETY}
      lineNumbers={false}
      translations={translations}
      dir="auto"
      className="markdown wrap-anywhere"
    >
      {prepared}
    </Streamdown>
  );
}
