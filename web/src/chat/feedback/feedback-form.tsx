import { X } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { RatingView } from "@/api/generated/types.gen";
import { ConsentHint } from "@/chat/feedback/consent-hint";
import { REASONS, type Reason } from "@/chat/feedback/reasons";
import { Button } from "@/ui/button";

const MAX_COMMENT = 10_000;

interface Said {
  reasons: Reason[];
  comment: string;
}

interface FeedbackFormProps {
  rating: RatingView;
  onSend: (said: Said) => Promise<void>;
  onClose: () => void;
}

/** Why the thumb points where it points: reasons to tick, a comment, and what becomes of them. */
export function FeedbackForm({ rating, onSend, onClose }: FeedbackFormProps) {
  const { t } = useTranslation();
  const offered: readonly Reason[] = rating.thumb === 1 ? REASONS.up : REASONS.down;
  const [reasons, setReasons] = useState<ReadonlySet<Reason>>(new Set());
  const [comment, setComment] = useState(rating.comment);
  const [sending, setSending] = useState(false);
  const toggle = (reason: Reason) =>
    setReasons((known) => {
      const next = new Set(known);
      if (!next.delete(reason)) next.add(reason);
      return next;
    });
  const send = async () => {
    setSending(true);
    await onSend({ reasons: offered.filter((reason) => reasons.has(reason)), comment: comment.trim() });
    setSending(false);
  };
  return (
    <form
      className="order-last mt-2 ml-2 w-full basis-full rounded-2xl border border-line bg-raised p-4"
      aria-label={t("chat.feedback.title")}
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || event.nativeEvent.isComposing) return;
        event.stopPropagation();
        onClose();
      }}
    >
      <div className="-mt-1 flex items-center justify-between gap-2">
        <p className="text-sm font-medium">
          {t(rating.thumb === 1 ? "chat.feedback.whyGood" : "chat.feedback.whyBad")}
        </p>
        <Button
          look="plain"
          size="icon"
          className="-mr-2 size-8 max-md:size-10"
          onClick={onClose}
          aria-label={t("common.close")}
        >
          <X className="size-4" aria-hidden />
        </Button>
      </div>
      <div role="group" aria-label={t("chat.feedback.reasons")} className="mt-2 flex flex-wrap gap-2">
        {offered.map((reason) => (
          <button
            key={reason}
            type="button"
            aria-pressed={reasons.has(reason)}
            onClick={() => toggle(reason)}
            className="h-8 cursor-pointer rounded-full border border-line px-3 text-sm text-soft transition-colors hover:bg-hover aria-pressed:border-accent aria-pressed:bg-accent-soft aria-pressed:text-ink max-md:h-10"
          >
            {t(`chat.feedback.reason.${reason}`)}
          </button>
        ))}
      </div>
      <textarea
        value={comment}
        onChange={(event) => setComment(event.target.value)}
        maxLength={MAX_COMMENT}
        rows={2}
        placeholder={t("chat.feedback.comment")}
        aria-label={t("chat.feedback.comment")}
        className="mt-3 block w-full resize-y rounded-lg border border-line-strong bg-surface px-3 py-2 text-base md:text-sm"
      />
      <div className="mt-3 flex flex-wrap items-end justify-between gap-3">
        <ConsentHint />
        <Button size="small" look="solid" type="submit" className="ml-auto max-md:h-10" disabled={sending}>
          {t("chat.feedback.send")}
        </Button>
      </div>
    </form>
  );
}
