// Small tools of a page: elements whose text is always text, and whether the page around is light or dark.

/** An element with properties, children (strings become text, never markup) and listeners on<event>. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list" && name !== "style") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** What is behind an element decides, whoever drew it: JupyterLab, Voila, a book or a plain page. */
export function isDark(element) {
  for (let at = element; at; at = at.parentElement ?? outer(at)) {
    const found = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (found && (found.length < 4 || found[3] > 0.5)) return 0.299 * found[0] + 0.587 * found[1] + 0.114 * found[2] < 128;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/** What holds the top element of a shadow tree or of a frame of the same origin. */
function outer(element) {
  const root = element.getRootNode();
  if (root instanceof ShadowRoot) return root.host;
  try {
    return element.ownerDocument.defaultView?.frameElement ?? null;
  } catch {
    return null; // a frame of another origin
  }
}

/** Calls changed() when the theme of the page may have changed; returns what stops it. */
export function onTheme(changed) {
  const observer = new MutationObserver(changed);
  const query = matchMedia("(prefers-color-scheme: dark)");
  for (const node of [document.documentElement, document.body]) {
    observer.observe(node, { attributes: true, attributeFilter: ["class", "data-theme", "data-jp-theme-light", "style"] });
  }
  query.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    query.removeEventListener("change", changed);
  };
}
