/** Every place of the page: nothing that axe finds, nothing wider than the screen, nothing that the guard sees. */

import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

import { expect, test } from "./fixtures";
import { ADMIN_STATE, call } from "./people";

const SETTINGS = ["profile", "security", "keys", "usage", "data", "privacy"].map((name) => `/settings/${name}`);
const ADMIN = [
  ...["users", "limits", "usage", "models", "jobs", "evaluations", "feedback", "moderation", "settings", "audit"],
  "health",
].map((name) => `/admin/${name}`);

// Each place is seen in both themes, both languages and both sizes, though not in every combination of them.
test.beforeEach(async ({ page, isMobile }) => {
  await page.emulateMedia({ colorScheme: isMobile ? "dark" : "light", reducedMotion: "reduce" });
});

/** Judge what is shown now, and keep a picture of it. */
async function judge(page: Page, name: string): Promise<void> {
  const axe = new AxeBuilder({ page }).options({ resultTypes: ["violations"] });
  // An open menu stands at the document's end, outside of every landmark; the keyboard is led there and back.
  const menu = await page.getByRole("menu").count();
  const { violations } = await (menu > 0 ? axe.disableRules("region") : axe).analyze();
  const found = violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${name}: ${id}: ${help}: ${html.slice(0, 300)} ${failureSummary ?? ""}`),
  );
  expect.soft(found).toEqual([]);
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect.soft(excess, `${name} is wider than the screen`).toBeLessThanOrEqual(0);
  await page.screenshot({ path: `test-results/places/${test.info().project.name}/${name}.png` });
}

/** Everything that was loading is there. */
async function settled(page: Page): Promise<void> {
  await expect(page.locator(".animate-pulse, .animate-spin")).toHaveCount(0);
}

async function visit(page: Page, addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    await page.goto(address);
    await expect(page.getByRole("heading").first()).toBeVisible();
    await settled(page);
    await judge(page, address.slice(1).replaceAll("/", "-"));
  }
}

test("the door", async ({ page }) => visit(page, ["/sign-in", "/sign-up", "/share/nowhere", "/nowhere"]));

test("a conversation, and what opens above it", async ({ page, person, t, steps, isMobile }) => {
  expect(person).toBeTruthy();
  await page.goto("/");
  await expect(steps.composer).toBeVisible();
  await judge(page, "new-chat");
  await steps.ask(`say: ${EVERYTHING}`);
  await steps.answered(1);
  await expect(page.locator(".katex").first()).toBeVisible();
  await judge(page, "conversation");

  const list = await steps.sidebar();
  await judge(page, "sidebar");
  await list.getByRole("button", { name: t("sidebar.userMenu", { name: person.name }) }).click();
  await expect(page.getByRole("menu")).toBeVisible();
  await judge(page, "user-menu");
  await page.keyboard.press("Escape");
  await steps.rename("Everything");
  await steps.option("Everything", "sidebar.share");
  await expect(steps.button("share.create")).toBeVisible();
  await judge(page, "share");
  await page.keyboard.press("Escape");
  if (isMobile) await page.keyboard.press("Escape"); // the drawer
  await page.keyboard.press("Control+k");
  await expect(page.getByRole("combobox")).toBeVisible();
  await judge(page, "palette");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+/");
  await expect(page.getByRole("dialog", { name: t("shortcuts.title") })).toBeVisible();
  await judge(page, "shortcuts");
});

test("settings", async ({ page, person }) => {
  expect(person).toBeTruthy();
  await visit(page, SETTINGS);
});

test.describe("administration", () => {
  test.use({ storageState: ADMIN_STATE });

  test("every section", async ({ page }) => {
    test.slow();
    const { id } = await call<{ id: string }>(page.request, "POST", "/api/conversations", { title: "Seen" });
    await call(page.request, "POST", `/api/conversations/${id}/messages`, { content: "say: for the charts" });
    await visit(page, ADMIN);
  });
});

const EVERYTHING = `# Answer

A **bold** and an *italic* word, \`code\`, a [link](https://example.org), 中文与 English 混排。

1. first
2. second

| Name | Value |
| --- | ---: |
| one | 1 |

\`\`\`python
def greet(name: str) -> str:
    return f"hello {name}"
\`\`\`

> A quotation.

The formula $e^{i\\pi} + 1 = 0$ and

\\[\\int_0^1 x^2\\,dx = \\tfrac13\\]

![a chart](https://images.example/chart.png)
`;
