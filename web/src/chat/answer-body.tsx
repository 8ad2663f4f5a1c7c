/** What the model wrote, or is writing: its thoughts, its text, and why it ends where it does. */

import { ChevronDown, TriangleAlert } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { MessageView } from "@/api/generated/types.gen";
import { useLive } from "@/chat/live";
import { Markdown } from "@/markdown/markdown";

/** Whether an answer is being written, as far as this page sees. */
export const useWriting = (id: string): boolean => useLive(({ live }) => live[id]?.answer.final === null);

export function AnswerBody({ message }: { message: MessageView }) {
  const { t } = useTranslation();
  const live = useLive((state) => state.live[message.id]);
  const writing = live?.answer.final === null;
  const text = live?.answer.text ?? message.content;
  const reasoning = live?.answer.reasoning ?? message.reasoning;
  const dropped = live?.answer.facts.dropped_turns ?? message.dropped_turns;
  return (
    <div aria-busy={writing}>
      {dropped > 0 && (
        <p className="mb-2 inline-block rounded-lg bg-warning-soft px-3 py-1.5 text-sm text-warning">
          {t("chat.dropped", { count: dropped })}
        </p>
      )}
      {reasoning !== "" && <Reasoning text={reasoning} open={writing && text === ""} />}
      {text === "" && writing ? <Waiting /> : <Markdown text={text} streaming={writing} />}
      {live?.lost && (
        <p className="mt-2 text-sm text-warning" role="status">
          {t("chat.lost")}
        </p>
      )}
      {!writing && <Ending message={message} />}
    </div>
  );
}

function Waiting() {
  const { t } = useTranslation();
  return (
    <span role="status" className="inline-block h-7">
      <span className="inline-block size-3 animate-pulse rounded-full bg-soft" aria-hidden />
      <span className="sr-only">{t("chat.thinking")}</span>
    </span>
  );
}

/** What the model thought before it answered: folded away, unless it is all there is so far. */
function Reasoning({ text, open }: { text: string; open: boolean }) {
  const { t } = useTranslation();
  const [wish, setWish] = useState<boolean | null>(null);
  const shown = wish ?? open;
  return (
    <div className="mb-3">
      <button
        type="button"
        aria-expanded={shown}
        onClick={() => setWish(!shown)}
        className="flex cursor-pointer items-center gap-1 rounded text-sm text-soft hover:text-ink"
      >
        {t("chat.reasoning")}
        <ChevronDown className={`size-4 transition-transform ${shown ? "" : "-rotate-90"}`} aria-hidden />
      </button>
      {shown && (
        <div className="mt-2 border-l-2 border-line pl-4 text-sm leading-6 text-soft wrap-anywhere whitespace-pre-wrap">
          {text}
        </div>
      )}
    </div>
  );
}

/** Why an answer ends where it does, where that is not plain to see. */
function Ending({ message }: { message: MessageView }) {
  const { t } = useTranslation();
  const { status, finish_reason: reason, error } = message;
  const told =
    status === "failed"
      ? (error?.message ?? t("app.failed"))
      : status === "complete" && (reason === "length" || reason === "repetition")
        ? t(`chat.ending.${reason}`)
        : status === "complete"
          ? null
          : t(`chat.ending.${status}`);
  if (told === null) return null;
  const bad = status === "failed" || status === "withheld";
  return (
    <p
      className={`mt-2 flex items-start gap-2 text-sm ${bad ? "text-danger" : "text-soft"}`}
      role={bad ? "alert" : undefined}
    >
      {bad && <TriangleAlert className="mt-0.5 size-4 shrink-0" aria-hidden />}
      {told}
    </p>
  );
}
