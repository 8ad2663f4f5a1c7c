/** Files that go with the next message. The server reads them into text and counts their tokens; it stores nothing. */

import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { Attachment, AttachmentView } from "@/api/generated/types.gen";
import { ApiError, request } from "@/api/http";
import { tell } from "@/ui/toast";

export const MAX_FILES = 10;

export type AttachedFile = { id: number; name: string } & (
  { state: "reading" } | { state: "read"; view: AttachmentView } | { state: "refused"; why: string }
);

export interface Attachments {
  files: readonly AttachedFile[];
  add: (files: readonly File[]) => void;
  remove: (id: number) => void;
  /** Takes what was read, to be sent, and leaves nothing; the function that is returned puts it back. */
  take: () => { attachments: Attachment[]; putBack: () => void };
  /** Whether something keeps the message from being sent. */
  blocks: boolean;
  /** Set where the files fit one by one but not together. */
  excess: Excess | null;
}

export interface Excess {
  tokens: number;
  limit: number;
  model: string;
}

let next = 0;

export function useAttachments(model: string | null): Attachments {
  const { t } = useTranslation();
  const [files, setFiles] = useState<readonly AttachedFile[]>([]);

  const settle = (id: number, file: AttachedFile) =>
    setFiles((known) => known.map((other) => (other.id === id ? file : other)));

  const read = async (id: number, file: File) => {
    const { name } = file;
    try {
      settle(id, { id, name, state: "read", view: await readFile(file, model) });
    } catch (error) {
      const told = error instanceof ApiError && !error.isOffline ? error.message : t("app.offline");
      settle(id, { id, name, state: "refused", why: told });
    }
  };

  const add = (chosen: readonly File[]) => {
    const room = MAX_FILES - files.length;
    if (chosen.length > room) tell(t("chat.files.tooMany", { count: MAX_FILES }));
    const taken = chosen.slice(0, Math.max(room, 0)).map((file) => ({ id: next++, file }));
    setFiles((known) => [
      ...known,
      ...taken.map(({ id, file }) => ({ id, name: file.name, state: "reading" as const })),
    ]);
    for (const { id, file } of taken) void read(id, file);
  };

  const excess = excessOf(files);
  return {
    files,
    add,
    remove: (id) => setFiles((known) => known.filter((file) => file.id !== id)),
    take: () => {
      setFiles([]);
      return { attachments: toSend(files), putBack: () => setFiles((since) => [...files, ...since]) };
    },
    blocks: excess !== null || files.some(({ state }) => state !== "read"),
    excess,
  };
}

function readFile(file: File, model: string | null): Promise<AttachmentView> {
  const form = new FormData();
  form.append("file", file);
  if (model !== null) form.append("model", model);
  return request<AttachmentView>("/api/attachments", { method: "POST", form });
}

const toSend = (files: readonly AttachedFile[]): Attachment[] =>
  files.flatMap((file) => (file.state === "read" ? [{ name: file.view.name, text: file.view.text }] : []));

export function excessOf(files: readonly AttachedFile[]): Excess | null {
  const views = files.flatMap((file) => (file.state === "read" ? [file.view] : []));
  const tokens = views.reduce((sum, view) => sum + view.tokens, 0);
  const last = views.at(-1);
  if (!last || last.context_length === null || tokens < last.context_length) return null;
  return { tokens, limit: last.context_length, model: last.model };
}
