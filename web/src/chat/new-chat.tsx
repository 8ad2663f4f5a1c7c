import { useNavigate } from "@tanstack/react-router";
import { Ghost } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { useActions } from "@/chat/actions";
import { useDraft } from "@/chat/draft";
import { useAttachments } from "@/chat/files/attachments";
import { ComposerWithFiles } from "@/chat/files/composer-with-files";
import { ChatHeader } from "@/chat/header";
import { TwiceButton } from "@/chat/compare/twice-button";
import { HeaderButton } from "@/chat/header-button";
import { createConversation, deleteConversation } from "@/chat/queries";
import { DEFAULT_SETUP, type ChatSetup } from "@/chat/setup/setup";
import { Welcome } from "@/chat/welcome";
import { tellError } from "@/ui/toast";

/** Before the first message: the conversation is made when that is sent. */
export function NewChat() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const actions = useActions();
  const [text, setText] = useDraft("new");
  const [setup, setSetup] = useState<ChatSetup>(DEFAULT_SETUP);
  const attachments = useAttachments(setup.model);
  const [twice, setTwice] = useState(false);
  const [sending, setSending] = useState(false);
  const send = async () => {
    setSending(true);
    const { attachments: files, putBack } = attachments.take();
    try {
      const { id } = await createConversation(setup);
      if (await actions.ask(id, { content: text, parentId: null, attachments: files }, twice)) {
        setText("");
        await navigate({ to: "/c/$conversationId", params: { conversationId: id } });
        return;
      }
      putBack();
      await deleteConversation(id); // nobody wants an empty one in the list for each attempt
    } catch (error) {
      putBack();
      tellError(error, t("app.offline"));
    } finally {
      setSending(false);
    }
  };
  return (
    <>
      <ChatHeader setup={setup} onSetup={(changes) => setSetup({ ...setup, ...changes })}>
        <HeaderButton
          icon={Ghost}
          label={t("chat.temporary.begin")}
          onClick={() => void navigate({ to: "/temporary" })}
        />
      </ChatHeader>
      <div className="mx-auto flex w-full max-w-3xl grow flex-col justify-center gap-6 px-4 pb-[15dvh]">
        <Welcome onChoose={setText} />
        <ComposerWithFiles
          text={text}
          onTextChange={setText}
          onSend={() => void send()}
          disabled={sending}
          attachments={attachments}
          tools={<TwiceButton on={twice} onChange={setTwice} />}
        />
      </div>
    </>
  );
}
