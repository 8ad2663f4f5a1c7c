import { act, cleanup, render } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";

import "@/i18n";
import { Markdown } from "@/markdown/markdown";
import { Far } from "@/markdown/near";

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

it("stays plain while it is far, and is drawn for good once somebody comes near", async () => {
  let come: (seen: boolean) => void = () => undefined;
  class Observer {
    constructor(told: IntersectionObserverCallback) {
      come = (isIntersecting) =>
        told(
          [{ isIntersecting, target: place() } as IntersectionObserverEntry],
          this as unknown as IntersectionObserver,
        );
    }
    observe = () => undefined;
    unobserve = () => undefined;
  }
  vi.stubGlobal("IntersectionObserver", Observer);
  const { container, findByText } = render(
    <Far value>
      <Markdown text="some **bold** words" />
    </Far>,
  );
  const place = () => container.firstElementChild as Element;
  act(() => come(false));
  expect(container.textContent).toBe("some **bold** words");
  act(() => come(true));
  expect((await findByText("bold")).dataset.streamdown).toBe("strong");
  act(() => come(false));
  expect(container.textContent).toBe("some bold words");
});

it("is drawn at once where nothing says that it is far", async () => {
  const { findByText } = render(<Markdown text="some **bold** words" />);
  expect((await findByText("bold")).dataset.streamdown).toBe("strong");
});
