// Changes on their way to the store. The browser keeps them until the kernel confirms that they are on its disk.

const WORRY_MS = 5000;
const RETRY_MS = 2000;

/**
 * send(message) passes a message to the kernel; report(state) is called with "saved", "saving" or "lost". A page that is
 * closed, or a server that stops, loses no change: the next page sends those that were not confirmed.
 */
export class Outbox {
  constructor(send, report) {
    Object.assign(this, { send, report, entries: new Map(), count: 0, prefix: null });
  }

  /** Sets the key of the storage, and sends what earlier pages of this annotator left there. */
  open(prefix) {
    this.prefix = prefix;
    this.key = `${prefix}${Date.now().toString(36)}${Math.random().toString(36).slice(2, 6)}`;
    const left = stored((storage) => Object.keys(storage).filter((key) => key.startsWith(prefix)).sort()) ?? [];
    for (const key of left) {
      for (const { item, values } of parsedEntries(stored((storage) => storage.getItem(key)))) this.put(item, values);
      stored((storage) => storage.removeItem(key));
    }
  }

  put(item, values) {
    const id = `${this.key}-${++this.count}`;
    this.entries.set(id, { id, item, values, since: Date.now() });
    this.store();
    this.deliver(id);
    this.update();
  }

  /** The kernel has written or finally refused an entry. */
  settled(id) {
    if (!this.entries.delete(id)) return;
    this.store();
    this.update();
  }

  later(id) {
    setTimeout(() => this.deliver(id), RETRY_MS);
  }

  /** Values of an item that are not confirmed yet; later ones win. */
  pending(item) {
    return Object.assign({}, ...[...this.entries.values()].filter((entry) => entry.item === item).map((entry) => entry.values));
  }

  deliver(id) {
    const entry = this.entries.get(id);
    if (entry) this.send({ kind: "record", id, item: entry.item, values: entry.values });
  }

  store() {
    const left = [...this.entries.values()].map(({ item, values }) => ({ item, values }));
    stored((storage) => (left.length ? storage.setItem(this.key, JSON.stringify(left)) : storage.removeItem(this.key)));
  }

  update() {
    clearTimeout(this.timer);
    const oldest = Math.min(...[...this.entries.values()].map((entry) => entry.since));
    if (!this.entries.size) return this.report("saved");
    const age = Date.now() - oldest;
    this.report(age > WORRY_MS ? "lost" : "saving");
    this.timer = setTimeout(() => this.update(), Math.max(200, WORRY_MS - age + 50));
  }
}

/** The result of use(localStorage), or null where the browser grants this page no storage. */
export function stored(use) {
  try {
    return use(window.localStorage);
  } catch {
    return null;
  }
}

function parsedEntries(text) {
  try {
    return JSON.parse(text) ?? [];
  } catch {
    return [];
  }
}
