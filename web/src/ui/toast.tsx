/** Short messages at the page's edge: what was done, or what went wrong. */

import { X } from "lucide-react";
import { Toast } from "radix-ui";
import { useTranslation } from "react-i18next";
import { create } from "zustand";

import { ApiError } from "@/api/http";

interface Note {
  id: number;
  text: string;
  kind: "info" | "error";
  action?: { label: string; run: () => void };
  /** Until it is closed or acted upon. */
  lasting?: boolean;
}

interface Notes {
  notes: Note[];
  add: (note: Omit<Note, "id">) => void;
  remove: (id: number) => void;
}

let next = 0;
const useNotes = create<Notes>((set) => ({
  notes: [],
  add: (note) => set(({ notes }) => ({ notes: [...notes.slice(-3), { ...note, id: next++ }] })),
  remove: (id) => set(({ notes }) => ({ notes: notes.filter((note) => note.id !== id) })),
}));

export function tell(text: string, action?: Note["action"], lasting = false): void {
  useNotes.getState().add({ text, kind: "info", lasting, ...(action ? { action } : {}) });
}

/** Say what went wrong; the server's own sentence where it gave one. */
export function tellError(error: unknown, fallback: string): void {
  const text = error instanceof ApiError && !error.isOffline ? error.message : fallback;
  useNotes.getState().add({ text, kind: "error" });
}

export function Toasts() {
  const { t } = useTranslation();
  const { notes, remove } = useNotes();
  return (
    <Toast.Provider swipeDirection="right" label={t("app.note")}>
      {notes.map((note) => (
        <Toast.Root
          key={note.id}
          duration={note.lasting ? Infinity : note.kind === "error" ? 10_000 : 5_000}
          onOpenChange={(open) => !open && remove(note.id)}
          className={`flex items-center gap-3 rounded-xl border px-4 py-3 text-sm shadow-lg ${note.kind === "error" ? "border-danger bg-danger-soft text-danger" : "border-line bg-raised"}`}
        >
          <Toast.Description className="grow">{note.text}</Toast.Description>
          {note.action && (
            <Toast.Action
              altText={note.action.label}
              onClick={note.action.run}
              className="cursor-pointer font-medium text-accent"
            >
              {note.action.label}
            </Toast.Action>
          )}
          <Toast.Close aria-label={t("common.close")} className="cursor-pointer rounded p-1 hover:bg-hover">
            <X className="size-4" aria-hidden />
          </Toast.Close>
        </Toast.Root>
      ))}
      <Toast.Viewport className="fixed right-4 bottom-4 z-[60] flex w-96 max-w-[calc(100vw-2rem)] flex-col gap-2" />
    </Toast.Provider>
  );
}
