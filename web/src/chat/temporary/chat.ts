/** A chat that this page alone holds: it is gone with the page. The server keeps an answer only while it is written. */

import { createStore } from "zustand/vanilla";

import type { MessageView, TemporaryQuestion } from "@/api/generated/types.gen";
import { ApiError, request, send } from "@/api/http";
import { NOTHING } from "@/chat/core/answer";
import type { Known } from "@/chat/core/attach";
import type { AnswerEvent } from "@/chat/core/events";
import { branchTo, makeTree, newestLeaf, placeOf } from "@/chat/core/tree";
import { follow, useLive } from "@/chat/live";
import { DEFAULT_SETUP, type ChatSetup } from "@/chat/setup/setup";
import { temporaryMessage } from "@/chat/temporary/message";

const PATH = "/api/temporary/answers";

export interface TemporaryState {
  messages: readonly MessageView[];
  leafId: string | null;
  setup: ChatSetup;
}

export class TemporaryChat {
  readonly store = createStore<TemporaryState>(() => ({ messages: [], leafId: null, setup: DEFAULT_SETUP }));
  /** What the server calls the answers that are being written, by the ids that the page gave them. */
  readonly #serverIds = new Map<string, string>();
  #end = new AbortController();

  setUp(changes: Partial<ChatSetup>): void {
    this.store.setState(({ setup }) => ({ setup: { ...setup, ...changes } }));
  }

  /** Ask behind a message. Rejects with the server's refusal; then nothing was asked. */
  ask(content: string, parentId: string | null): Promise<void> {
    const status = "complete";
    return this.#answer(temporaryMessage({ role: "user", origin: "typed", status, content, parent_id: parentId }));
  }

  /** Another answer to the same question. */
  async regenerate(answer: MessageView): Promise<void> {
    const question = this.#tree().byId.get(answer.parent_id ?? "");
    if (question) await this.#answer(question);
  }

  /** A question in other words, which is asked; or an answer as it should have been. */
  async edit(message: MessageView, content: string): Promise<void> {
    if (message.role === "user") return this.ask(content, message.parent_id);
    const { role, parent_id } = message;
    this.#add(temporaryMessage({ role, origin: "edited", status: "complete", content, parent_id }));
  }

  async stop(answer: MessageView): Promise<void> {
    const id = this.#serverIds.get(answer.id);
    if (id !== undefined) await request(`${PATH}/${id}/stop`, { method: "POST" });
  }

  showSibling(message: MessageView, index: number): void {
    const sibling = placeOf(this.#tree(), message).siblings[index];
    if (sibling) this.show(sibling);
  }

  show(message: MessageView): void {
    this.store.setState({ leafId: (newestLeaf(this.#tree(), message.id) ?? message).id });
  }

  /** Forget everything, and let the server stop. */
  close(): void {
    this.#end.abort();
    this.#end = new AbortController();
    this.#serverIds.clear();
    this.store.setState({ messages: [], leafId: null });
  }

  async #answer(question: MessageView): Promise<void> {
    const { signal } = this.#end;
    const body = this.#spoken(question);
    let opened: Response | null = await send(PATH, { method: "POST", body, signal });
    const answer = temporaryMessage({
      role: "assistant",
      origin: "generated",
      status: "generating",
      content: "",
      parent_id: question.id,
    });
    this.#add(question, answer);
    const { ended, forget } = follow({
      id: answer.id,
      from: NOTHING,
      signal,
      open: (known) => {
        const first = opened;
        opened = null;
        return first ? Promise.resolve(first) : this.#reopen(answer.id, known, signal);
      },
      onEvent: (event) => this.#happened(answer, event),
    });
    ended
      .then(({ error, text, reasoning }) => {
        if (!error) return;
        const told = { ...error, param: null, type: "server_error" };
        this.#put({ ...answer, content: text, reasoning, status: "failed", error: told });
      })
      .catch(() => {
        // Too long away, the server has let go of it: what arrived is all there is.
        if (signal.aborted) return;
        const { text, reasoning } = useLive.getState().live[answer.id]?.answer ?? NOTHING;
        this.#put({ ...answer, content: text, reasoning, status: "interrupted" });
      })
      .finally(() => {
        this.#serverIds.delete(answer.id);
        forget();
      });
  }

  #happened(answer: MessageView, event: AnswerEvent): void {
    if (event.kind === "started") this.#serverIds.set(answer.id, event.id);
    if (event.kind !== "done") return;
    const { content, reasoning, status, finish_reason, error, model } = event.message;
    const dropped_turns = event.message.dropped_turns ?? 0; // not every answer comes to know it
    this.#put({ ...answer, content, reasoning, status, finish_reason, error, model, dropped_turns });
  }

  /** Come back to an answer that is being written. */
  async #reopen(id: string, known: Known, signal: AbortSignal): Promise<Response> {
    const serverId = this.#serverIds.get(id);
    if (serverId === undefined) throw new ApiError(410, "the answer was lost before it began");
    return send(`${PATH}/${serverId}/events`, { query: { ...known }, signal });
  }

  /** Everything up to a question, as the model is to read it. */
  #spoken(question: MessageView): TemporaryQuestion {
    const { messages, setup } = this.store.getState();
    const branch = branchTo(makeTree([...messages, question]), question.id);
    return {
      ...setup,
      messages: branch.flatMap(({ role, content }) =>
        (role === "user" || role === "assistant") && content.trim() !== "" ? [{ role, content }] : [],
      ),
    };
  }

  #tree() {
    return makeTree(this.store.getState().messages);
  }

  /** Put messages at the end of what is shown; those that are there already stay where they are. */
  #add(...added: MessageView[]): void {
    this.store.setState(({ messages, leafId }) => ({
      messages: [...messages, ...added.filter((message) => !messages.includes(message))],
      leafId: added.at(-1)?.id ?? leafId,
    }));
  }

  #put(changed: MessageView): void {
    this.store.setState(({ messages }) => ({
      messages: messages.map((message) => (message.id === changed.id ? changed : message)),
    }));
  }
}
