/** The server's word that one has to wait before asking again. */

import { create } from "zustand";

import { ApiError } from "@/api/http";

export interface Limit {
  /** The server's sentence. */
  message: string;
  untilMs: number;
}

/** Limits are those of a person, so there is one for the whole page. */
export const useLimit = create<{ limit: Limit | null }>(() => ({ limit: null }));

/** Whether a refusal is one that passes by waiting; then it is told near the composer. */
export function noteLimit(error: unknown): boolean {
  if (!(error instanceof ApiError) || error.status !== 429 || error.retryAfterSeconds === null) return false;
  useLimit.setState({ limit: { message: error.message, untilMs: Date.now() + error.retryAfterSeconds * 1000 } });
  return true;
}

export const forgetLimit = (): void => useLimit.setState({ limit: null });
