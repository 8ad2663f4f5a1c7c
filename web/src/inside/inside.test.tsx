import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { Tooltip } from "radix-ui";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { InsideTopics, InsideView, MessageView, PlaceView, TokenView } from "@/api/generated/types.gen";
import { heatOf, levelOf, percentOf, strongest, summaryOf } from "@/inside/certainty";
import { InsideButton } from "@/inside/inside-button";
import { InsideDialog } from "@/inside/inside-dialog";
import { labelOf, spell } from "@/inside/spelling";
import i18n from "@/i18n";
import { formatsIn } from "@/ui/formats";

const encoder = new TextEncoder();
const token = (id: number, text: string, control = false): TokenView => ({
  id,
  text,
  bytes: [...encoder.encode(text)],
  control,
});
const half = (id: number, ...bytes: number[]): TokenView => ({ id, text: null, bytes, control: false });
const place = (probability: number, rank = 1, entropy = 1): PlaceView => ({
  probability,
  rank,
  entropy,
  alternatives: [
    { token: token(90, " likely"), probability: 0.6 },
    { token: token(91, "\n"), probability: 0.0001 },
  ],
});

describe("how tokens are written", () => {
  it("puts a character where its last byte is", () => {
    const [e4, bd, rest, after] = spell([half(1, 0xe4), half(2, 0xbd), half(3, 0xa0, 0xe5, 0xa5), half(4, 0xbd)]);
    expect([e4, bd, rest, after].map((each) => each?.shown)).toEqual(["", "", "你", "好"]);
    expect([e4, rest, after].map((each) => each?.label)).toEqual(["你 E4", "你 A0 E5 A5", "好 BD"]);
  });

  it("keeps text around half characters and control tokens whole", () => {
    const shown = spell([token(1, "a "), half(2, 0xf0, 0x9f), token(3, "<|im_end|>", true), token(4, "\ufeffb")]);
    expect(shown.map((each) => each.shown)).toEqual(["a ", "", "<|im_end|>", "\ufeffb"]);
  });

  it("labels what cannot be seen", () => {
    expect(labelOf(token(1, " a\n"))).toBe("␣a↵");
    expect(labelOf(half(1, 0xe4, 0x0a))).toBe("E4 0A");
    expect(labelOf(token(1, ""))).toBe("∅");
  });
});

describe("numbers", () => {
  it("sorts places by certainty", () => {
    expect([1, 0.9, 0.89, 0.5, 0.2, 0.05, 0.049, 0].map((p) => levelOf(place(p), "probability"))).toEqual([
      0, 0, 1, 1, 2, 3, 4, 4,
    ]);
    expect([0, 0.5, 1.5, 3, 5, 12].map((bits) => levelOf(place(1, 1, bits), "entropy"))).toEqual([0, 1, 2, 3, 4, 4]);
  });

  it("sums an answer up", () => {
    const summary = summaryOf([place(0.5), place(0.125, 3)]);
    expect(summary).toMatchObject({ tokens: 2, firstChoices: 1 });
    expect(summary.perplexity).toBeCloseTo(4);
    expect(summaryOf([]).perplexity).toBe(1);
    expect(Number.isFinite(summaryOf([place(0)]).perplexity)).toBe(true);
  });

  it("never rounds something to nothing", () => {
    const formats = formatsIn("en");
    expect([0, 0.00001, 0.0312, 1].map((p) => percentOf(p, formats))).toEqual(["0%", "< 0.1%", "3.1%", "100%"]);
  });

  it("scales heat to the strongest, with or without the first token", () => {
    expect(heatOf([0.64, 0.16, 0.04], false)).toEqual([1, 0.5, 0.25]);
    expect(heatOf([0.64, 0.16, 0.04], true)).toEqual([0, 1, 0.5]);
    expect(heatOf([1], true)).toEqual([1]);
    expect(strongest([0.6, 0.1, 0.3], 2, true)).toEqual([2, 1]);
    expect(strongest([1], 2, true)).toEqual([0]);
  });
});

const MESSAGE = { id: "m", role: "assistant", status: "complete", content: "Hello", reasoning: "" } as MessageView;
const VIEW: InsideView = {
  model: "tiny",
  same_version: true,
  num_layers: 2,
  num_heads: 2,
  num_tokens: 4,
  answer_start: 2,
  dropped_turns: 0,
  tokens: {
    tokens: [token(1, "<|im_start|>", true), token(2, "Hi"), token(3, "Hel"), token(4, "lo")],
    places: [place(0.6), place(0.03, 7)],
  },
  attention: null,
  gaze: null,
  lens: null,
};

describe("the view inside", () => {
  let asked: InsideTopics[] = [];
  let refusal: Response | null = null;

  beforeEach(async () => {
    await i18n.changeLanguage("en");
    Element.prototype.scrollIntoView = () => undefined; // jsdom lays nothing out
    asked = [];
    refusal = null;
    vi.stubGlobal(
      "ResizeObserver",
      class {
        observe() {}
        unobserve() {}
        disconnect() {}
      },
    );
    vi.stubGlobal("fetch", (_: string, { body }: { body: string }) => {
      if (refusal) return Promise.resolve(refusal.clone());
      const topics = JSON.parse(body) as InsideTopics;
      asked.push(topics);
      const rows = [[1], [0.5, 0.5], [0.5, 0.4, 0.1], [0.7, 0.1, 0.15, 0.05]];
      return Promise.resolve(
        Response.json({
          ...VIEW,
          lens: topics.lens ? [place(0.01), place(0.2), place(0.03)] : null,
          attention: topics.attention ? { ...topics.attention, rows } : null,
        }),
      );
    });
  });
  afterEach(() => {
    cleanup();
    vi.unstubAllGlobals();
  });

  const open = () =>
    render(
      <QueryClientProvider client={new QueryClient()}>
        <InsideDialog message={MESSAGE} open onOpenChange={() => undefined} />
      </QueryClientProvider>,
    );

  it("shows the place of a token that is chosen by click or by key", async () => {
    const user = userEvent.setup();
    open();
    const list = await screen.findByRole("listbox", { name: "Tokens of the answer" });
    const [first, second] = within(list).getAllByRole("option") as [HTMLElement, HTMLElement];
    expect(first).toHaveProperty("textContent", "Hel");
    expect(screen.getByRole("list", { name: "What might have stood here" }).textContent).toContain("␣likely60%");
    await user.click(second);
    expect(second.getAttribute("aria-selected")).toBe("true");
    const bars = screen.getByRole("list", { name: "What might have stood here" });
    expect(within(bars).getAllByRole("listitem").at(-1)?.textContent).toBe("lo3%"); // itself, though no likely one
    await user.keyboard("{ArrowLeft}");
    expect(first.getAttribute("aria-selected")).toBe("true");
    expect(document.activeElement).toBe(first);
  });

  it("asks for the layers only when they are wanted", async () => {
    const user = userEvent.setup();
    open();
    await user.click(await screen.findByRole("button", { name: "Layer by layer" }));
    expect(await screen.findByRole("rowheader", { name: "Input" })).toBeTruthy();
    expect(screen.getAllByRole("rowheader")).toHaveLength(3);
    expect(asked).toEqual([{ tokens: true }, { tokens: false, lens: { position: 2 } }]);
  });

  it("warms the tokens that a head looks at", async () => {
    const user = userEvent.setup();
    open();
    await user.click(await screen.findByRole("tab", { name: "Attention" }));
    const seen = await screen.findByRole("option", { name: "Hi, 40%" });
    expect(seen.style.backgroundColor).toContain("45%");
    expect(screen.getByRole("option", { name: "<|im_start|>, 50%" }).style.backgroundColor).toBe(""); // left out
    await user.click(screen.getByRole("button", { name: "Head: next" }));
    await vi.waitFor(() => expect(asked.at(-1)?.attention).toMatchObject({ layer: 1, head: 1, first: 0 }));
  });

  it("says why there is nothing to see", async () => {
    const error = { message: "far runs on another server", type: "", param: null, code: "unsupported_by_model" };
    refusal = Response.json({ error }, { status: 400 });
    open();
    expect((await screen.findByRole("alert")).textContent).toContain("far runs on another server");
    expect(screen.queryByRole("button", { name: "Try again" })).toBeNull(); // it would be refused again
  });

  it("opens from the answer's button, and gives the keyboard back to it", async () => {
    const user = userEvent.setup();
    render(
      <QueryClientProvider client={new QueryClient()}>
        <Tooltip.Provider>
          <InsideButton message={MESSAGE} />
          <InsideButton message={{ ...MESSAGE, status: "generating" }} />
        </Tooltip.Provider>
      </QueryClientProvider>,
    );
    const button = screen.getByRole("button", { name: "Look inside" }); // one: there is nothing to see of the other yet
    await user.click(button);
    await screen.findByRole("listbox");
    await user.keyboard("{Escape}");
    expect(screen.queryByRole("dialog")).toBeNull();
    await vi.waitFor(() => expect(document.activeElement).toBe(button));
  });
});
