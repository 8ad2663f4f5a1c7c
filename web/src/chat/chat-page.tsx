/** A conversation, or the beginning of one. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";

import { useActions } from "@/chat/actions";
import { Announcer } from "@/chat/announcer";
import { ContextMeter } from "@/chat/context/context-meter";
import { branchTo, makeTree } from "@/chat/core/tree";
import { useDraft } from "@/chat/draft";
import { useAttachments } from "@/chat/files/attachments";
import { ComposerWithFiles } from "@/chat/files/composer-with-files";
import { ChatHeader } from "@/chat/header";
import { useLive, watch } from "@/chat/live";
import { NewChat } from "@/chat/new-chat";
import { conversationQuery, messagesQuery } from "@/chat/queries";
import { setupOf, useChangeSetup } from "@/chat/setup/setup";
import { ShareButton } from "@/chat/share-button";
import { Thread } from "@/chat/thread";
import { ErrorPage, WaitingPage } from "@/app/states";

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
  const [editingId, setEditingId] = useState<string | null>(null);

  // Whatever is being written, by this page or by any other, is followed: so a reload loses nothing.
  useEffect(() => {
    for (const message of messages.data ?? []) if (message.status === "generating") watch(queries, message);
  }, [messages.data, queries]);

  const leafId = conversation.data?.current_id ?? null;
  const branch = useMemo(() => branchTo(makeTree(messages.data ?? []), leafId), [messages.data, leafId]);
  const writing = useLive(({ live }) => branch.find(({ id, status }) => live[id] && status === "generating"));
  if (conversation.error ?? messages.error) {
    return <ErrorPage error={(conversation.error ?? messages.error) as Error} reset={() => undefined} />;
  }
  if (!conversation.data || !messages.data) return <WaitingPage />;

  const lastId = branch.at(-1)?.id;
  const send = async () => {
    const content = text;
    const { attachments: files, putBack } = attachments.take();
    setText("");
    if (await actions.ask(id, { content, parentId: lastId ?? null, attachments: files })) return;
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
        {lastId !== undefined && <ContextMeter conversationId={id} leafId={lastId} writing={writing !== undefined} />}
        <ShareButton conversation={conversation.data} />
      </ChatHeader>
      <Thread
        messages={messages.data}
        leafId={leafId}
        actions={actions}
        editingId={editingId}
        onEditing={setEditingId}
      />
      <Announcer writing={writing !== undefined} />
      <div className="mx-auto w-full max-w-3xl px-4 pb-4">
        <ComposerWithFiles
          text={text}
          onTextChange={setText}
          onSend={() => void send()}
          onStop={writing ? () => void actions.stop(writing) : undefined}
          onEditLast={editLast}
          attachments={attachments}
        />
      </div>
    </>
  );
}
