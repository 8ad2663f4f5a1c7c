import { Copy } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { SharedMessage } from "@/api/generated/types.gen";
import { IconAction } from "@/chat/icon-action";
import { Markdown } from "@/markdown/markdown";
import { copyText } from "@/ui/copy";

/** A message to be read and copied, and nothing else. */
export function SharedRow({ message: { role, content, model } }: { message: SharedMessage }) {
  const { t } = useTranslation();
  const copy = <IconAction icon={Copy} label={t("common.copy")} onClick={() => copyText(content, t)} />;
  if (role === "user") {
    return (
      <div className="flex flex-col items-end">
        <h2 className="sr-only">{t("share.asked")}</h2>
        <div
          dir="auto"
          className="max-w-[85%] rounded-2xl bg-sunken px-4 py-2.5 leading-7 wrap-anywhere whitespace-pre-wrap"
        >
          {content}
        </div>
      </div>
    );
  }
  return (
    <div className="[contain-intrinsic-size:auto_160px] [content-visibility:auto]">
      <h2 className="sr-only">{t("chat.answer")}</h2>
      <Markdown text={content} streaming={false} />
      <div className="mt-1 -ml-2 flex items-center gap-1 text-xs text-soft">
        {copy}
        {model}
      </div>
    </div>
  );
}
