/**
 * The page in a real Chromium. The server is not started here: tests/e2e/test_page.py does, with a tiny model and a
 * fresh home, and says in CHATWRIGHT_ADDRESS where it is.
 */

import { defineConfig, devices } from "@playwright/test";

const DESKTOP = { ...devices["Desktop Chrome"], viewport: { width: 1280, height: 800 } };
const PHONE = { ...devices["Pixel 7"], viewport: { width: 390, height: 844 } };
const ENGLISH = { locale: "en-GB", timezoneId: "Europe/Berlin" };
const CHINESE = { locale: "zh-CN", timezoneId: "Asia/Shanghai" };

/** What people do and see everywhere; the rest does not depend on language or size and is tried once. */
const EVERYWHERE = /(life|places)\.spec\.ts/;
const ALONE = /budgets\.spec\.ts/;
const FIRST = /first\.spec\.ts/;

export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results/failures",
  globalSetup: "./e2e/global-setup.ts",
  fullyParallel: true,
  forbidOnly: Boolean(process.env.CI),
  workers: 2,
  timeout: 60_000,
  expect: { timeout: 10_000 },
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
      { name: "desktop-en", use: { ...DESKTOP, ...ENGLISH } },
      { name: "desktop-zh", use: { ...DESKTOP, ...CHINESE } },
      { name: "phone-en", use: { ...PHONE, ...ENGLISH } },
      { name: "phone-zh", use: { ...PHONE, ...CHINESE } },
    ].map((project) => ({ ...project, testMatch: EVERYWHERE, dependencies: ["first"] })),
    {
      name: "once",
      testIgnore: [EVERYWHERE, ALONE, FIRST],
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
