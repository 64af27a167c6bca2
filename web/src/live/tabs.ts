/**
 * One connection for all tabs of this browser: HTTP/1.1 allows only six per host, and each stream would hold one.
 *
 * The tab that holds the lock is the leader: it reads the feed and broadcasts. When it closes, the next tab gets the
 * lock and resumes after the last change that it has seen. Without locks (plain HTTP from another machine) each tab
 * connects by itself.
 */

import { Feed } from "./feed";
import type { Message } from "./messages";

const NAME = "thumbmill.live";

type Broadcast = Message | { kind: "ask" };

export class Tabs {
  #channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(NAME);
  #feed: Feed | null = null;
  #lastId: string | null = null;
  #latest = new Map<string, Message>(); // the last mode and heartbeat, for a tab that opens later

  constructor(private readonly receive: (message: Message) => void) {
    if (this.#channel) this.#channel.onmessage = (event: MessageEvent<Broadcast>) => this.#onBroadcast(event.data);
    if (navigator.locks) {
      // The lock is held until the tab closes.
      void navigator.locks.request(NAME, () => new Promise<never>(() => this.#lead()));
      this.#channel?.postMessage({ kind: "ask" });
    } else {
      this.#channel?.close();
      this.#channel = null;
      this.#lead();
    }
    const check = (): void => {
      if (document.visibilityState === "visible") this.#feed?.check();
    };
    document.addEventListener("visibilitychange", check);
    addEventListener("online", check);
  }

  #lead(): void {
    this.#feed = new Feed(this.#lastId, (message) => {
      this.#take(message);
      this.#channel?.postMessage(message);
    });
  }

  #onBroadcast(message: Broadcast): void {
    if (message.kind !== "ask") this.#take(message);
    else if (this.#feed) for (const one of this.#latest.values()) this.#channel?.postMessage(one);
  }

  #take(message: Message): void {
    if (message.kind === "change") this.#lastId = message.change.id;
    else if (message.kind === "mode") this.#latest.set("mode", message);
    else this.#lastId = message.id || this.#lastId;
    if (message.kind === "heartbeat") this.#latest.set("heartbeat", message);
    this.receive(message);
  }
}
