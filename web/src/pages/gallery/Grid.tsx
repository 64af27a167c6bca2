import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import type { Image } from "../../api/client";
import { Icon, shownStatus, StatusChip, Thumbhash, Time } from "../../components";
import { t, translate } from "../../i18n";
import { Link } from "../../router";
import { nextIndex } from "./arrows";
import type { Card } from "./cards";

interface Properties {
  cards: readonly Card[];
  selected: ReadonlySet<string>;
  onToggle: (id: string) => void;
}

/** Rows of pictures of equal height. Each keeps the space that was reserved for it. */
export function Grid({ cards, selected, onToggle }: Properties): JSX.Element {
  return (
    <ul class={`gallery ${selected.size ? "gallery-selecting" : ""}`} aria-label={t("gallery.title")} onKeyDown={moveFocus}>
      {cards.map((card) => (
        <Item key={card.image.id} card={card} selected={selected.has(card.image.id)} onToggle={onToggle} />
      ))}
    </ul>
  );
}

/** Move the focus from one image to another by the arrow keys. */
function moveFocus(event: JSX.TargetedKeyboardEvent<HTMLUListElement>): void {
  const links = [...event.currentTarget.querySelectorAll<HTMLElement>(".gallery-link")];
  const current = links.indexOf(event.target as HTMLElement);
  if (current < 0 || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const boxes = links.map((link) => link.getBoundingClientRect());
  const next = nextIndex(boxes, current, event.key);
  if (next === current) return;
  event.preventDefault(); // the page would scroll
  links[next]?.focus();
}

function Item({ card, selected, onToggle }: { card: Card; selected: boolean; onToggle: (id: string) => void }): JSX.Element {
  const { image, ratio } = card;
  const name = nameOf(image);
  const state = t(`status.${shownStatus(image)}` as "status.DONE");
  return (
    <li class={`gallery-item ${selected ? "gallery-item-selected" : ""}`} style={{ "--ratio": String(ratio) }} data-id={image.id}>
      <Link class="gallery-link" to={`/images/${image.id}`} aria-label={[name, state, reasonOf(image)].filter(Boolean).join(", ")}>
        <Preview image={image} />
      </Link>
      <label class="gallery-select">
        <input
          type="checkbox"
          checked={selected}
          onChange={() => onToggle(image.id)}
          aria-label={t("gallery.select", { name })}
        />
      </label>
      <div class="gallery-caption">
        <span class="gallery-name" title={name}>
          {name}
        </span>
        <span class="gallery-meta">
          {image.status === "DONE" ? <Time at={image.created_at} /> : <StatusChip status={shownStatus(image)} subtle />}
        </span>
      </div>
    </li>
  );
}

/** The thumbnail over its thumbhash, or an icon and the state while there is none. */
function Preview({ image }: { image: Image }): JSX.Element {
  const failed = useSignal(false);
  const shown = thumbnailOf(image);
  const hash = image.status === "DONE" ? image.details?.thumbhash : undefined;
  return (
    <div class={`gallery-picture gallery-picture-${image.status.toLowerCase()}`}>
      {hash && <Thumbhash hash={hash} />}
      {shown && !failed.value ? (
        <img
          src={shown.url}
          width={shown.width ?? undefined}
          height={shown.height ?? undefined}
          alt=""
          loading="lazy"
          decoding="async"
          onError={() => (failed.value = true)}
        />
      ) : image.error ? (
        <span class="gallery-reason">
          <Icon name="failures" size={28} />
          {reasonOf(image)}
        </span>
      ) : (
        !hash && <Icon name={image.status === "DELETED" ? "trash" : "image"} size={28} />
      )}
    </div>
  );
}

/** Return the smallest variant that is at least as large as a card, or else the largest one. */
export function thumbnailOf(image: Image): Image["variants"][number] | undefined {
  const made = image.variants
    .filter((variant) => variant.type !== "original")
    .sort((one, other) => (one.width ?? 0) - (other.width ?? 0));
  return made.find((variant) => (variant.width ?? 0) >= CARD_WIDTH) ?? made.at(-1);
}

const CARD_WIDTH = 280;

function reasonOf({ error }: Image): string {
  return error ? translate(`failure.${error.code}`, error.code) : "";
}

/** Return the name of an image as people know it. */
export function nameOf(image: Image): string {
  return image.file_name ?? image.key?.split("/").at(-1) ?? t("common.unknownFile");
}
