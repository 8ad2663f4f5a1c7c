/** Thumbs below an answer. The thumb counts at once; why it is so can be said afterwards. */

import { ThumbsDown, ThumbsUp } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { MessageView } from "@/api/generated/types.gen";
import { FeedbackForm } from "@/chat/feedback/feedback-form";
import { bodyOf, useJudging, useRating } from "@/chat/feedback/queries";
import { IconAction } from "@/chat/icon-action";

export function Feedback({ message }: { message: MessageView }) {
  return isRatable(message) ? <Thumbs message={message} /> : null;
}

/** The server takes judgements of finished answers that it wrote itself. */
const isRatable = ({ role, origin, status, content }: MessageView) =>
  role === "assistant" && origin === "generated" && status === "complete" && content !== "";

function Thumbs({ message }: { message: MessageView }) {
  const { t } = useTranslation();
  const rating = useRating(message);
  const { rate, withdraw } = useJudging(message);
  const [saying, setSaying] = useState(false);
  const thumb = rating?.thumb ?? 0;

  const press = async (pressed: 1 | -1) => {
    if (rating && thumb === pressed) {
      setSaying(false);
      await withdraw(rating);
      return;
    }
    setSaying(true);
    // Reasons for one thumb are none for the other; what was written in words stays.
    const kept = rating ? bodyOf(rating) : {};
    if (!(await rate({ ...kept, thumb: pressed, reasons: [] }))) setSaying(false);
  };
  return (
    <>
      <IconAction icon={ThumbsUp} label={t("chat.feedback.good")} pressed={thumb === 1} onClick={() => void press(1)} />
      <IconAction
        icon={ThumbsDown}
        label={t("chat.feedback.bad")}
        pressed={thumb === -1}
        onClick={() => void press(-1)}
      />
      {saying && rating && thumb !== 0 && (
        <FeedbackForm
          key={thumb}
          rating={rating}
          onSend={async (said) => {
            if (await rate({ ...bodyOf(rating), ...said })) setSaying(false);
          }}
          onClose={() => setSaying(false)}
        />
      )}
    </>
  );
}
