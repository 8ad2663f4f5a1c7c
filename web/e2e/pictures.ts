/**
 * The pictures of the READMEs: a page of CHATWRIGHT_ADDRESS, whose model really answers, drawn into the folder PICTURES.
 * `python -m docs.pictures` starts both.
 */

import { join } from "node:path";

import { chromium, devices, type APIRequestContext, type BrowserContextOptions } from "@playwright/test";

const { CHATWRIGHT_ADDRESS: address = "", CHROMIUM: browserPath = "", PICTURES: folder = "" } = process.env;
const HEADERS = { "X-Requested-With": "chatwright" };
const PATIENCE_MS = 120_000;
const GREEDY = { temperature: 0, max_tokens: 300 }; // the same pictures on every machine

// The embedded model speaks English only; the page around it speaks both.
const SHOWN = [
  "What is a tide? Answer in two sentences.",
  "Write a Python function that says whether a word is a palindrome, with one example.",
] as const;

interface Picture {
  file: string;
  /** Conversations of the list, newest first; the newest is shown. */
  titles: readonly string[];
  look: BrowserContextOptions;
}

const DESK: BrowserContextOptions = { viewport: { width: 1280, height: 800 }, colorScheme: "light" };
const ENGLISH = ["Tides and palindromes", "A name for the boat", "Why the sky is blue"];
const PICTURES: readonly Picture[] = [
  { file: "page-en.png", titles: ENGLISH, look: { ...DESK, locale: "en-GB" } },
  {
    file: "page-zh.png",
    titles: ["潮汐与回文", "给小船起名", "天空为什么是蓝色的"],
    look: { ...DESK, locale: "zh-CN" },
  },
  {
    file: "page-phone.png",
    titles: ENGLISH,
    look: {
      ...devices["Pixel 7"],
      viewport: { width: 390, height: 844 },
      deviceScaleFactor: 2,
      colorScheme: "dark",
      locale: "en-GB",
    },
  },
];

async function post(request: APIRequestContext, path: string, data: unknown, language = "en"): Promise<unknown> {
  const response = await request.post(path, { headers: { ...HEADERS, "Accept-Language": language }, data });
  if (!response.ok()) throw new Error(`POST ${path}: ${await response.text()}`);
  return response.json();
}

const browser = await chromium.launch({
  executablePath: browserPath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
});
try {
  for (const [number, { file, titles, look }] of PICTURES.entries()) {
    const context = await browser.newContext({ ...look, baseURL: address, reducedMotion: "reduce" });
    const { request } = context;
    const account = { name: ["Ada", "Bo", "Chen"][number], password: "kept for a picture only" };
    await post(request, "/api/sign-up", account, look.locale);
    let shown = "";
    for (const title of titles.toReversed()) {
      ({ id: shown } = (await post(request, "/api/conversations", { title, sampling: GREEDY })) as { id: string });
    }
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(`/c/${shown}`);
    for (const [turn, question] of SHOWN.entries()) {
      await page.locator("textarea[data-composer]").fill(question);
      await page.keyboard.press("Enter");
      const answer = page.locator("[data-message]").nth(2 * turn + 1);
      await answer.locator(".markdown").waitFor();
      await answer.locator("button svg.lucide-refresh-cw").waitFor(); // it has ended
    }
    await page.locator("[data-message] pre code span").first().waitFor(); // the colours of the code
    await page.mouse.move(0, 0);
    await page.waitForLoadState("networkidle");
    await page.screenshot({ path: join(folder, file) });
    await context.close();
  }
} finally {
  await browser.close();
}
