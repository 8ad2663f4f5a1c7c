import { act, cleanup, render } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";

import type { MessageView } from "@/api/generated/types.gen";
import { RowGroup } from "@/chat/row-group";
import "@/i18n";

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const MESSAGES = [
  { id: "q", role: "user", content: "a question" },
  { id: "a", role: "assistant", content: "an answer" },
] as MessageView[];

const shown = (far: boolean) =>
  render(<RowGroup messages={MESSAGES} far={far} row={({ id }) => <button>{`row ${id}`}</button>} />);

it("is text alone until somebody comes near, and rows for good from then on", () => {
  const observed: Element[] = [];
  let told: (seen: boolean) => void = () => undefined;
  class Observer {
    constructor(callback: IntersectionObserverCallback) {
      told = (isIntersecting) =>
        callback(
          observed.map((target) => ({ isIntersecting, target }) as IntersectionObserverEntry),
          this as unknown as IntersectionObserver,
        );
    }
    observe = (element: Element) => observed.push(element);
    unobserve = () => undefined;
  }
  vi.stubGlobal("IntersectionObserver", Observer);
  const { container, queryAllByRole } = shown(true);
  expect(observed).toHaveLength(1); // the group, not its rows
  expect(queryAllByRole("button")).toEqual([]);
  expect([...container.querySelectorAll("[data-message] p")].map(({ textContent }) => textContent)).toEqual([
    "a question",
    "an answer",
  ]);
  expect(queryAllByRole("heading")).toHaveLength(2);
  act(() => told(true));
  expect(queryAllByRole("button")).toHaveLength(2);
  act(() => told(false));
  expect(queryAllByRole("button")).toHaveLength(2);
});

it("is rows at once where it is not far, and nothing of it is ever skipped", () => {
  const { container, queryAllByRole } = shown(false);
  expect(queryAllByRole("button")).toHaveLength(2);
  expect(container.innerHTML).not.toContain("content-visibility");
});
