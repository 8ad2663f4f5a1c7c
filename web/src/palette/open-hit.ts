/** Leads to a message that was found, on whichever branch it stands. */

import type { QueryClient } from "@tanstack/react-query";

import { branchTo, makeTree, newestLeaf } from "@/chat/core/tree";
import { changeConversation, conversationQuery, messagesQuery, remember } from "@/chat/queries";

const PATIENCE_MS = 5_000;
const MARKED_MS = 2_500;

/** Let the branch with the message be the one that is shown. Throws ApiError. */
export async function showBranchOf(queries: QueryClient, conversationId: string, messageId: string): Promise<void> {
  const [conversation, messages] = await Promise.all([
    queries.fetchQuery(conversationQuery(conversationId)),
    queries.fetchQuery(messagesQuery(conversationId)),
  ]);
  const tree = makeTree(messages);
  if (branchTo(tree, conversation.current_id).some(({ id }) => id === messageId)) return;
  const leaf = newestLeaf(tree, messageId);
  if (!leaf) return;
  remember(queries, conversationId, [], leaf.id);
  await changeConversation(conversationId, { current_id: leaf.id });
}

/** Scroll to a message as soon as it is on the page, and mark it for a moment. */
export function scrollToMessage(messageId: string): void {
  const find = () => document.querySelector<HTMLElement>(`[data-message="${CSS.escape(messageId)}"]`);
  const bring = (element: HTMLElement) => {
    // After the thread has brought its end into view, which it does when it is first laid out.
    setTimeout(() => {
      element.scrollIntoView({ block: "center" });
      element.classList.add("found");
      setTimeout(() => element.classList.remove("found"), MARKED_MS);
    }, 100);
  };
  const there = find();
  if (there) {
    bring(there);
    return;
  }
  const watcher = new MutationObserver(() => {
    const element = find();
    if (!element) return;
    watcher.disconnect();
    bring(element);
  });
  watcher.observe(document.body, { childList: true, subtree: true });
  setTimeout(() => watcher.disconnect(), PATIENCE_MS);
}
