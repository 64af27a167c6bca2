/** The cards of the gallery. Pure: a page of images and changes in, cards out. The grid never moves by itself. */

import type { Image } from "../../api/client";
import { isNewer, type Change } from "../../live/messages";

/** An image in the grid. */
export interface Card {
  image: Image;
  /** Width by height of the place that was reserved when the card appeared. It stays when the image gets its size. */
  ratio: number;
}

/** What is shown, and what arrived since. */
export interface Cards {
  shown: readonly Card[];
  /** Ids of images that are newer than all shown and not shown yet. */
  unseen: ReadonlySet<string>;
}

/** Which images belong in the list. */
export interface Filter {
  status: string | null;
  batch: string | null;
  key: string | null;
}

const WITHOUT_SIZE = 1;
const NARROWEST = 0.6; // a longer panorama or screenshot is cropped in the grid
const WIDEST = 2.4;

/** Return the cards of a page. */
export function cardsOf(images: readonly Image[]): Cards {
  return { shown: images.map((image) => ({ image, ratio: ratioOf(image) })), unseen: new Set() };
}

/** Return the reserved proportion of an image. */
export function ratioOf({ width, height }: Pick<Image, "width" | "height">): number {
  return width && height ? Math.min(WIDEST, Math.max(NARROWEST, width / height)) : WITHOUT_SIZE;
}

/**
 * Return the cards after a change. A shown image changes in its place, even if it no longer matches the filter; a new
 * one is only counted.
 */
export function applyChange(cards: Cards, change: Change, filter: Filter, isFirstPage: boolean): Cards {
  const { data: image } = change;
  const index = cards.shown.findIndex((card) => card.image.id === image.id);
  const card = cards.shown[index];
  if (card) {
    if (!isNewer(change.id, card.image.event_id)) return cards;
    return { ...cards, shown: cards.shown.with(index, { ...card, image }) };
  }
  if (!isFirstPage || !isNew(image, cards)) return cards;
  const unseen = new Set(cards.unseen);
  if (matches(image, filter)) unseen.add(image.id);
  else unseen.delete(image.id);
  return { ...cards, unseen };
}

/** Return the cards without some images, such as those that a person has just deleted. */
export function withoutImages(cards: Cards, ids: ReadonlySet<string>): Cards {
  return { ...cards, shown: cards.shown.filter((card) => !ids.has(card.image.id)) };
}

/** Return whether an image belongs in the filtered list. Deleted images are listed only if they are asked for. */
export function matches(image: Image, { status, batch, key }: Filter): boolean {
  if (status ? image.status !== status : image.status === "DELETED") return false;
  return (!batch || image.batch === batch) && (!key || image.key === key);
}

/** An image that was created before the newest one shown is on a later page. */
function isNew(image: Image, { shown }: Cards): boolean {
  const newest = shown[0]?.image;
  return !newest || image.created_at > newest.created_at || (image.created_at === newest.created_at && image.id > newest.id);
}
