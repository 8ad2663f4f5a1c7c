/** Two answers to one question that were asked for together, to choose between them. */

import type { ChoiceView, MessageView } from "@/api/generated/types.gen";
import { placeOf, type Tree } from "@/chat/core/tree";

export type Pair = readonly [MessageView, MessageView];

/** The server makes both at once; nobody asks for another answer so soon after the first. */
const TOGETHER_MS = 20;

/** The pair that the leaf belongs to; null once something came after it, or where one of the two cannot be chosen. */
export function pairAt(tree: Tree, leaf: MessageView | undefined): Pair | null {
  if (!leaf || !canBeChosen(leaf) || tree.children.has(leaf.id)) return null;
  const other = placeOf(tree, leaf).siblings.find(
    (sibling) =>
      sibling.id !== leaf.id && canBeChosen(sibling) && Math.abs(sibling.created_ms - leaf.created_ms) <= TOGETHER_MS,
  );
  if (!other || tree.children.has(other.id)) return null;
  // In the order of their making, so that they keep their sides whichever of them is shown.
  const siblings = placeOf(tree, leaf).siblings;
  return siblings.indexOf(leaf) < siblings.indexOf(other) ? [leaf, other] : [other, leaf];
}

export const isChosen = ([a, b]: Pair, choices: readonly ChoiceView[]): boolean =>
  choices.some(
    ({ first_id, second_id }) => [first_id, second_id].includes(a.id) && [first_id, second_id].includes(b.id),
  );

const canBeChosen = ({ role, origin, status, content }: MessageView) =>
  role === "assistant" &&
  origin === "generated" &&
  (status === "generating" || (status === "complete" && content !== ""));
