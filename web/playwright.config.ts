/**
 * The page in a real Chromium. The server is not started here: tests/e2e/test_page.py does, with a tiny model and a
 * fresh home, and says in CHATWRIGHT_ADDRESS where it is.
 */

import { defineConfig, devices } from "@playwright/test";

const DESKTOP = { ...devices["Desktop Chrome"], viewport: { width: 1280, height: 800 } };
const PHONE = { ...devices["Pixel 7"], viewport: { width: 390, height: 844 } };
const ENGLISH = { locale: "en-GB", timezoneId: "Europe/Berlin" };
const CHINESE = { locale: "zh-CN", timezoneId: "Asia/Shanghai" };

/** What people do is tried everywhere, what they see in two opposite corners, the rest once. */
const LIFE = /life\.spec\.ts/;
const PLACES = /places\.spec\.ts/;
const ALONE = /budgets\.spec\.ts/;
const FIRST = /first\.spec\.ts/;

export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results/failures",
  globalSetup: "./e2e/global-setup.ts",
  fullyParallel: true,
  forbidOnly: Boolean(process.env.CI),
  workers: 2,
  // Far more than is needed: on a machine that does other things too, slow is not wrong.
  timeout: 180_000,
  expect: { timeout: 30_000 },
  reporter: [["list"]],
  use: {
    baseURL: process.env.CHATWRIGHT_ADDRESS ?? "http://127.0.0.1:8000",
    serviceWorkers: "block", // a test sees what the server has now; the worker has a test of its own
    screenshot: "only-on-failure",
    launchOptions: {
      ...(process.env.CHROMIUM ? { executablePath: process.env.CHROMIUM } : {}),
      args: [
        "--no-sandbox", // as root, as continuous integration often is
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
  projects: [
    { name: "first", testMatch: FIRST, use: { ...DESKTOP, ...ENGLISH } },
    ...[
      { name: "desktop-en", testMatch: [LIFE, PLACES], use: { ...DESKTOP, ...ENGLISH } },
      { name: "desktop-zh", testMatch: LIFE, use: { ...DESKTOP, ...CHINESE } },
      { name: "phone-en", testMatch: LIFE, use: { ...PHONE, ...ENGLISH } },
      { name: "phone-zh", testMatch: [LIFE, PLACES], use: { ...PHONE, ...CHINESE } },
    ].map((project) => ({ ...project, dependencies: ["first"] })),
    {
      name: "once",
      testIgnore: [LIFE, PLACES, ALONE, FIRST],
      use: { ...DESKTOP, ...ENGLISH },
      dependencies: ["first"],
    },
    {
      // Speed is measured when nothing else runs.
      name: "alone",
      testMatch: ALONE,
      fullyParallel: false,
      use: { ...DESKTOP, ...ENGLISH },
      dependencies: ["desktop-en", "desktop-zh", "phone-en", "phone-zh", "once"],
    },
  ],
});
