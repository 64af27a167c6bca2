import { expect, it } from "vitest";

import { sparkline } from "../src/components/sparkline-path";

it("draws from zero to the maximum", () => {
  expect(sparkline([0, 10, 5], 100, 20).line).toBe("M0.0 18.0L50.0 2.0L100.0 10.0");
});

it("draws nothing of one value, and a flat line of zeros", () => {
  expect(sparkline([3], 100, 20).line).toBe("");
  expect(sparkline([0, 0], 100, 20).line).toBe("M0.0 18.0L100.0 18.0");
});
