import { clsx } from "clsx";
import { useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import type { MessageView } from "@/api/generated/types.gen";
import { Far, useNear } from "@/markdown/near";

const ROW_PX = 188; // with the gap; what a row out of sight is taken for until it has been drawn once

interface RowGroupProps {
  messages: readonly MessageView[];
  /** Whether they are out of sight when the thread opens. */
  far: boolean;
  row: (message: MessageView) => ReactNode;
}

/**
 * Messages that stand together. What is out of sight is not laid out, and is its text alone until somebody comes near.
 * With every frame the browser asks of each group whether it is in sight, and of the rows of none but those that are.
 */
export function RowGroup({ messages, far, row }: RowGroupProps) {
  const place = useRef<HTMLDivElement>(null);
  const near = useNear(place, far);
  const skipped = far && "[content-visibility:auto]";
  return (
    <div
      ref={place}
      className={clsx("flex flex-col gap-7", skipped)}
      style={{ containIntrinsicSize: `auto ${messages.length * ROW_PX}px` }}
    >
      {messages.map((message) => (
        <div
          key={message.id}
          data-message={message.id}
          className={clsx("[contain-intrinsic-size:auto_160px]", near && skipped)}
        >
          {near ? <Far value={far}>{row(message)}</Far> : <PlainRow message={message} />}
        </div>
      ))}
    </div>
  );
}

/** What the browser's search and screen readers find in a row that is out of sight. */
function PlainRow({ message: { role, content } }: { message: MessageView }) {
  const { t } = useTranslation();
  return (
    <>
      {role !== "system" && <h2 className="sr-only">{t(role === "user" ? "chat.youSaid" : "chat.answer")}</h2>}
      <p className="wrap-anywhere whitespace-pre-wrap">{content}</p>
    </>
  );
}
