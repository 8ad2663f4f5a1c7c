/** A chat that leaves no trace. */

import { useBlocker, useNavigate } from "@tanstack/react-router";
import { Ghost } from "lucide-react";
import { useCallback, useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";

import type { Actions } from "@/chat/actions";
import { useTold } from "@/chat/actions";
import { Announcer } from "@/chat/announcer";
import { Composer } from "@/chat/composer";
import { branchTo, makeTree } from "@/chat/core/tree";
import { ChatHeader } from "@/chat/header";
import { HeaderButton } from "@/chat/header-button";
import { useChatKeys } from "@/chat/keys";
import { TemporaryChat } from "@/chat/temporary/chat";
import { Thread } from "@/chat/thread";
import { confirm } from "@/ui/confirm";
import { copyText } from "@/ui/copy";

export function TemporaryPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [chat] = useState(() => new TemporaryChat());
  useEffect(() => () => chat.close(), [chat]);
  const { messages, leafId, setup } = useStore(chat.store);
  const actions = useTemporaryActions(chat);
  const [text, setText] = useState("");
  const [editingId, setEditingId] = useState<string | null>(null);
  useQuestionBeforeLeaving(messages.length > 0);

  const branch = useMemo(() => branchTo(makeTree(messages), leafId), [messages, leafId]);
  const written = branch.find(({ status }) => status === "generating");
  const stop = useCallback(() => void (written && actions.stop(written)), [written, actions]);
  const copyLast = useCallback(() => {
    const answer = branch.findLast(({ role, content }) => role === "assistant" && content !== "");
    if (answer) copyText(answer.content, t);
  }, [branch, t]);
  useChatKeys({ stop: written ? stop : undefined, copyLast });

  const begun = messages.length > 0;
  const send = async () => {
    setText("");
    const question = { content: text, parentId: branch.at(-1)?.id ?? null };
    if (!(await actions.ask("", question))) setText(text);
  };
  const composer = (
    <Composer
      text={text}
      onTextChange={setText}
      onSend={() => void send()}
      onStop={written ? stop : undefined}
      onEditLast={() => setEditingId(branch.findLast(({ role }) => role === "user")?.id ?? null)}
    />
  );
  return (
    <>
      <ChatHeader
        title={begun ? t("chat.temporary.title") : undefined}
        setup={setup}
        onSetup={(changes) => chat.setUp(changes)}
      >
        <HeaderButton
          icon={Ghost}
          label={t("chat.temporary.leave")}
          pressed
          onClick={() => void navigate({ to: "/" })}
        />
      </ChatHeader>
      {begun ? (
        <>
          <p className="border-b border-line bg-sunken px-4 py-2 text-center text-sm text-soft">
            {t("chat.temporary.note")}
          </p>
          <Thread
            messages={messages}
            leafId={leafId}
            actions={actions}
            editingId={editingId}
            onEditing={setEditingId}
          />
          <Announcer writing={written !== undefined} />
          <div className="mx-auto w-full max-w-3xl px-4 pb-4">{composer}</div>
        </>
      ) : (
        <div className="mx-auto flex w-full max-w-3xl grow flex-col justify-center gap-6 px-4 pb-[15dvh]">
          <div className="text-center">
            <Ghost className="mx-auto mb-4 size-10 text-soft" aria-hidden />
            <h1 className="text-2xl font-semibold">{t("chat.temporary.welcome")}</h1>
            <p className="mx-auto mt-3 max-w-md text-soft">{t("chat.temporary.note")}</p>
          </div>
          {composer}
        </div>
      )}
    </>
  );
}

function useTemporaryActions(chat: TemporaryChat): Actions {
  const told = useTold();
  return useMemo(
    () => ({
      ask: (_, { content, parentId }) => told(() => chat.ask(content, parentId)),
      regenerate: (message) => told(() => chat.regenerate(message)),
      continueAnswer: () => Promise.resolve(false), // only stored answers are continued; the row does not offer it
      edit: (message, content) => told(() => chat.edit(message, content)),
      stop: (message) => told(() => chat.stop(message)),
      showSibling: (message, index) => told(async () => chat.showSibling(message, index)),
      show: (message) => told(async () => chat.show(message)),
    }),
    [chat, told],
  );
}

/** What is kept nowhere is not given up by a slip of the finger. */
function useQuestionBeforeLeaving(begun: boolean): void {
  const { t } = useTranslation();
  useBlocker({
    disabled: !begun,
    enableBeforeUnload: begun,
    shouldBlockFn: async () =>
      !(await confirm({
        title: t("chat.temporary.leaveTitle"),
        text: t("chat.temporary.leaveText"),
        action: t("chat.temporary.leaveAction"),
      })),
  });
}
