/** A conversation is a tree of messages; what is shown is one branch of it. */

import type { MessageView } from "@/api/generated/types.gen";

export interface Tree {
  byId: ReadonlyMap<string, MessageView>;
  /** Children of a message in order of time; those of `null` begin the conversation. */
  children: ReadonlyMap<string | null, readonly MessageView[]>;
}

export function makeTree(messages: readonly MessageView[]): Tree {
  const byId = new Map(messages.map((message) => [message.id, message]));
  const children = new Map<string | null, MessageView[]>();
  for (const message of [...messages].sort((a, b) => a.created_ms - b.created_ms)) {
    const parent = message.parent_id !== null && byId.has(message.parent_id) ? message.parent_id : null;
    const siblings = children.get(parent);
    if (siblings) siblings.push(message);
    else children.set(parent, [message]);
  }
  return { byId, children };
}

/** The messages from the first to `leafId`; where that is unknown, the branch that was written last. */
export function branchTo(tree: Tree, leafId: string | null): MessageView[] {
  let at = leafId !== null ? tree.byId.get(leafId) : undefined;
  at ??= newestLeaf(tree, null);
  const branch: MessageView[] = [];
  const seen = new Set<string>();
  while (at && !seen.has(at.id)) {
    seen.add(at.id);
    branch.push(at);
    at = at.parent_id !== null ? tree.byId.get(at.parent_id) : undefined;
  }
  return branch.reverse();
}

export interface Place {
  siblings: readonly MessageView[];
  /** Which of the siblings it is, from 0. */
  index: number;
}

/** Where a message stands among the alternatives to it. */
export function placeOf(tree: Tree, message: MessageView): Place {
  const parent = message.parent_id !== null && tree.byId.has(message.parent_id) ? message.parent_id : null;
  const siblings = tree.children.get(parent) ?? [message];
  return { siblings, index: siblings.findIndex((sibling) => sibling.id === message.id) };
}

/** The leaf to show when a message is chosen: below it, always the newest child. */
export function newestLeaf(tree: Tree, from: string | null): MessageView | undefined {
  let at = from !== null ? tree.byId.get(from) : undefined;
  const seen = new Set<string>();
  for (let below = tree.children.get(from); below?.length; below = tree.children.get(at.id)) {
    const newest: MessageView | undefined = below[below.length - 1];
    if (!newest || seen.has(newest.id)) break;
    seen.add(newest.id);
    at = newest;
  }
  return at;
}
