import type { MessageView } from "@/api/generated/types.gen";
import type { Actions } from "@/chat/actions";

/** What every message of a thread is drawn from: all of it stays the same until this very message changes. */
export interface RowProps {
  message: MessageView;
  /** Which of its alternatives it is, from 0, and how many there are. */
  index: number;
  count: number;
  actions: Actions;
  editing: boolean;
  onEditing: (id: string | null) => void;
}
