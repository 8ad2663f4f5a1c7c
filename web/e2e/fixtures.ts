/** What every test has: somebody signed in, the page's own words, and a guard who sees what must not happen. */

import { test as base, expect, type Page } from "@playwright/test";
import i18next, { type TFunction } from "i18next";

import en from "../src/i18n/en.json" with { type: "json" };
import zh from "../src/i18n/zh.json" with { type: "json" };
import { signUp } from "./people";
import { Steps } from "./steps";

interface Fixtures {
  /** The page's texts in the language of this browser, so that tests name things as people see them. */
  t: TFunction;
  /** Name and password of the person who is signed in. */
  person: { name: string; password: string };
  /** Sees script errors, breaches of the content security policy, and requests to other hosts. */
  guard: Guard;
  steps: Steps;
}

export class Guard {
  readonly seen = new Set<string>();

  /** Watch a page from before its first document. */
  async watch(page: Page, origin: string): Promise<void> {
    page.on("pageerror", (error) => this.seen.add(`script error: ${error.stack ?? error.message}`));
    page.on("console", (message) => {
      // The browser's own words about a breach of the policy say less than our listener, and what a server refuses is
      // part of many tests.
      if (message.type() === "error" && !/^Failed to load resource|Content Security Policy/.test(message.text())) {
        this.seen.add(message.text());
      }
    });
    page.on("dialog", (dialog) => {
      // The browser's question before leaving is the page's own wish, and tests leave.
      if (dialog.type() === "beforeunload") return void dialog.accept();
      this.seen.add(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith("http") && url.origin !== origin) this.seen.add(`request to ${url.href}`);
    });
    await page.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => {
        const place = event.target instanceof Element ? event.target.outerHTML.slice(0, 200) : "";
        console.error(`${event.effectiveDirective} refuses ${event.blockedURI} (${event.sourceFile}) ${place}`);
      });
    });
  }
}

export const test = base.extend<Fixtures>({
  t: async ({ locale }, provide) => {
    const words = i18next.createInstance();
    await words.init({
      resources: { en: { translation: en }, zh: { translation: zh } },
      lng: locale?.startsWith("zh") ? "zh" : "en",
      interpolation: { escapeValue: false },
    });
    await provide(words.t);
  },
  guard: [
    async ({ page, baseURL }, provide) => {
      const guard = new Guard();
      await guard.watch(page, new URL(baseURL ?? "").origin);
      await provide(guard);
      expect([...guard.seen], "nothing happens behind the reader's back").toEqual([]);
    },
    { auto: true },
  ],
  steps: async ({ page, t, isMobile }, provide) => {
    await provide(new Steps(page, t, isMobile));
  },
  person: async ({ page, locale }, provide) => {
    await provide(await signUp(page.request, locale));
  },
});

export { expect };
