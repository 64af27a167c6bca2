/** Where the arrow keys go in a grid of rows with boxes of different widths. Pure. */

export type Box = Pick<DOMRect, "left" | "top" | "width">;

/** Return the index of the box that a key leads to from the current one; the same one at the edges and for other keys. */
export function nextIndex(boxes: readonly Box[], current: number, key: string): number {
  const last = boxes.length - 1;
  if (key === "ArrowRight") return Math.min(current + 1, last);
  if (key === "ArrowLeft") return Math.max(current - 1, 0);
  if (key === "Home") return 0;
  if (key === "End") return last;
  const from = boxes[current];
  if (!from || (key !== "ArrowUp" && key !== "ArrowDown")) return current;
  const way = key === "ArrowDown" ? 1 : -1;
  const beyond = boxes.filter((box) => (box.top - from.top) * way > 0).map((box) => box.top);
  if (!beyond.length) return current;
  const row = way > 0 ? Math.min(...beyond) : Math.max(...beyond);
  const distance = (box: Box): number => Math.abs(box.left + box.width / 2 - (from.left + from.width / 2));
  return boxes.reduce((best, box, index) => {
    const isNearer = best < 0 || distance(box) < distance(boxes[best] as Box);
    return box.top === row && isNearer ? index : best;
  }, -1);
}
