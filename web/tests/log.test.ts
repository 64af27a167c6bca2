import { expect, it } from "vitest";

import type { Change } from "../src/live/messages";
import { addChange, curlOf, earlierId, MAX_LINES, passes } from "../src/pages/events/log";

const change = (id: string, type = "image.done", batch = "x"): Change => ({ id, type, timestamp: "", data: { id: "i", batch } }) as Change;

it("has each change once, newest first, up to its bound", () => {
  let lines: readonly Change[] = [];
  for (let seq = 1; seq <= MAX_LINES + 5; seq += 1) lines = addChange(lines, change(`e-${seq}`));
  expect([lines.length, lines[0]?.id]).toEqual([MAX_LINES, `e-${MAX_LINES + 5}`]);
  expect(addChange(lines, change(`e-${MAX_LINES}`))).toBe(lines);
});

it("filters as the stream does", () => {
  const filter = { types: ["image.failed"], batch: "x", image: null };
  expect([change("e-1"), change("e-1", "image.failed"), change("e-1", "image.failed", "y")].map((one) => passes(one, filter))).toEqual([
    false,
    true,
    false,
  ]);
});

it("gives a command that a shell reads as one address", () => {
  expect(curlOf("http://host:8000", { types: ["image.done", "image.failed"], batch: "a", image: null })).toBe(
    "curl -N 'http://host:8000/api/v1/stream?type=image.done&type=image.failed&batch=a'",
  );
  expect(curlOf("http://host:8000", { types: [], batch: null, image: null })).toBe("curl -N http://host:8000/api/v1/stream");
});

it("goes back in the feed, not before its start", () => {
  expect([earlierId("k3f9-120", 100), earlierId("k3f9-20", 100)]).toEqual(["k3f9-20", "k3f9-0"]);
});
