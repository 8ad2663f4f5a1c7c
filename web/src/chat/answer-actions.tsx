import type { MessageView } from "@/api/generated/types.gen";
import { Feedback } from "@/chat/feedback/feedback";
import { InsideButton } from "@/inside/inside-button";

/** What can be done with a finished answer besides changing it: judge it, look inside. */
export function AnswerActions({ message }: { message: MessageView }) {
  return (
    <>
      <Feedback message={message} />
      <InsideButton message={message} />
    </>
  );
}
