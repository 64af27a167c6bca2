import type { Image } from "../../api/client";

/** What a browser can show of an original, if it is not the original that is broken. */
const SHOWABLE = ["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp"];
const SHOWABLE_BYTES = 10_000_000;
/** Codes of files that no browser can show either, or that the tracker removes because they were not allowed. */
const NO_PICTURE = ["empty_file", "unsupported_format", "file_too_large"];

/** Return the original of a failed image if it is worth asking for; none if the API says that there is none. */
export function showableOriginal({ status, error, variants }: Image): Image["variants"][number] | undefined {
  const original = variants.find((one) => one.type === "original");
  if (!original || status === "DELETED" || (error && NO_PICTURE.includes(error.code))) return undefined;
  const isSmall = original.bytes != null && original.bytes > 0 && original.bytes <= SHOWABLE_BYTES;
  return isSmall && SHOWABLE.includes(original.content_type) ? original : undefined;
}
