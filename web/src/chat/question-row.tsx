import { Copy, FileText, Pencil } from "lucide-react";
import { memo } from "react";
import { useTranslation } from "react-i18next";

import { Branches } from "@/chat/branches";
import { EditForm } from "@/chat/edit-form";
import { IconAction } from "@/chat/icon-action";
import type { RowProps } from "@/chat/row";
import { copyText } from "@/ui/copy";

/** What a person wrote. */
export const QuestionRow = memo(function QuestionRow(props: RowProps) {
  const { message, index, count, actions, editing, onEditing } = props;
  const { t } = useTranslation();
  if (editing) {
    return (
      <EditForm
        text={message.content}
        label={t("chat.editQuestion")}
        submit={t("chat.send")}
        onSubmit={(text) => actions.edit(message, text)}
        onClose={() => onEditing(null)}
      />
    );
  }
  return (
    <div className="group flex flex-col items-end">
      <h2 className="sr-only">{t("chat.youSaid")}</h2>
      {message.attachments.map((attachment) => (
        <span
          key={attachment.name}
          className="mb-1 inline-flex items-center gap-1.5 rounded-lg border border-line px-2.5 py-1 text-sm text-soft"
        >
          <FileText className="size-4" aria-hidden />
          {attachment.name}
        </span>
      ))}
      <div
        dir="auto"
        className="max-w-[85%] rounded-2xl bg-sunken px-4 py-2.5 leading-7 wrap-anywhere whitespace-pre-wrap"
      >
        {message.content}
      </div>
      <div className="mt-1 flex items-center transition-opacity group-focus-within:opacity-100 group-hover:opacity-100 md:opacity-0">
        <Branches index={index} count={count} onChoose={(other) => void actions.showSibling(message, other)} />
        <IconAction icon={Copy} label={t("common.copy")} onClick={() => copyText(message.content, t)} />
        <IconAction icon={Pencil} label={t("chat.edit")} onClick={() => onEditing(message.id)} />
      </div>
    </div>
  );
});
