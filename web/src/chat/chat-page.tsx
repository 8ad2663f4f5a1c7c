/** A conversation, or the beginning of one. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";

import { useActions } from "@/chat/actions";
import { Announcer } from "@/chat/announcer";
import { Composer } from "@/chat/composer";
import { ContextMeter } from "@/chat/context/context-meter";
import { branchTo, makeTree } from "@/chat/core/tree";
import { useDraft } from "@/chat/draft";
import { ChatHeader } from "@/chat/header";
import { useLive, watch } from "@/chat/live";
import { conversationQuery, createConversation, messagesQuery } from "@/chat/queries";
import { DEFAULT_SETUP, setupOf, useChangeSetup, type ChatSetup } from "@/chat/setup/setup";
import { ShareButton } from "@/chat/share-button";
import { Thread } from "@/chat/thread";
import { Welcome } from "@/chat/welcome";
import { ErrorPage, WaitingPage } from "@/app/states";
import { tellError } from "@/ui/toast";

export function ChatPage() {
  const { conversationId } = useParams({ strict: false });
  return conversationId ? <Conversation key={conversationId} id={conversationId} /> : <NewChat />;
}

function NewChat() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const actions = useActions();
  const [text, setText] = useDraft("new");
  const [setup, setSetup] = useState<ChatSetup>(DEFAULT_SETUP);
  const [sending, setSending] = useState(false);
  const send = async () => {
    setSending(true);
    try {
      const { id } = await createConversation(setup);
      if (await actions.ask(id, { content: text, parentId: null })) {
        setText("");
        await navigate({ to: "/c/$conversationId", params: { conversationId: id } });
      }
    } catch (error) {
      tellError(error, t("app.offline"));
    } finally {
      setSending(false);
    }
  };
  return (
    <>
      <ChatHeader setup={setup} onSetup={(changes) => setSetup({ ...setup, ...changes })} />
      <div className="mx-auto flex w-full max-w-3xl grow flex-col justify-center gap-6 px-4 pb-[15dvh]">
        <Welcome onChoose={setText} />
        <Composer text={text} onTextChange={setText} onSend={() => void send()} disabled={sending} />
      </div>
    </>
  );
}

function Conversation({ id }: { id: string }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const conversation = useQuery(conversationQuery(id));
  const messages = useQuery(messagesQuery(id));
  const actions = useActions();
  const [text, setText] = useDraft(id);
  const changeSetup = useChangeSetup(id);
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
    setText("");
    if (!(await actions.ask(id, { content, parentId: branch.at(-1)?.id ?? null }))) setText(content);
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
        <Composer
          text={text}
          onTextChange={setText}
          onSend={() => void send()}
          onStop={writing ? () => void actions.stop(writing) : undefined}
          onEditLast={editLast}
        />
      </div>
    </>
  );
}
