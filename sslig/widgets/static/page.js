// Elements whose text is never markup, and whether the surrounding page is light or dark.

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

/** Whether the background behind an element is dark, in JupyterLab, Voila, a book or a plain page. */
export function isDark(element) {
  for (let at = element; at; at = at.parentElement ?? outer(at)) {
    const color = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (color && (color.length < 4 || color[3] > 0.5)) return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] < 128;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The host of a shadow tree, or the frame that holds a page of the same origin. */
function outer(element) {
  const root = element.getRootNode();
  if (root instanceof ShadowRoot) return root.host;
  try {
    return element.ownerDocument.defaultView?.frameElement ?? null;
  } catch {
    return null; // a frame of another origin
  }
}

/** Calls changed() when the theme of the page may have changed; returns a function that ends this. */
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
