/** Conversations are dragged onto folders; by keyboard and touch the menu does the same. */

import type { DragEvent } from "react";

import type { ListedConversation } from "@/api/generated/types.gen";

const TYPE = "application/x-chatwright-conversation";

export type Carried = Pick<ListedConversation, "id" | "title">;

export function carry(event: DragEvent, { id, title }: Carried): void {
  event.dataTransfer.effectAllowed = "copyMove";
  event.dataTransfer.setData(TYPE, JSON.stringify({ id, title }));
}

/** While it hovers, a browser tells what kind of thing it is, not what. */
export const isCarried = (event: DragEvent): boolean => event.dataTransfer.types.includes(TYPE);

export function carried(event: DragEvent): Carried | null {
  const data = event.dataTransfer.getData(TYPE);
  return data ? (JSON.parse(data) as Carried) : null;
}
