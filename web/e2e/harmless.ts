/** What must be true of a document whatever texts it shows. The guard sees what runs; this finds what only waits. */

import { expect, type Page } from "@playwright/test";

export async function expectHarmless(page: Page): Promise<void> {
  const found = await page.evaluate(() => {
    const bad: string[] = [];
    const forbidden = "iframe, object, embed, base, meta[http-equiv], video, audio, body script, body link, body style";
    for (const element of document.querySelectorAll(forbidden)) bad.push(element.outerHTML);
    for (const element of document.querySelectorAll("*")) {
      for (const { name, value } of element.attributes) {
        if (name.startsWith("on")) bad.push(element.outerHTML);
        const leads = ["href", "src", "srcset", "action", "formaction", "xlink:href", "poster"].includes(name);
        if (leads && /^\s*(javascript|vbscript|data:text|data:image\/svg)/i.test(value)) bad.push(element.outerHTML);
        const fetches = name !== "href" && (leads || name === "style");
        if (fetches && value.includes("elsewhere.example")) bad.push(element.outerHTML);
      }
    }
    return bad.map((html) => html.slice(0, 300));
  });
  expect(found).toEqual([]);
}
