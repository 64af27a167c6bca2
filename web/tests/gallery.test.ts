import { describe, expect, it } from "vitest";

import type { Image } from "../src/api/client";
import type { Change } from "../src/live/messages";
import { applyChange, cardsOf, type Filter, matches, ratioOf } from "../src/pages/gallery/cards";

const ALL: Filter = { status: null, batch: null, key: null };

function image(id: string, seconds: number, more: Partial<Image> = {}): Image {
  const created_at = new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString();
  return { id, status: "DONE", created_at, updated_at: created_at, event_id: "e-5", variants: [], ...more } as Image;
}

function change(seq: number, data: Image): Change {
  return { id: `e-${seq}`, type: "image.done", timestamp: data.updated_at, data: { ...data, event_id: `e-${seq}` } };
}

describe("the grid", () => {
  const cards = cardsOf([image("b", 20, { status: "PENDING" }), image("a", 10)]);

  it("changes an image in its place, and keeps the space that was reserved for it", () => {
    const { shown } = applyChange(cards, change(6, image("a", 10, { status: "FAILED", width: 300, height: 100 })), ALL, true);
    expect(shown.map((card) => [card.image.id, card.image.status])).toEqual([["b", "PENDING"], ["a", "FAILED"]]);
    expect(shown[1]?.ratio).toBe(cards.shown[1]?.ratio);
  });

  it("does not go back to an older state", () => {
    expect(applyChange(cards, change(4, image("a", 10, { status: "PENDING" })), ALL, true)).toBe(cards);
  });

  it("only counts a new image, once, and forgets it when it no longer matches", () => {
    const failed: Filter = { ...ALL, status: "FAILED" };
    const counted = applyChange(cards, change(7, image("c", 30, { status: "FAILED" })), failed, true);
    const again = applyChange(counted, change(8, image("c", 30, { status: "FAILED" })), failed, true);
    expect([again.shown, again.unseen.size]).toEqual([cards.shown, 1]);
    expect(applyChange(again, change(9, image("c", 30)), failed, true).unseen.size).toBe(0);
  });

  it("counts nothing that belongs on another page", () => {
    expect(applyChange(cards, change(7, image("0", 5)), ALL, true)).toBe(cards);
    expect(applyChange(cards, change(7, image("c", 30)), ALL, false)).toBe(cards);
  });
});

it("lists deleted images only where they are asked for", () => {
  const deleted = image("a", 1, { status: "DELETED", batch: "x" });
  expect(matches(deleted, ALL)).toBe(false);
  expect(matches(deleted, { ...ALL, status: "DELETED" })).toBe(true);
  expect(matches(deleted, { ...ALL, status: "DELETED", batch: "y" })).toBe(false);
});

it("bounds the proportion of a card", () => {
  expect([ratioOf({ width: 9000, height: 100 }), ratioOf({ width: 10, height: 1000 }), ratioOf({})]).toEqual([2.4, 0.6, 1]);
});
