import { Link } from "@tanstack/react-router";
import { lazy, memo, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";

import type { ListedConversation } from "@/api/generated/types.gen";
import { useChanges } from "@/sidebar/changes";
import { ConversationMenu } from "@/sidebar/conversation-menu";
import { carry } from "@/sidebar/drag";
import { NameInput } from "@/sidebar/name-input";

const ShareDialog = lazy(() => import("@/share/share-dialog").then((module) => ({ default: module.ShareDialog })));

/** A line of the list: where it leads, and what can be done with it. */
export const ConversationItem = memo(function ConversationItem({ conversation }: { conversation: ListedConversation }) {
  const { t } = useTranslation();
  const { change } = useChanges();
  const [renaming, setRenaming] = useState(false);
  const [sharing, setSharing] = useState(false);
  const title = conversation.title || t("sidebar.untitled");
  if (renaming) {
    return (
      <li>
        <NameInput
          name={conversation.title}
          label={t("sidebar.rename")}
          onDone={(name) => {
            setRenaming(false);
            if (name) void change(conversation, { title: name });
          }}
        />
      </li>
    );
  }
  return (
    // Lines out of sight are not laid out: the list may have thousands.
    <li className="group relative [contain-intrinsic-size:auto_36px] [content-visibility:auto]">
      <Link
        to="/c/$conversationId"
        params={{ conversationId: conversation.id }}
        preload={false}
        draggable
        onDragStart={(event) => carry(event, conversation)}
        onDoubleClick={() => setRenaming(true)}
        title={title}
        className="flex h-9 items-center rounded-lg pr-9 pl-2.5 text-sm -outline-offset-2 group-hover:bg-hover max-md:h-11 max-md:pr-12"
        activeProps={{ className: "bg-hover font-medium" }}
      >
        <span dir="auto" className="grow truncate">
          {title}
        </span>
      </Link>
      <ConversationMenu
        conversation={conversation}
        title={title}
        onRename={() => setRenaming(true)}
        onShare={() => setSharing(true)}
      />
      {sharing && (
        <Suspense>
          <ShareDialog conversation={conversation} onClose={() => setSharing(false)} />
        </Suspense>
      )}
    </li>
  );
});
