/** Watches an answer to its end, through lost connections. */

import { ApiError } from "@/api/http";
import { characters, grow, type LiveAnswer } from "@/chat/core/answer";
import { readEvents, type AnswerEvent } from "@/chat/core/events";

/** Characters that the page has. */
export interface Known {
  offset: number;
  reasoning_offset: number;
}

interface Options {
  /** Opens the stream behind what is known already. */
  open: (known: Known, signal: AbortSignal) => Promise<Response>;
  /** What is known already. */
  from: LiveAnswer;
  signal: AbortSignal;
  onChange: (answer: LiveAnswer, event: AnswerEvent) => void;
  /** Called with true when the connection is lost, and with false when it is back. */
  onLost?: (lost: boolean) => void;
  /** Milliseconds before the n-th new attempt, n from 0. */
  delay?: (attempt: number) => number;
}

const backoff = (attempt: number) => Math.min(500 * 2 ** attempt, 10_000);

/** Resolves with the last state when the server says that the answer is done, or refuses; rejects when aborted. */
export async function attach(options: Options): Promise<LiveAnswer> {
  const { open, signal, onChange, onLost, delay = backoff } = options;
  let answer = options.from;
  for (let attempt = 0; ; attempt++) {
    try {
      const known = { offset: characters(answer.text), reasoning_offset: characters(answer.reasoning) };
      const response = await open(known, signal);
      if (attempt > 0) onLost?.(false);
      if (!response.body) throw new ApiError(0, "the answer has no body");
      for await (const { event } of readEvents(response.body)) {
        attempt = 0;
        if (event === null) continue;
        answer = grow(answer, event);
        onChange(answer, event);
        if (event.kind === "error") return answer;
      }
      if (answer.final !== null) return answer; // a title may have come after "done"
    } catch (error) {
      if (signal.aborted) throw error;
      // 4xx: the answer is gone, or is not ours; asking again would not bring it back.
      if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) throw error;
    }
    onLost?.(true);
    await pause(delay(attempt), signal);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      },
      { once: true },
    );
  });
}
