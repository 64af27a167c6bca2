import { describe, expect, it, vi } from "vitest";

import errors from "../../docs/reference/errors.md?raw";

vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => undefined });
vi.stubGlobal("document", { documentElement: { dataset: {} } });
vi.stubGlobal("navigator", { language: "en-GB", languages: ["en-GB"] });
const { de } = await import("../src/i18n/de");
const { en } = await import("../src/i18n/en");
const { problems } = await import("../src/i18n/texts/problems.de");
const { fill, formatAge, formatBytes, formatDuration } = await import("../src/i18n");

describe("the texts", () => {
  const parameters = (text: unknown): string[] => [...new Set(JSON.stringify(text).match(/\{\w+\}/g))].sort();

  it.each(Object.keys(en) as (keyof typeof en)[])("of %s have the same parameters in German", (key) => {
    expect(parameters(de[key])).toEqual(parameters(en[key]));
  });

  it("have plural forms", () => {
    const text = { one: "{count} file", other: "{count} files" };
    expect([0, 1, 1200].map((count) => fill(text, { count }, "en"))).toEqual(["0 files", "1 file", "1,200 files"]);
  });
});

describe("the codes of the reference of errors", () => {
  const codes = (pattern: RegExp): string[] => [...errors.matchAll(pattern)].map((found) => found[1] ?? "");

  it.each(codes(/^\| `(\w+)` \| (?:yes|no) /gm))("have a text and a remedy for the image's error %s", (code) => {
    expect(en).toHaveProperty([`failure.${code}`]);
    expect(en).toHaveProperty([`failure.${code}.remedy`]);
  });

  it("are the only ones with a German text for a problem", () => {
    const known = codes(/^\| \d{3} \| `(\w+)` /gm).map((code) => `problem.${code}`);
    expect(known.length).toBeGreaterThan(40);
    expect(Object.keys(problems).filter((key) => !known.includes(key))).toEqual([]);
  });
});

describe("formats", () => {
  it.each([
    [0.0123, "12ms"],
    [4.24, "4.2s"],
    [42, "42s"],
    [185, "3m 5s"],
    [7800, "2h 10m"],
    [-2, "−2s"],
  ])("of %d seconds", (seconds, text) => expect(formatDuration(seconds)).toBe(text));

  it("of sizes", () => {
    expect([1, 999, 3_140_000, 250_000_000].map(formatBytes)).toEqual(["1 byte", "999 bytes", "3.1 MB", "250 MB"]);
  });

  it("of ages", () => {
    const now = Date.UTC(2026, 0, 2);
    expect(formatAge(new Date(now - 90_000), now)).toBe("1 minute ago");
    expect(formatAge(new Date(now + 5_000), now)).toBe("in 5 seconds");
  });
});
