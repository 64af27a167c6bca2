import { describe, expect, it } from "vitest";

import type { Image } from "../src/api/client";
import { contentTypeOf, findFault, type Limits } from "../src/pages/upload/files";
import { failureOf, imageIdOf, newRow, outcomeOf, retryDelay, speedOf, totalsOf } from "../src/pages/upload/rows";

const image = (status: string): Image => ({ status }) as Image;
const limits: Limits = {
  max_upload_bytes: 1000,
  formats: [
    { content_type: "image/jpeg", extension: "jpg" },
    { content_type: "image/heic", extension: "heic" },
  ],
};

describe("the totals", () => {
  it("count each row once, and what was stored as sent", () => {
    const rows = [
      newRow("a", "a.jpg", 10, { phase: "stored", image: image("DONE") }),
      newRow("b", "b.jpg", 10, { phase: "stored", image: image("FAILED") }),
      newRow("c", "c.jpg", 10, { phase: "stored" }),
      newRow("d", "d.jpg", 10, { phase: "uploading", sent: 4 }),
      newRow("e", "e.pdf", 99, { phase: "rejected" }),
    ];
    expect(totalsOf(rows)).toEqual({ total: 5, uploading: 1, processing: 1, done: 1, failed: 2, bytes: 40, sent: 34 });
  });

  it.each(["stopped", "missing", "rejected"] as const)("take %s for failed", (phase) => {
    expect(outcomeOf(newRow("a", "a.jpg", 1, { phase }))).toBe("failed");
  });
});

describe("a failure", () => {
  it("of the gateway or the connection is tried again", () => {
    expect(failureOf("Companion request failed: Service Unavailable", null, false)).toMatchObject({ code: "busy", transient: true });
    expect(failureOf("Failed to fetch", null, true)).toMatchObject({ code: "connection", transient: true, gone: false });
  });

  it("that a person has to mend is not", () => {
    expect(failureOf("Companion request failed: Unauthorized", null, false)).toMatchObject({ code: "unauthorized", transient: false });
    expect(failureOf("request failed", 403, true)).toMatchObject({ code: "store_refused", transient: false, gone: false });
  });

  it("of an upload that the store no longer knows starts it anew", () => {
    expect(failureOf("Companion request failed: Not Found", null, true)).toEqual({ code: "upload_gone", transient: true, gone: true });
    expect(failureOf("request failed", 404, true)).toMatchObject({ gone: true });
    expect(failureOf("Companion request failed: Not Found", null, false)).toMatchObject({ gone: false, transient: false });
  });

  it("waits longer each time, up to half a minute", () => {
    expect([1, 2, 3, 10].map(retryDelay)).toEqual([1000, 2000, 4000, 30_000]);
  });
});

describe("a file", () => {
  it("has the type that the browser or its name says", () => {
    expect(contentTypeOf({ name: "a.bin", type: "image/jpeg" }, limits)).toBe("image/jpeg");
    expect(contentTypeOf({ name: "IMG_1.HEIC", type: "" }, limits)).toBe("image/heic");
    expect(contentTypeOf({ name: "a.jpeg", type: "" }, limits)).toBe("image/jpeg");
    expect(contentTypeOf({ name: "a.svg", type: "image/svg+xml" }, limits)).toBeNull();
  });

  it("is checked before it is sent", () => {
    expect(findFault({ name: "a.pdf", type: "application/pdf", size: 1 }, limits)).toBe("unsupported_format");
    expect(findFault({ name: "a.jpg", type: "image/jpeg", size: 0 }, limits)).toBe("empty_file");
    expect(findFault({ name: "a.jpg", type: "image/jpeg", size: 1001 }, limits)).toBe("file_too_large");
    expect(findFault({ name: "a.jpg", type: "image/jpeg", size: 1000 }, limits)).toBeNull();
  });
});

it("finds the image of a key", () => {
  expect(imageIdOf("uploads/01a2019e-dd49-7c49-9ece-607b56bd764f/original")).toBe("01a2019e-dd49-7c49-9ece-607b56bd764f");
  expect(imageIdOf("photos/cat.jpg")).toBeNull();
});

it("smooths the speed", () => {
  expect(speedOf(0, 500, 100)).toBe(5000);
  expect(speedOf(5000, 0, 100)).toBe(3500);
});
