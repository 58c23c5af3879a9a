// What every page of the book has: one switch for its code, tables that fold, scroll and download, folded appendices.
(() => {
  const SHOWN_ROWS = 12;
  const CODE = "sslig-code";

  const element = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  const stored = (use) => {
    try {
      return use(localStorage);
    } catch {
      return null; // a browser without storage forgets the switch
    }
  };

  /** One button for the code of the whole page. */
  function codeSwitch(article) {
    if (!article.querySelector(".cell_input")) return;
    const button = element("button", { type: "button", className: "sslig-switch" });
    const set = (on) => {
      document.documentElement.toggleAttribute("data-code", on);
      button.textContent = on ? "Hide code" : "Show code";
      button.setAttribute("aria-pressed", String(on));
    };
    button.addEventListener("click", () => {
      const on = !document.documentElement.hasAttribute("data-code");
      set(on);
      stored((storage) => storage.setItem(CODE, on ? "on" : "off"));
    });
    set(stored((storage) => storage.getItem(CODE)) === "on");
    article.querySelector("h1")?.after(button);
  }

  const rowsOf = (table) => [...table.querySelectorAll("tr")].map((row) => [...row.cells].map((cell) => cell.innerText.trim()));

  /** "1.2 [1.0, 1.4]" is three numbers: a value and the ends of its interval. */
  function separated(rows) {
    const INTERVAL = /^([+−-]?[\d.,]+) \[([^,\]]+), ([^\]]+)\]$/;
    const wide = (rows[0] ?? []).map((_, i) => rows.slice(1).some((row) => INTERVAL.test(row[i] ?? "")));
    return rows.map((row, at) => row.flatMap((text, i) => {
      if (!wide[i]) return [text];
      const match = text.match(INTERVAL);
      return at === 0 ? [text, `${text} low`, `${text} high`] : match ? match.slice(1) : [text, "", ""];
    }));
  }

  function csv(table) {
    const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    return separated(rowsOf(table)).map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  }

  function download(table, name) {
    const url = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
    const link = element("a", { href: url, download: `${name}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  /** Long tables show their first rows, wide ones scroll, and all can be downloaded. */
  function equip(table) {
    const title = table.caption?.textContent.trim() || document.querySelector("h1")?.firstChild.textContent || "table";
    if (table.classList.contains("sslig-players")) return;
    const scrolled = element("div", { className: "sslig-scrolled" });
    table.replaceWith(scrolled);
    scrolled.append(table);
    const bar = element("div", { className: "sslig-tablebar" });
    scrolled.after(bar);
    const save = element("button", { type: "button", textContent: "CSV", title: "download this table" });
    save.setAttribute("aria-label", `download ${title} as CSV`);
    save.addEventListener("click", () => download(table, title.toLowerCase().replace(/[^\w]+/g, "-")));
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    if (!rows.length) {
      scrolled.replaceWith(element("p", { className: "sslig-hint", textContent: `${title}: no rows.` }));
      return bar.remove();
    }
    if (rows.length > SHOWN_ROWS) {
      const more = element("button", { type: "button" });
      const fold = (folded) => {
        rows.slice(SHOWN_ROWS).forEach((row) => (row.hidden = folded));
        more.textContent = folded ? `Show all ${rows.length} rows` : `Show ${SHOWN_ROWS} rows`;
        more.setAttribute("aria-expanded", String(!folded));
      };
      more.addEventListener("click", () => fold(more.getAttribute("aria-expanded") === "true"));
      fold(true);
      window.addEventListener("beforeprint", () => fold(false));
      bar.append(more);
    }
    const hint = element("span", { className: "sslig-hint", hidden: true });
    bar.append(save, hint);
    const measure = () => {
      const wide = scrolled.scrollWidth > scrolled.clientWidth + 1;
      hint.hidden = !wide;
      hint.textContent = `${table.rows[0]?.cells.length ?? 0} columns: scroll sideways`;
      if (wide) Object.entries({ tabindex: 0, role: "region", "aria-label": title }).forEach(([key, value]) => scrolled.setAttribute(key, value));
      else ["tabindex", "role", "aria-label"].forEach((key) => scrolled.removeAttribute(key));
    };
    new ResizeObserver(measure).observe(scrolled);
  }

  /** A section that is an appendix is its heading until it is opened, by a click, by a link into it, or for print. */
  function foldAppendix(mark) {
    const section = mark.closest("section");
    const heading = section?.querySelector("h2, h3");
    if (!heading) return;
    const parts = [...section.children].filter((part) => part !== heading);
    const button = element("button", { type: "button", className: "sslig-fold" });
    const fold = (folded) => {
      parts.forEach((part) => (part.hidden = folded));
      button.setAttribute("aria-expanded", String(!folded));
      button.textContent = folded ? "open" : "close";
      button.setAttribute("aria-label", `${folded ? "open" : "close"} ${heading.firstChild.textContent}`);
      section.classList.toggle("sslig-folded", folded);
    };
    button.addEventListener("click", () => fold(button.getAttribute("aria-expanded") === "true"));
    heading.append(button);
    fold(true);
    const follow = () => {
      const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (!target || !section.contains(target)) return;
      fold(false);
      target.scrollIntoView();
    };
    window.addEventListener("hashchange", follow);
    window.addEventListener("beforeprint", () => fold(false));
    follow();
  }

  document.addEventListener("DOMContentLoaded", () => {
    const article = document.querySelector("article.bd-article");
    if (!article) return;
    codeSwitch(article);
    article.querySelectorAll("table").forEach(equip);
    article.querySelectorAll(".sslig-appendix").forEach(foldAppendix);
    article.querySelectorAll(".citation-list .citation").forEach((entry) => entry.setAttribute("role", "listitem")); // Sphinx: a deprecated role
  });
})();
