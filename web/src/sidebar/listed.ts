/** Pure functions on pages of conversations: what the list looks like after a change, and under which headings. */

import type { ConversationChanges, ListedConversation, PageListedConversation } from "@/api/generated/types.gen";
import type { Filter } from "@/sidebar/queries";

export interface Pages {
  pages: PageListedConversation[];
  pageParams: unknown[];
}

/** The pages with a conversation as it will be; out of those in which it no longer belongs. Null deletes it. */
export function withChange(known: Pages, filter: Filter, id: string, changes: ConversationChanges | null): Pages {
  const changed = (row: ListedConversation): ListedConversation[] => {
    if (row.id !== id) return [row];
    if (changes === null) return [];
    const { title, pinned, archived, folder_id: folderId } = changes;
    const next: ListedConversation = {
      ...row,
      ...(title === undefined ? {} : { title, title_by: "person" }),
      ...(pinned === undefined ? {} : { pinned, group: pinned ? "pinned" : "today" }),
      ...(archived === undefined ? {} : { archived }),
      ...(folderId === undefined ? {} : { folder_id: folderId }),
    };
    return belongs(next, filter) ? [next] : [];
  };
  return { ...known, pages: known.pages.map((page) => ({ ...page, data: page.data.flatMap(changed) })) };
}

function belongs(row: ListedConversation, filter: Filter): boolean {
  if ("folderId" in filter) return row.folder_id === filter.folderId && !row.archived;
  return row.archived === filter.archived && (filter.archived || row.folder_id === null || row.pinned);
}

export interface Group {
  name: string;
  rows: ListedConversation[];
}

/** Conversations under their headings, in the order in which they come. */
export function grouped(rows: readonly ListedConversation[]): Group[] {
  const groups = new Map<string, ListedConversation[]>();
  for (const row of rows) {
    const group = groups.get(row.group);
    if (group) group.push(row);
    else groups.set(row.group, [row]);
  }
  return [...groups].map(([name, members]) => ({ name, rows: members }));
}
