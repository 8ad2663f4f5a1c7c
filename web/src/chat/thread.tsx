/** The branch of a conversation that is shown. */

import { ArrowDown } from "lucide-react";
import { Tooltip } from "radix-ui";
import { memo, useEffect, useMemo, useRef } from "react";
import { useTranslation } from "react-i18next";

import type { MessageView } from "@/api/generated/types.gen";
import type { Actions } from "@/chat/actions";
import { AnswerRow } from "@/chat/answer-row";
import { PairRow } from "@/chat/compare/pair-row";
import { usePair } from "@/chat/compare/use-pair";
import { branchTo, makeTree, placeOf, type Place } from "@/chat/core/tree";
import { QuestionRow } from "@/chat/question-row";
import type { RowProps } from "@/chat/row";
import { RowGroup } from "@/chat/row-group";
import { useStickToEnd } from "@/chat/stick";
import { Button } from "@/ui/button";

/** Messages at the end that are drawn before anybody scrolls; the thread opens there. */
const SHOWN_AT_ONCE = 16;
const GROUP = 16;

interface ThreadProps {
  messages: readonly MessageView[];
  leafId: string | null;
  actions: Actions;
  editingId: string | null;
  onEditing: (id: string | null) => void;
}

export const Thread = memo(function Thread({ messages, leafId, actions, editingId, onEditing }: ThreadProps) {
  const { t } = useTranslation();
  const view = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const { away, toEnd } = useStickToEnd(view, content);
  const tree = useMemo(() => makeTree(messages), [messages]);
  const branch = useMemo(() => branchTo(tree, leafId), [tree, leafId]);
  const pair = usePair(tree, branch.at(-1));
  const groups = useMemo(() => chunks(pair ? branch.slice(0, -1) : branch, GROUP), [branch, pair]);
  const lastQuestion = branch.findLast(({ role }) => role === "user")?.id;
  const asked = useRef(lastQuestion);
  useEffect(() => {
    if (asked.current !== lastQuestion) toEnd(); // one's own new question is always brought into view
    asked.current = lastQuestion;
  });

  return (
    <Tooltip.Provider delayDuration={400}>
      <div className="relative min-h-0 grow">
        <div
          ref={view}
          className="h-full overflow-y-auto overscroll-contain"
          tabIndex={0}
          role="log"
          aria-live="off"
          aria-label={t("chat.conversation")}
        >
          <div ref={content} className="mx-auto flex w-full max-w-3xl flex-col gap-7 px-4 pt-6 pb-8">
            {groups.map((messages, index) => (
              <RowGroup
                key={index}
                messages={messages}
                far={(index + 1) * GROUP <= branch.length - SHOWN_AT_ONCE}
                row={(message) => (
                  <Row
                    message={message}
                    {...numbers(placeOf(tree, message))}
                    actions={actions}
                    onEditing={onEditing}
                    editing={editingId === message.id}
                  />
                )}
              />
            ))}
            {pair && (
              <div data-message={pair[0].id} className="xl:-mx-20 2xl:-mx-32">
                <PairRow first={pair[0]} second={pair[1]} actions={actions} />
              </div>
            )}
          </div>
        </div>
        {away && (
          <Button
            size="icon"
            className="absolute bottom-3 left-1/2 -translate-x-1/2 rounded-full shadow-md"
            onClick={() => toEnd("smooth")}
            aria-label={t("chat.toEnd")}
          >
            <ArrowDown className="size-4" aria-hidden />
          </Button>
        )}
      </div>
    </Tooltip.Provider>
  );
});

const chunks = <T,>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, index) => items.slice(index * size, (index + 1) * size));

/** In numbers, which are equal where nothing changed: a list of siblings made anew would draw every row again. */
const numbers = ({ index, siblings }: Place) => ({ index, count: siblings.length });

function Row(props: RowProps) {
  switch (props.message.role) {
    case "user":
      return <QuestionRow {...props} />;
    case "assistant":
      return <AnswerRow {...props} />;
    default:
      return (
        <p className="rounded-lg bg-sunken px-4 py-2 text-sm whitespace-pre-wrap text-soft">{props.message.content}</p>
      );
  }
}
