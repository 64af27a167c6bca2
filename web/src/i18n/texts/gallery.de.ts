/** Texts of the gallery in German. */

import type { gallery as english } from "./gallery.en";

export const gallery = {
  "gallery.title": "Galerie",
  "gallery.states": "Zustände",
  "gallery.all": "Alle",
  "gallery.searchBy": "Suchen nach",
  "gallery.search": "Suchen",
  "gallery.batch": "Stapel",
  "gallery.batch.example": "sommer-2026",
  "gallery.key": "Objektschlüssel",
  "gallery.key.example": "photos/katze.jpg",
  "gallery.unseen": { one: "{count} neues: anzeigen", other: "{count} neue: anzeigen" },
  "gallery.pages": "Seiten der Liste",
  "gallery.newest": "Neueste",
  "gallery.older": "Ältere",
  "gallery.select": "{name} auswählen",
  "gallery.selection": "Ausgewählte Bilder",
  "gallery.selected": { one: "{count} ausgewählt", other: "{count} ausgewählt" },
  "gallery.copyLinks": "Links kopieren",
  "gallery.clear": "Auswahl aufheben",
  "gallery.delete": "Löschen",
  "gallery.delete.title": { one: "Dieses Bild löschen?", other: "{count} Bilder löschen?" },
  "gallery.delete.hint":
    "Das Original und alle seine Varianten werden aus dem Speicher gelöscht. Das lässt sich nicht rückgängig machen.",
  "gallery.andMore": { one: "{names} und {count} weiteres", other: "{names} und {count} weitere" },
  "gallery.deleted": { one: "{count} Bild gelöscht", other: "{count} Bilder gelöscht" },
  "gallery.empty": "Noch keine Bilder",
  "gallery.empty.hint": "Laden Sie hier welche hoch, oder im Terminal:",
  "gallery.upload": "Bilder hochladen",
  "gallery.none": "Kein Bild passt",
  "gallery.none.hint": "Zurzeit hat kein Bild diesen Zustand und Stapel.",
  "gallery.none.key": "Unter genau diesem Objektschlüssel gibt es kein Bild.",
  "gallery.showAll": "Alle Bilder anzeigen",
} as const satisfies Record<keyof typeof english, unknown>;
