/** A conversation, or the beginning of one. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";

import { ApiError } from "@/api/http";
import { useActions } from "@/chat/actions";
import { Announcer } from "@/chat/announcer";
import { TwiceButton } from "@/chat/compare/twice-button";
import { ContextMeter } from "@/chat/context/context-meter";
import { branchTo, makeTree } from "@/chat/core/tree";
import { useDraft } from "@/chat/draft";
import { useAttachments } from "@/chat/files/attachments";
import { ComposerWithFiles } from "@/chat/files/composer-with-files";
import { ChatHeader } from "@/chat/header";
import { useChatKeys } from "@/chat/keys";
import { useLive, watch } from "@/chat/live";
import { NewChat } from "@/chat/new-chat";
import { conversationQuery, messagesQuery } from "@/chat/queries";
import { setupOf, useChangeSetup } from "@/chat/setup/setup";
import { ShareButton } from "@/chat/share-button";
import { Thread } from "@/chat/thread";
import { ErrorPage, WaitingPage } from "@/app/states";
import { copyText } from "@/ui/copy";

export function ChatPage() {
  const { conversationId } = useParams({ strict: false });
  return conversationId ? <Conversation key={conversationId} id={conversationId} /> : <NewChat />;
}

function Conversation({ id }: { id: string }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const conversation = useQuery(conversationQuery(id));
  const messages = useQuery(messagesQuery(id));
  const actions = useActions();
  const [text, setText] = useDraft(id);
  const changeSetup = useChangeSetup(id);
  const attachments = useAttachments(conversation.data?.model ?? null);
  const [twice, setTwice] = useState(false);
  const [editingId, setEditingId] = useState<string | null>(null);

  // Whatever is being written, by this page or by any other, is followed: so a reload loses nothing.
  useEffect(() => {
    for (const message of messages.data ?? []) if (message.status === "generating") watch(queries, message);
  }, [messages.data, queries]);

  const leafId = conversation.data?.current_id ?? null;
  const branch = useMemo(() => branchTo(makeTree(messages.data ?? []), leafId), [messages.data, leafId]);
  // Besides the branch that is shown: the second of two answers may still be growing when the first is done.
  const leaf = branch.at(-1);
  const written = useMemo(
    () => (messages.data ?? []).filter((other) => other.status === "generating" && other.parent_id === leaf?.parent_id),
    [messages.data, leaf],
  );
  const writing = useLive(({ live }) => written.some(({ id }) => live[id]));
  const stop = useCallback(() => written.forEach((message) => void actions.stop(message)), [written, actions]);
  const copyLast = useCallback(() => {
    const answer = branch.findLast(({ role, content }) => role === "assistant" && content !== "");
    if (answer) copyText(answer.content, t);
  }, [branch, t]);
  useChatKeys({ stop: writing ? stop : undefined, copyLast });
  const error = conversation.error ?? messages.error;
  const isGone = error instanceof ApiError && error.status === 404;
  // What is known stays on the page while the server is away; the composer says that it is.
  if (error && (isGone || !conversation.data || !messages.data)) {
    return <ErrorPage error={error} reset={() => undefined} />;
  }
  if (!conversation.data || !messages.data) return <WaitingPage />;

  const lastId = leaf?.id;
  const send = async () => {
    const content = text;
    const { attachments: files, putBack } = attachments.take();
    setText("");
    if (await actions.ask(id, { content, parentId: lastId ?? null, attachments: files }, twice)) {
      setTwice(false);
      return;
    }
    setText(content);
    putBack();
  };
  const editLast = () => setEditingId(branch.findLast(({ role }) => role === "user")?.id ?? null);
  return (
    <>
      <ChatHeader
        title={conversation.data.title || t("sidebar.untitled")}
        setup={setupOf(conversation.data)}
        onSetup={changeSetup}
      >
        {lastId !== undefined && <ContextMeter conversationId={id} leafId={lastId} writing={writing} />}
        <ShareButton conversation={conversation.data} />
      </ChatHeader>
      <Thread
        messages={messages.data}
        leafId={leafId}
        actions={actions}
        editingId={editingId}
        onEditing={setEditingId}
      />
      <Announcer writing={writing} />
      <div className="mx-auto w-full max-w-3xl px-4 pb-4">
        <ComposerWithFiles
          text={text}
          onTextChange={setText}
          onSend={() => void send()}
          onStop={writing ? stop : undefined}
          onEditLast={editLast}
          attachments={attachments}
          tools={<TwiceButton on={twice} onChange={setTwice} />}
        />
      </div>
    </>
  );
}
