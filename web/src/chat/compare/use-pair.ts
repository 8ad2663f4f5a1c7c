import { useQuery } from "@tanstack/react-query";

import type { MessageView } from "@/api/generated/types.gen";
import { isChosen, pairAt, type Pair } from "@/chat/core/pair";
import type { Tree } from "@/chat/core/tree";
import { feedbackQuery } from "@/chat/feedback/queries";

/** The two answers at the end of a branch between which nobody has chosen yet. */
export function usePair(tree: Tree, leaf: MessageView | undefined): Pair | null {
  const pair = pairAt(tree, leaf);
  const { data } = useQuery({ ...feedbackQuery(leaf?.conversation_id ?? ""), enabled: pair !== null });
  if (!pair) return null;
  if (pair.some(({ status }) => status === "generating")) return pair;
  return data && !isChosen(pair, data.choices) ? pair : null;
}
