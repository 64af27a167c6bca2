/**
 * In place of two modules of Uppy that would be in the bundle for nothing (vite.config.ts): the client that signs
 * requests in the browser, since here the gateway signs, and the whole package.json of each plugin, for its version.
 */
export default class {
  static version = "";
}
