import { Copy, ListPlus, Pencil, RefreshCw } from "lucide-react";
import { memo } from "react";
import { useTranslation } from "react-i18next";

import { AnswerActions } from "@/chat/answer-actions";
import { AnswerBody, useWriting } from "@/chat/answer-body";
import { Branches } from "@/chat/branches";
import { EditForm } from "@/chat/edit-form";
import { IconAction } from "@/chat/icon-action";
import type { RowProps } from "@/chat/row";
import { isStored } from "@/chat/temporary/message";
import { copyText } from "@/ui/copy";
import type { MessageView } from "@/api/generated/types.gen";

/** What the model wrote, or is writing, and what can be done with it. */
export const AnswerRow = memo(function AnswerRow(props: RowProps) {
  const { message, index, count, actions, editing, onEditing } = props;
  const { t } = useTranslation();
  const writing = useWriting(message.id);
  if (editing) {
    return (
      <EditForm
        text={message.content}
        label={t("chat.editAnswer")}
        submit={t("common.save")}
        onSubmit={(changed) => actions.edit(message, changed)}
        onClose={() => onEditing(null)}
      />
    );
  }
  return (
    <>
      <h2 className="sr-only">{t("chat.answer")}</h2>
      <AnswerBody message={message} />
      {!writing && (
        <div className="mt-1 -ml-2 flex flex-wrap items-center">
          <Branches index={index} count={count} onChoose={(other) => void actions.showSibling(message, other)} />
          <IconAction icon={Copy} label={t("common.copy")} onClick={() => copyText(message.content, t)} />
          <IconAction icon={RefreshCw} label={t("chat.regenerate")} onClick={() => void actions.regenerate(message)} />
          {canContinue(message) && isStored(message) && (
            <IconAction
              icon={ListPlus}
              label={t("chat.continue")}
              onClick={() => void actions.continueAnswer(message)}
            />
          )}
          {message.status !== "withheld" && (
            <IconAction icon={Pencil} label={t("chat.editAnswer")} onClick={() => onEditing(message.id)} />
          )}
          {isStored(message) && <AnswerActions message={message} />}
        </div>
      )}
    </>
  );
});

const canContinue = ({ status, finish_reason: reason }: MessageView) =>
  status === "stopped" ||
  status === "interrupted" ||
  (status === "complete" && (reason === "length" || reason === "repetition"));
