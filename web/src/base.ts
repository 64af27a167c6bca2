/** Where this console and the API are served: the gateway may stand behind a path prefix. */

// This module ends up in `<prefix>/ui/assets/*.js`; under `npm run dev` it is `/ui/src/base.ts`.
const HERE = new URL(/* @vite-ignore */ "..", import.meta.url);

/** Path of the console, with a slash at its end: `/ui/`. */
export const UI_PATH = HERE.pathname;

/** URL of the gateway without a slash at its end. */
export const GATEWAY_URL = new URL("..", HERE).href.replace(/\/$/, "");

/** Return the URL of an address of the API, such as `/api/v1/images`. */
export function apiUrl(path: string): string {
  return GATEWAY_URL + path;
}
