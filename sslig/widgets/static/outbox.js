// Changes on their way to the store: kept in this browser until the kernel says that they are on its disk.

const WORRY_MS = 5000;
const RETRY_MS = 2000;

/**
 * send(message) hands a message to the kernel; told(state) is called with "saved", "saving" or "lost" and what was refused.
 * A page that is closed or a server that stops with changes on their way loses none: the next page sends them again.
 */
export class Outbox {
  constructor(send, told) {
    Object.assign(this, { send, told, entries: new Map(), count: 0, prefix: null });
  }

  /** Where entries are kept; what earlier pages of this annotator left behind is sent now. */
  open(prefix) {
    this.prefix = prefix;
    this.key = `${prefix}${Date.now().toString(36)}${Math.random().toString(36).slice(2, 6)}`;
    const left = kept((storage) => Object.keys(storage).filter((key) => key.startsWith(prefix)).sort()) ?? [];
    for (const key of left) {
      for (const { item, values } of parsedEntries(kept((storage) => storage.getItem(key)))) this.put(item, values);
      kept((storage) => storage.removeItem(key));
    }
  }

  put(item, values) {
    const id = `${this.key}-${++this.count}`;
    this.entries.set(id, { id, item, values, since: Date.now() });
    this.keep();
    this.deliver(id);
    this.tell();
  }

  /** The kernel has written an entry, or will never do so. */
  settled(id) {
    if (!this.entries.delete(id)) return;
    this.keep();
    this.tell();
  }

  later(id) {
    setTimeout(() => this.deliver(id), RETRY_MS);
  }

  /** Values of an item that are still on their way, newest last. */
  pending(item) {
    return Object.assign({}, ...[...this.entries.values()].filter((entry) => entry.item === item).map((entry) => entry.values));
  }

  deliver(id) {
    const entry = this.entries.get(id);
    if (entry) this.send({ kind: "record", id, item: entry.item, values: entry.values });
  }

  keep() {
    const left = [...this.entries.values()].map(({ item, values }) => ({ item, values }));
    kept((storage) => (left.length ? storage.setItem(this.key, JSON.stringify(left)) : storage.removeItem(this.key)));
  }

  tell() {
    clearTimeout(this.timer);
    const oldest = Math.min(...[...this.entries.values()].map((entry) => entry.since));
    if (!this.entries.size) return this.told("saved");
    const age = Date.now() - oldest;
    this.told(age > WORRY_MS ? "lost" : "saving");
    this.timer = setTimeout(() => this.tell(), Math.max(200, WORRY_MS - age + 50));
  }
}

/** Something of the browser's storage, or null where the browser has none for this page. */
export function kept(use) {
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
