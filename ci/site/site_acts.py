"""What only using shows: searching, choosing by facets, picking entries to compare, folded rows, and the keyboard.

A page has what `docs/site_checks.md` names: a table with an identifier, `.tools[data-for]` above it, whose controls are
`.text`, `.facet[data-facet]`, `.only`, `.reset`, `.count`, `.differences` and `a.pair`, and rows with `data-id`,
`data-` their facets, `data-value` where they have a number to be compared, and a box `.pick`.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Page

TABS = 40
"""How often the tabulator is pressed at most until the head of a table has the focus."""

_TABLES = """
  const rows = table => [...table.tBodies].flatMap(b => [...b.rows]).filter(r => !r.classList.contains('part'));
  const shown = table => rows(table).filter(r => !r.hidden);
  const set = (field, value, kind) => { field.value = value; field.dispatchEvent(new Event(kind, {bubbles: true})); };
  const found = [];
  for (const tools of document.querySelectorAll('.tools[data-for]')) {
    const table = document.getElementById(tools.dataset.for), all = rows(table).length;
    if (tools.hidden) { found.push('the tools of a table are not shown'); continue; }
    const reset = () => tools.querySelector('.reset').click();
"""

SEARCH = (
    "() => {"
    + _TABLES
    + """
    const search = text => { set(tools.querySelector('.text'), text, 'input'); return shown(table); };
    const sparse = rows(table).filter(r => parseFloat(r.dataset.zeros) > 0);
    if (sparse.length) {
      const hits = search('sparse');
      if (hits.length !== sparse.length || hits.some(r => !sparse.includes(r)))
        found.push('"sparse" finds ' + hits.length + ' rows of ' + sparse.length + ' that are');
    }
    for (const row of [rows(table)[0], rows(table).at(-1)]) {
      const name = row.querySelector('.name').textContent.trim();
      if (!search(name).includes(row)) found.push('"' + name + '" is not found by its name');
    }
    if (search('no such name anywhere').length) found.push('what is nowhere is found');
    reset();
    if (shown(table).length !== all) found.push('reset shows ' + shown(table).length + ' of ' + all + ' rows');
    if (location.hash) found.push('reset leaves "' + location.hash + '" in the address');
  }
  return found;
}"""
)
"""The search finds names, "sparse" finds what has zeros, and a reset shows all again."""

FACETS = (
    "() => {"
    + _TABLES
    + """
    for (const facet of tools.querySelectorAll('.facet')) {
      const name = facet.dataset.facet, values = [...facet.options].map(o => o.value).filter(Boolean);
      for (const value of values) {
        set(facet, value, 'change');
        const wanted = rows(table).filter(r => r.dataset[name] === value), hits = shown(table);
        if (!hits.length || hits.length !== wanted.length || hits.some(r => r.dataset[name] !== value))
          found.push(name + ' "' + value + '" shows ' + hits.length + ' rows of ' + wanted.length);
        const told = tools.querySelector('.count').textContent;
        if (hits.length < all && !told.startsWith(hits.length + ' of ' + all))
          found.push(name + ' "' + value + '" says "' + told + '"');
      }
      reset();
    }
  }
  return [...new Set(found)].slice(0, 3);
}"""
)
"""Every facet shows the rows that have it, no others, and says how many."""

PICK = (
    "async count => {"
    + _TABLES
    + """
    const open = rows(table).filter(r => r.dataset.value !== undefined);
    const lone = (a, b) => !(a.dataset.paired ?? '').split(' ').includes(b.dataset.id);
    const first = open.find(a => open.some(b => a !== b && lone(a, b))) ?? open[0];
    const others = open.filter(b => b !== first && lone(first, b));
    const chosen = first ? [first, ...others].slice(0, count) : [];
    if (chosen.length < count) continue;
    for (const row of chosen) row.querySelector('.pick').click();
    const only = tools.querySelector('.only');
    if (only.disabled) { found.push(count + ' picked rows cannot be compared'); continue; }
    only.click();
    const ids = chosen.map(r => r.dataset.id).sort().join(' ');
    const left = shown(table).map(r => r.dataset.id).sort().join(' ');
    if (ids !== left) found.push(count + ' picked rows, and others are shown');
    const told = tools.querySelector('.differences').textContent.replace(/\\u2212/g, '-');
    const numbers = [...told.matchAll(/: ([-+][\\d.]+) \\[([-+][\\d.]+), ([-+][\\d.]+)\\]/g)].map(m => m.slice(1, 4));
    if (numbers.length !== count - 1) found.push(count + ' rows without a page, and no numbers: "' + told + '"');
    numbers.map(own => own.map(parseFloat)).forEach(([value, low, high], i) => {
      const known = Number(chosen[0].dataset.value) - Number(chosen[i + 1].dataset.value);
      if (Math.abs(known - value) > 0.006 || low > value || high < value)
        found.push('a difference of ' + known.toFixed(3) + ' is told as ' + [value, low, high].join(' '));
    });
    const sides = document.querySelector(`.sides[data-for="${table.id}"]`);
    const loaded = () => !sides || sides.querySelector('table');
    for (let waited = 0; waited < 50 && !loaded(); waited++) await new Promise(done => setTimeout(done, 100));
    const head = sides?.querySelector('thead tr');
    const heads = [...(head?.cells ?? [])].slice(1).map(c => c.textContent.trim());
    const names = chosen.map(r => r.querySelector('.name').textContent.replace(/\\s+/g, ' ').trim());
    if (sides && (sides.hidden || heads.length !== count || heads.some((head, i) => !head.startsWith(names[i]))))
      found.push(count + ' picked rows do not stand side by side: "' + heads.join() + '"');
    if (!location.hash.includes('picked')) found.push('what is picked does not stand in the address');
    dispatchEvent(new HashChangeEvent('hashchange'));
    if (shown(table).map(r => r.dataset.id).sort().join(' ') !== ids) found.push('the address does not bring it back');
    reset();
    if (rows(table).some(r => r.querySelector('.pick')?.checked)) found.push('reset leaves rows picked');
  }
  return found;
}"""
)
"""Rows that have no page of their own, picked and shown alone, tell their differences, which are those of the rows."""

PAIRS = (
    "() => {"
    + _TABLES
    + """
    const one = rows(table).find(r => r.dataset.paired);
    if (!one) continue;
    const other = rows(table).find(r => r.dataset.id === one.dataset.paired.split(' ')[0]);
    for (const row of [one, other]) row.querySelector('.pick').click();
    const link = tools.querySelector('a.pair');
    found.push(link.hidden ? '' : link.href);
    reset();
  }
  return found;
}"""
)
"""Where the pages lie of pairs that have one, as the tools say; "" where they say nothing."""

FOLDED = """() => {
  if (!self.moreRows) return [];
  const tables = [...document.querySelectorAll('table')], found = [], wanted = new Map();
  for (const [table, body, text] of self.moreRows) {
    const held = document.createElement('tbody');
    held.innerHTML = text;
    wanted.set(table, [...(wanted.get(table) ?? []), ...[...held.rows].map(r => r.cells[0].textContent)]);
  }
  for (const [table, names] of wanted) {
    const own = [...tables[table].tBodies].flatMap(b => [...b.rows]).map(r => r.cells[0]?.textContent);
    const lost = names.filter(name => !own.includes(name));
    if (lost.length) found.push(lost.length + ' folded rows are not in their table, such as "' + lost[0].trim() + '"');
  }
  if (document.querySelector('p.more')) found.push('further pages are named though all rows are here');
  return found;
}"""
"""The rows of a folded page stand in their tables."""

START = """() => {
  const table = document.querySelector('table.sortable');
  const start = document.querySelector(`.tools[data-for="${table.id}"]`) ?? table.closest('[tabindex]') ?? table;
  if (!start.hasAttribute('tabindex')) start.tabIndex = -1;
  start.focus();
}"""
"""Puts the focus where the first table's tools begin, or the table itself."""

FOCUS = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const box = e.getBoundingClientRect(), style = getComputedStyle(e);
  const drawn = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
  const name = e.tagName.toLowerCase() + [...e.classList].map(c => '.' + c).join('');
  return {name, seen: drawn && box.width > 0 && box.height > 0, head: e.matches('th button')};
}"""


def used(page: Page, site: Path) -> list[tuple[str, str]]:
    """Return what goes wrong when an opened page is used, with the name of each check; it is left as it was found."""
    found = [("search", what) for what in page.evaluate(SEARCH)]
    found += [("facets", what) for what in page.evaluate(FACETS)]
    found += [("picking", what) for count in (2, 3) for what in page.evaluate(PICK, count)]
    for target in page.evaluate(PAIRS):
        if not target or not Path(unquote(urlsplit(target).path)).resolve().is_relative_to(site):
            found.append(("picking", "a pair has a page, and picking it does not lead there"))
        elif not Path(unquote(urlsplit(target).path)).is_file():
            found.append(("picking", f"the page of a pair is not there: {target.rpartition('/')[2]}"))
    found += [("folding", what) for what in page.evaluate(FOLDED)]
    return found + [("keyboard", what) for what in typed(page)]


def typed(page: Page) -> list[str]:
    """Return what cannot be done, or seen, with the keyboard alone: reaching a table's head and sorting by it."""
    if page.query_selector("table.sortable th button") is None:
        return []
    page.evaluate(START)
    found: dict[str, None] = {}
    for _ in range(TABS):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus is None:
            continue
        if not focus["seen"]:
            found[f"nobody sees that {focus['name']} has the focus"] = None
        if focus["head"]:
            break
    else:
        return [*found, f"no head of a table has the focus after {TABS} times Tab"]
    sort = "() => document.activeElement.closest('th').getAttribute('aria-sort')"
    page.keyboard.press("Enter")
    first = page.evaluate(sort)
    page.keyboard.press("Enter")
    if first is None or first == page.evaluate(sort):
        found["Enter on the head of a table does not sort by it"] = None
    for _ in range(2):
        if page.evaluate(sort) is not None:
            page.keyboard.press("Enter")
    return [*found]
