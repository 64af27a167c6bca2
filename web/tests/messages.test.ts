import { describe, expect, it } from "vitest";

import { isNewer } from "../src/live/messages";

describe("isNewer", () => {
  it("compares the sequence as a number", () => {
    expect(isNewer("k3f9-10", "k3f9-9")).toBe(true);
    expect(isNewer("k3f9-9", "k3f9-10")).toBe(false);
    expect(isNewer("k3f9-9", "k3f9-9")).toBe(false);
  });

  it("takes everything of another epoch, and everything if nothing is known", () => {
    expect(isNewer("k4aa-1", "k3f9-10")).toBe(true);
    expect(isNewer("k3f9-1", null)).toBe(true);
  });
});
