/** The heavy half of Markdown: the parser, formulas, highlighted code. Loaded after the page can be used. */

import "katex/dist/katex.min.css";
import "streamdown/styles.css";

import { cjk } from "@streamdown/cjk";
import { code } from "@streamdown/code";
import { createMathPlugin } from "@streamdown/math";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { defaultRehypePlugins, defaultRemarkPlugins, Streamdown, type StreamdownTranslations } from "streamdown";

import { withMathDelimiters } from "@/markdown/delimiters";
import { htmlAsText } from "@/markdown/html-as-text";
import { Image } from "@/markdown/image";
import { Link } from "@/markdown/link";

const PLUGINS = { code, cjk, math: createMathPlugin() };
const COMPONENTS = { a: Link, img: Image };
const REMARK = [...Object.values(defaultRemarkPlugins), htmlAsText];
// Without "raw": HTML is text here. "sanitize" and "harden" stay, as a second wall.
const REHYPE = Object.entries(defaultRehypePlugins)
  .filter(([name]) => name !== "raw")
  .map(([, plugin]) => plugin);
const CONTROLS = { code: { copy: true, download: false }, table: { copy: true, download: false, fullscreen: false } };

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
  const prepared = useMemo(() => withMathDelimiters(text), [text]);
  return (
    <Streamdown
      mode={streaming ? "streaming" : "static"}
      isAnimating={streaming}
      plugins={PLUGINS}
      components={COMPONENTS}
      remarkPlugins={REMARK}
      rehypePlugins={REHYPE}
      controls={CONTROLS}
      linkSafety={{ enabled: false }}
      lineNumbers={false}
      translations={translations}
      className="markdown"
    >
      {prepared}
    </Streamdown>
  );
}
