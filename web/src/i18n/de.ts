/** Die Texte auf Deutsch. */

import type { Texts } from "./en";

export const de: Texts = {
  // Frame
  "app.name": "Thumbmill",
  "app.skip": "Zum Inhalt springen",
  "app.menu": "Mehr",
  "nav.label": "Seiten",
  "nav.gallery": "Galerie",
  "nav.upload": "Hochladen",
  "nav.failures": "Fehler",
  "nav.pipeline": "Ablauf",
  "nav.reconcile": "Abgleich",
  "nav.events": "Ereignisse",
  "nav.settings": "Einstellungen",
  "nav.help": "Tastenkürzel",
  "page.notFound": "Unter dieser Adresse gibt es keine Seite",
  "page.notFound.hint": "Der Link ist vielleicht alt, oder ein Buchstabe fehlt.",
  "page.stub": "Diese Seite ist noch in Arbeit.",

  // Live connection
  "live.connecting": "Verbindet",
  "live.live": "Live",
  "live.delayed": "Um {lag} verzögert",
  "live.polling": "Abfrage",
  "live.paused": "Angehalten",
  "live.offline": "Offline",
  "live.pause": "Aktualisierung anhalten",
  "live.resume": "Aktualisierung fortsetzen",
  "live.connecting.hint": "Der Strom der Änderungen wird geöffnet.",
  "live.live.hint": "Änderungen erscheinen, sobald sie geschehen.",
  "live.delayed.hint": "Der Status-Tracker ist im Rückstand: Was hier steht, ist älter, als es aussieht.",
  "live.polling.hint": "Ein Proxy hält den Strom zurück. Änderungen werden stattdessen abgefragt; nichts geht verloren.",
  "live.paused.hint": "Diese Seite ändert sich erst, wenn Sie fortsetzen.",
  "live.offline.hint": "Das Gateway antwortet nicht. Diese Seite versucht es von selbst wieder.",

  // States of an image
  "status.AWAITING_UPLOAD": "Wartet auf Upload",
  "status.PENDING": "Wartet",
  "status.PROCESSING": "In Arbeit",
  "status.RETRYING": "Neuer Versuch",
  "status.DONE": "Fertig",
  "status.FAILED": "Fehlgeschlagen",
  "status.EXPIRED": "Abgelaufen",
  "status.DELETED": "Gelöscht",

  // Common
  "common.copy": "Kopieren",
  "common.copied": "Kopiert",
  "common.cancel": "Abbrechen",
  "common.close": "Schließen",
  "common.retry": "Noch einmal versuchen",
  "common.loading": "Lädt",
  "common.more": "Mehr anzeigen",
  "common.code": "Code",
  "common.unknownFile": "Datei ohne Namen",

  // Problems
  "problem.title": "Das hat nicht geklappt",
  "problem.unreachable": "Das Gateway antwortet nicht. Läuft es? make status",
  "problem.unauthorized": "Dieses System verlangt einen API-Schlüssel.",

  // Login
  "login.title": "Anmelden",
  "login.hint": "Einer der Schlüssel aus API_KEYS. Dieser Browser behält ihn als Cookie, das Skripte nicht lesen können.",
  "login.key": "API-Schlüssel",
  "login.submit": "Anmelden",
  "login.wrong": "Dieser Schlüssel ist nicht gültig.",
  "login.logout": "Abmelden",

  // Gallery
  "gallery.title": "Galerie",

  // Image
  "image.title": "Bild",

  // Failures
  "failures.title": "Fehler",

  // Pipeline
  "pipeline.title": "Ablauf",

  // Reconcile
  "reconcile.title": "Abgleich",

  // Events
  "events.title": "Ereignisse",

  // Upload
  "upload.title": "Hochladen",

  // Settings
  "settings.title": "Einstellungen",
};
