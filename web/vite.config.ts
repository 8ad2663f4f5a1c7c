import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { VitePWA } from "vite-plugin-pwa";
import { defineConfig } from "vitest/config";

const SERVER = process.env.CHATWRIGHT_SERVER ?? "http://127.0.0.1:8000";
// The address stays as the browser has it: the server refuses changes that come from another one.
const PROXY = { target: SERVER, changeOrigin: false };

let dist = "";

/** What the page loads before anything else: its document, and what that names. */
const isOfShell = ({ url }: { url: string }): boolean =>
  /^(index\.html|theme\.js|icon\.svg)$/.test(url) ||
  readFileSync(resolve(dist, "index.html"), "utf8").includes(`"/${url}"`);

export default defineConfig({
  plugins: [
    react(),
    tailwindcss(),
    {
      name: "where-the-page-is-written",
      configResolved: ({ root, build }) => {
        dist = resolve(root, build.outDir);
      },
    },
    VitePWA({
      registerType: "autoUpdate",
      injectRegister: "script-defer", // a file of ours: the content security policy allows no inline script
      includeAssets: [], // what is kept is said below
      includeManifestIcons: false,
      manifest: {
        name: "Chatwright",
        short_name: "Chatwright",
        description: "A ChatGPT of one's own",
        start_url: "/",
        display: "standalone",
        background_color: "#ffffff",
        theme_color: "#ffffff",
        icons: [{ src: "/icon.svg", sizes: "any", type: "image/svg+xml", purpose: "any" }],
      },
      workbox: {
        // A new worker takes over at once, and the open page says so: of its own version the server has no files any more.
        skipWaiting: true,
        clientsClaim: true,
        // The shell opens offline and says so; conversations are never kept by the browser's cache.
        globPatterns: ["index.html", "*.js", "icon.svg", "assets/*.{js,css}"],
        manifestTransforms: [(entries) => ({ manifest: entries.filter(isOfShell), warnings: [] })],
        navigateFallback: "/index.html",
        navigateFallbackDenylist: [/^\/api\//, /^\/v1\//, /^\/(health|ready|metrics|openapi\.json)/],
      },
    }),
  ],
  resolve: {
    alias: {
      "@": fileURLToPath(new URL("./src", import.meta.url)),
      // The page itself never scrolls, so no window has to keep it from scrolling; the package that would writes a style
      // element, which the content security policy forbids.
      "react-remove-scroll": fileURLToPath(new URL("./src/ui/no-scroll-lock.tsx", import.meta.url)),
      // Formulas come as HTML, which this package gives the browser to parse; the browser counts their style attributes
      // as breaches of the content security policy. Its other half parses by itself.
      "hast-util-from-html-isomorphic": fileURLToPath(
        new URL("./node_modules/hast-util-from-html-isomorphic/lib/index.js", import.meta.url),
      ),
    },
  },
  build: {
    outDir: "../src/chatwright/server/page/dist",
    emptyOutDir: true,
    target: "es2023",
    sourcemap: false,
    assetsInlineLimit: 0, // data: URLs would need a wider content security policy
    chunkSizeWarningLimit: 900,
  },
  server: { proxy: { "/api": PROXY, "/v1": PROXY, "/tokenize": PROXY, "/health": PROXY } },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["src/test-setup.ts"],
    testTimeout: 30_000,
  },
});
