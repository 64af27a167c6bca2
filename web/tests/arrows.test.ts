import { expect, it } from "vitest";

import { nextIndex } from "../src/pages/gallery/arrows";

/** Two rows of three and two boxes, and a last row of one. */
const BOXES = [
  { left: 0, top: 0, width: 100 },
  { left: 100, top: 0, width: 50 },
  { left: 150, top: 0, width: 150 },
  { left: 0, top: 200, width: 200 },
  { left: 200, top: 200, width: 100 },
  { left: 0, top: 400, width: 80 },
];

it.each([
  [0, "ArrowRight", 1],
  [2, "ArrowRight", 3],
  [5, "ArrowRight", 5],
  [3, "ArrowLeft", 2],
  [0, "ArrowLeft", 0],
  [2, "ArrowDown", 4],
  [1, "ArrowDown", 3],
  [4, "ArrowDown", 5],
  [5, "ArrowDown", 5],
  [4, "ArrowUp", 2],
  [3, "ArrowUp", 1],
  [1, "ArrowUp", 1],
  [3, "Home", 0],
  [3, "End", 5],
  [3, "a", 3],
])("goes from %i by %s to %i", (current, key, expected) => {
  expect(nextIndex(BOXES, current, key)).toBe(expected);
});

it("goes nowhere in an empty grid", () => expect(nextIndex([], 0, "ArrowDown")).toBe(0));
