import { defineConfig } from "@hey-api/openapi-ts";

export default defineConfig({
  input: "openapi.json", // `make types` writes it from the server's own description
  output: { path: "src/api/generated", indexFile: false },
  plugins: ["@hey-api/typescript"],
});
