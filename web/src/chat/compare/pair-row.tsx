import { useQueryClient } from "@tanstack/react-query";
import { Equal } from "lucide-react";
import { memo, useState } from "react";
import { useTranslation } from "react-i18next";

import type { MessageView } from "@/api/generated/types.gen";
import type { Actions } from "@/chat/actions";
import { AnswerBody } from "@/chat/answer-body";
import { choose } from "@/chat/feedback/queries";
import { tellError } from "@/ui/toast";
import { Button } from "@/ui/button";

interface PairRowProps {
  first: MessageView;
  second: MessageView;
  actions: Actions;
}

/** Two answers beside each other, below each other on phones; the one that is chosen goes on as the conversation. */
export const PairRow = memo(function PairRow({ first, second, actions }: PairRowProps) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [sending, setSending] = useState(false);
  const writing = [first, second].some(({ status }) => status === "generating");
  const decide = async (chosen: MessageView | null) => {
    setSending(true);
    try {
      if (chosen && !(await actions.show(chosen))) return;
      await choose(queries, first.conversation_id, {
        first_id: first.id,
        second_id: second.id,
        chosen_id: chosen?.id ?? null,
      });
    } catch (error) {
      tellError(error, t("app.offline"));
    } finally {
      setSending(false);
    }
  };
  return (
    <section aria-label={t("chat.compare.title")}>
      <div className="grid gap-3 md:grid-cols-2">
        {[first, second].map((message, index) => (
          <article
            key={message.id}
            aria-labelledby={`${message.id}-name`}
            className="flex min-w-0 flex-col rounded-2xl border border-line p-4"
          >
            <h2 id={`${message.id}-name`} className="mb-2 text-sm font-medium text-soft">
              {t("chat.compare.answer", { letter: index === 0 ? "A" : "B" })}
            </h2>
            <div className="grow">
              <AnswerBody message={message} />
            </div>
            {!writing && (
              <Button
                className="mt-4 h-auto min-h-10 w-full py-1"
                disabled={sending}
                onClick={() => void decide(message)}
              >
                {t("chat.compare.choose", { letter: index === 0 ? "A" : "B" })}
              </Button>
            )}
          </article>
        ))}
      </div>
      {writing ? (
        <p className="mt-3 text-center text-sm text-soft">{t("chat.compare.wait")}</p>
      ) : (
        <div className="mt-3 flex flex-wrap items-center justify-center gap-x-3 gap-y-1">
          <p className="text-sm text-soft">{t("chat.compare.question")}</p>
          <Button look="plain" disabled={sending} onClick={() => void decide(null)}>
            <Equal className="size-4" aria-hidden />
            {t("chat.compare.equal")}
          </Button>
        </div>
      )}
    </section>
  );
});
