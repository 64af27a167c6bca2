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

  // Keys
  "keys.search": "Suchen",
  "keys.pause": "Aktualisierung anhalten oder fortsetzen",
  "keys.theme": "Nächstes Farbschema",
  "keys.help": "Diese Liste",
  "keys.turnOff": "Einzelne Tasten lassen sich in den Einstellungen abschalten.",
  "keys.turnOn": "Einzelne Tasten sind abgeschaltet. In den Einstellungen lassen sie sich einschalten.",

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
  "upload.drop": "Bilder irgendwo ablegen oder einfügen",
  "upload.dropHere": "Ablegen zum Hochladen",
  "upload.limits": "{formats}, je bis zu {size}",
  "upload.choose": "Dateien wählen",
  "upload.folder": "Ordner wählen",
  "upload.leftOut": { one: "Eine Datei im Ordner ist kein Bild und wurde ausgelassen.", other: "{count} Dateien im Ordner sind keine Bilder und wurden ausgelassen." },
  "upload.batch": "Diese Uploads haben die Kennung",
  "upload.bar": "Alle Uploads",
  "upload.bar.done": "{done} von {total} fertig",
  "upload.bar.failed": "{failed} fehlgeschlagen",
  "upload.bar.processing": "{processing} in Arbeit",
  "upload.bar.uploading": "{uploading} werden hochgeladen",
  "upload.announce": "{done} von {total} fertig, {failed} fehlgeschlagen",
  "upload.speed": "{speed}/s",
  "upload.left": "noch {time}",
  "upload.pauseAll": "Alle anhalten",
  "upload.resumeAll": "Alle fortsetzen",
  "upload.clear": "Fertige ausblenden",
  "upload.progress": "Hochladen von {name}",
  "upload.pause": "{name} anhalten",
  "upload.resume": "{name} fortsetzen",
  "upload.cancel": "{name} abbrechen",
  "upload.retry": "{name} noch einmal versuchen",
  "upload.dismiss": "{name} aus der Liste entfernen",
  "upload.phase.queued": "In der Schlange",
  "upload.phase.paused": "Angehalten bei {percent}",
  "upload.phase.waiting": "Versucht es wieder",
  "upload.phase.missing": "Unterbrochen",
  "upload.missing": "Wählen Sie diese Datei noch einmal, um fortzufahren, wo sie stehen blieb.",
  "upload.failed.retryable": "Ein neuer Versuch kann gelingen.",
  "upload.failed.final": "Dieselbe Datei würde wieder scheitern: Laden Sie eine andere hoch.",
  "upload.problem.unsupported_format": "Kein Bild, das hier gelesen werden kann. Wählen Sie eines der Formate oben.",
  "upload.problem.empty_file": "Die Datei ist leer. Wählen Sie eine andere.",
  "upload.problem.file_too_large": "Größer als {size}. Wählen Sie eine kleinere, oder erhöhen Sie MAX_UPLOAD_BYTES.",
  "upload.problem.unauthorized": "Sie sind abgemeldet. Melden Sie sich an, und versuchen Sie es wieder.",
  "upload.problem.forbidden": "Das Gateway hat diesen Upload abgelehnt. Sein Protokoll sagt mehr.",
  "upload.problem.invalid_request": "Das Gateway hat diese Datei nicht angenommen. Sein Protokoll sagt mehr.",
  "upload.problem.upload_gone": "Der unfertige Upload wurde verworfen. Er beginnt von vorn.",
  "upload.problem.busy": "Das Gateway hat gerade zu viel zu tun.",
  "upload.problem.connection": "Die Verbindung brach ab.",
  "upload.problem.store_refused": "Der Objektspeicher hat die Datei abgelehnt. Versuchen Sie es noch einmal.",

  // Settings
  "settings.title": "Einstellungen",
  "settings.auto": "Automatisch",
  "settings.appearance": "Darstellung",
  "settings.theme": "Farbschema",
  "settings.theme.light": "Hell",
  "settings.theme.dark": "Dunkel",
  "settings.language": "Sprache",
  "settings.access": "Zugang",
  "settings.access.open": "Dieses System verlangt keinen API-Schlüssel: Wer es erreicht, hat Zugang. API_KEYS ändert das.",
  "settings.access.until": "Sie sind angemeldet. Die Sitzung endet",
  "settings.limits": "Grenzen für Uploads",
  "settings.limits.size": "Größte Datei:",
  "settings.limits.formats": "Formate",
  "settings.limits.type": "Format",
  "settings.limits.extension": "Dateiname",
  "settings.keys": "Tastatur",
  "settings.keys.on": "Einzelne Tasten öffnen Seiten",
  "settings.api": "API",
  "settings.api.hint": "Diese Konsole benutzt nur die öffentliche API. Was sie kann, kann auch ein Programm.",
  "settings.api.docs": "API-Dokumentation",
};
