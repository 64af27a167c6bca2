import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import type { Image } from "../api/client";
import { Icon } from "./Icon";
import { Thumbhash } from "./Thumbhash";

interface Properties {
  image: Image;
  /** The variant to show, the smallest one by default. */
  variant?: string;
  /** Text alternative; "" where the name stands beside the picture. */
  alt?: string;
  /** Crop it to a square. */
  square?: boolean;
}

/** The picture of an image in reserved space: thumbhash first, the variant over it, or an icon if there is none. */
export function Picture({ image, variant, alt = "", square = false }: Properties): JSX.Element {
  const failed = useSignal(false);
  const shown = variantOf(image, variant);
  const hash = image.details?.thumbhash;
  const ratio = square || !image.width || !image.height ? "1" : `${image.width} / ${image.height}`;
  return (
    <div class="picture" style={{ aspectRatio: ratio }}>
      {hash && <Thumbhash hash={hash} />}
      {shown && !failed.value ? (
        <img src={shown.url} alt={alt} loading="lazy" decoding="async" onError={() => (failed.value = true)} />
      ) : (
        !hash && <Icon name={image.status === "FAILED" ? "failures" : "image"} size={32} />
      )}
    </div>
  );
}

/** Return the variant of this type, or the smallest one that is not the original. */
export function variantOf(image: Image, type?: string): Image["variants"][number] | undefined {
  const made = image.variants.filter((one) => one.type !== "original");
  return made.find((one) => one.type === type) ?? made.sort((a, b) => (a.width ?? 0) - (b.width ?? 0))[0];
}
