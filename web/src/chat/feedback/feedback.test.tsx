import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen, waitFor } from "@testing-library/react";
import { Tooltip } from "radix-ui";
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import type { MessageView } from "@/api/generated/types.gen";
import { Feedback } from "@/chat/feedback/feedback";
import { feedbackQuery } from "@/chat/feedback/queries";
import i18n from "@/i18n";

vi.mock("@tanstack/react-router", () => ({ Link: "a" }));

const ANSWER = {
  id: "msg_1",
  conversation_id: "conv_1",
  role: "assistant",
  origin: "generated",
  status: "complete",
  content: "Blue.",
} as MessageView;

const sent: { method: string | undefined; body: unknown }[] = [];
let refuses = false;

beforeEach(async () => {
  await i18n.changeLanguage("en");
  sent.length = 0;
  refuses = false;
  vi.stubGlobal("fetch", (_: string, { method, body }: RequestInit) => {
    const given = body ? (JSON.parse(body as string) as object) : undefined;
    sent.push({ method, body: given });
    if (refuses) return Promise.resolve(Response.json({ error: { message: "no" } }, { status: 409 }));
    if (method === "DELETE") return Promise.resolve(new Response(null, { status: 204 }));
    const rating = { comment: "", reasons: [], edit: null, ...given, message_id: "msg_1" };
    return Promise.resolve(Response.json(rating));
  });
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

function show(message = ANSWER): QueryClient {
  const queries = new QueryClient();
  queries.setQueryData(feedbackQuery("conv_1").queryKey, { ratings: [], choices: [] });
  queries.setQueryData(["me"], null);
  render(
    <QueryClientProvider client={queries}>
      <Tooltip.Provider>
        <Feedback message={message} />
      </Tooltip.Provider>
    </QueryClientProvider>,
  );
  return queries;
}

const button = (name: string) => screen.getByRole("button", { name });
const isPressed = (name: string) => button(name).getAttribute("aria-pressed") === "true";

it("takes the thumb at once, reasons and words afterwards, and the whole judgement back", async () => {
  show();
  button("Bad answer").click();
  await waitFor(() => expect(isPressed("Bad answer")).toBe(true));
  (await screen.findByRole("button", { name: "Incorrect" })).click();
  button("Too long").click();
  await waitFor(() => expect(isPressed("Too long")).toBe(true));
  button("Send").click();
  await waitFor(() => expect(screen.queryByRole("button", { name: "Send" })).toBeNull());
  expect(sent.at(-1)).toMatchObject({ method: "PUT", body: { thumb: -1, reasons: ["incorrect", "too_long"] } });
  button("Bad answer").click();
  await waitFor(() => expect(isPressed("Bad answer")).toBe(false));
  expect(sent.at(-1)?.method).toBe("DELETE");
});

it("undoes on the page what the server refuses", async () => {
  refuses = true;
  show();
  button("Good answer").click();
  await waitFor(() => expect(isPressed("Good answer")).toBe(true));
  await waitFor(() => expect(isPressed("Good answer")).toBe(false));
  expect(screen.queryByRole("button", { name: "Send" })).toBeNull();
});

it("asks for no judgement of what the server would not take one of", () => {
  for (const change of [{ origin: "edited" }, { status: "stopped" }, { content: "" }, { role: "user" }]) {
    show({ ...ANSWER, ...change } as MessageView);
  }
  expect(screen.queryAllByRole("button")).toHaveLength(0);
});
