import { expect, it } from "vitest";

import type { Image } from "../src/api/client";
import { showableOriginal } from "../src/pages/failures/original";

const ORIGINAL = { type: "original", content_type: "image/jpeg", bytes: 5000, url: "/original" };
const error = (code: string) => ({ code, detail: "", retryable: false });
const image = (changes: object) =>
  ({ status: "FAILED", error: error("unreadable_image"), variants: [ORIGINAL], ...changes }) as unknown as Image;

it("asks for an original that may still be seen", () => {
  expect(showableOriginal(image({}))).toEqual(ORIGINAL);
  expect(showableOriginal(image({ status: "PENDING", error: null }))).toEqual(ORIGINAL);
});

it.each([
  ["that was deleted", { status: "DELETED" }],
  ["that the API does not list", { variants: [] }],
  ["that is a variant", { variants: [{ ...ORIGINAL, type: "thumbnail" }] }],
  ["of a file that is no picture", { error: error("unsupported_format") }],
  ["that was too large and is removed", { error: error("file_too_large") }],
  ["without bytes", { variants: [{ ...ORIGINAL, bytes: 0 }] }],
  ["of an unknown size", { variants: [{ ...ORIGINAL, bytes: null }] }],
  ["of ten megabytes", { variants: [{ ...ORIGINAL, bytes: 10_000_001 }] }],
  ["that browsers cannot decode", { variants: [{ ...ORIGINAL, content_type: "image/heic" }] }],
])("does not ask for an original %s", (_, changes) => {
  expect(showableOriginal(image(changes))).toBeUndefined();
});
