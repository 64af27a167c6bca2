/// <reference types="vitest/config" />
import { defineConfig } from "vite";

// Relative addresses: the gateway may stand behind a path prefix, which it puts into index.html (api/console.py).
export default defineConfig(({ command }) => ({
  base: command === "build" ? "./" : "/ui/",
  build: {
    outDir: "../gateway/src/thumbmill/gateway/web", // the gateway's package; not in git
    emptyOutDir: true,
    target: "baseline-widely-available",
    assetsInlineLimit: 0, // a data: address would need an exception in the Content-Security-Policy
    modulePreload: false,
    cssCodeSplit: false, // one file of some 5 KB, instead of a script that loads the styles of each page
    sourcemap: false,
  },
  resolve: {
    alias: [{ find: /^(\.\/s3-client\/S3mini\.js|(\.\.\/)+package\.json)$/, replacement: "/src/pages/upload/unused.ts" }],
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  server: {
    // `npm run dev` next to a running `make up`.
    proxy: { "^/(api|readyz|openapi.json|docs)": { target: "http://127.0.0.1:8000", changeOrigin: true } },
  },
  test: { include: ["tests/**/*.test.ts"] },
}));
