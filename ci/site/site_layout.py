"""What only looking shows: broken words, tiny or cut text, lines over gaps, columns in another order than they say.

Each check is a function for the browser that returns a list of sentences; a page is looked at as wide and as narrow.
"""

from __future__ import annotations

SMALLEST = 9
"""Pixels that letters have at least."""
LONGEST_WORD = 24
"""Letters of a word that has to fit; longer ones are hashes and paths, which may break."""
_LETTER = r"[\p{L}\p{N}]"
WORD = f"(?<!{_LETTER}){_LETTER}{{2,{LONGEST_WORD}}}(?!{_LETTER})"
"""A word that has to fit, whole, as a regular expression."""

_SHOWN = """
  const named = e => e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + [...e.classList].map(c => '.' + c).join('');
  const shown = e => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0;
  const hidden = e => { for (let p = e; p && p !== document.body; p = p.parentElement) {
    const box = p.getBoundingClientRect(); if (box.width <= 1 && box.height <= 1) return true; } return false; };
  const texts = root => { const found = [], walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) if (walk.currentNode.data.trim()) found.push(walk.currentNode); return found; };
"""

BROKEN = (
    "() => {"
    + _SHOWN
    + f"""
  const found = [];
  for (const cell of document.querySelectorAll('th, td')) {{
    if (!shown(cell)) continue;
    for (const node of texts(cell)) {{
      const parent = node.parentElement;
      if (!getComputedStyle(parent).writingMode.startsWith('horizontal')) continue;
      if (parent.closest('svg') || hidden(parent)) continue;
      for (const word of node.data.matchAll(/{WORD}/gu)) {{
        const range = document.createRange();
        range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
        const lines = new Set([...range.getClientRects()].filter(r => r.width > 0).map(r => Math.round(r.top)));
        if (lines.size > 1) found.push('a cell narrower than its word "' + word[0] + '"');
      }}
    }}
  }}
  return [...new Set(found)].slice(0, 3);
}}"""
)
"""Words of a table that are broken over lines."""

TINY = (
    "() => {"
    + _SHOWN
    + f"""
  const found = [];
  for (const node of texts(document.body)) {{
    const parent = node.parentElement;
    if (!parent || !shown(parent) || hidden(parent) || ['SCRIPT', 'STYLE'].includes(parent.tagName)) continue;
    const scale = parent instanceof SVGElement && parent.getScreenCTM ? parent.getScreenCTM().a : 1;
    const size = parseFloat(getComputedStyle(parent).fontSize) * scale;
    if (size < {SMALLEST} - 0.05) found.push('text of ' + size.toFixed(1) + ' px in ' + named(parent));
  }}
  return [...new Set(found)].slice(0, 3);
}}"""
)
"""Letters that are too small to be read, in drawings too."""

CUT = (
    "() => {"
    + _SHOWN
    + """
  const found = [];
  for (const element of document.body.querySelectorAll('*')) {
    if (!shown(element) || hidden(element)) continue;
    const style = getComputedStyle(element), text = texts(element).length > 0;
    if (element instanceof SVGTextElement) {
      const frame = element.ownerSVGElement, edge = frame.getBoundingClientRect();
      const box = element.getBoundingClientRect();
      const over = Math.max(box.right - edge.right, edge.left - box.left, edge.top - box.top, box.bottom - edge.bottom);
      if (over > 2 && getComputedStyle(frame).overflow !== 'visible')
        found.push('cut in a drawing: "' + element.textContent.trim() + '"');
    } else if (text && ['hidden', 'clip'].includes(style.overflowX) && element.scrollWidth > element.clientWidth + 1) {
      found.push('cut: ' + named(element));
    }
  }
  return [...new Set(found)].slice(0, 3);
}"""
)
"""Text that is not shown whole, in boxes and in drawings."""

GAPS = """() => {
  const found = [];
  for (const path of document.querySelectorAll('svg[data-even] path[fill="none"]')) {
    const pieces = (path.getAttribute('d') || '').split('M').filter(Boolean)
      .map(piece => piece.split('L').map(point => parseFloat(point)));
    const steps = pieces.flatMap(xs => xs.slice(1).map((x, i) => x - xs[i])).filter(step => step > 0.2);
    const most = Math.max(...steps), least = Math.min(...steps);
    if (steps.length > 2 && most > 1.5 * least + 0.2) found.push('a line over missing points');
  }
  return [...new Set(found)];
}"""
"""Lines of drawings with points at even distances (`data-even`) that go on where points are missing."""

ORDER = """() => {
  const units = {k: 1e3, M: 1e6, B: 1e9, T: 1e12, s: 1, min: 60, h: 3600, d: 86400};
  const numbers = cell => {
    const copy = cell.cloneNode(true);
    copy.querySelectorAll('.under, .note, svg, .hidden').forEach(e => e.remove());
    const text = copy.textContent.replace(/\\u2212/g, '-').replace(/(\\d),(?=\\d{3})/g, '$1');
    return [...text.matchAll(/([-+]?\\d+(?:\\.\\d+)?(?:e[-+]?\\d+)?)[\\s\\u202f]?(min|[kMBTshd]\\b)?/g)]
      .map(m => parseFloat(m[1]) * (units[m[2]] ?? 1));
  };
  const found = [];
  for (const table of document.querySelectorAll('table.sortable')) {
    const heads = [...table.tHead.rows[0].cells];
    heads.slice(0, 14).forEach((head, column) => {
      const button = head.querySelector('button');
      if (!button || !head.classList.contains('num')) return;
      for (let clicks = 0; clicks < 2; clicks++) {
        button.click();
        const order = head.getAttribute('aria-sort');
        if (!order) continue;
        const sign = order === 'descending' ? -1 : 1;
        for (const body of table.tBodies) {
          const rows = [...body.rows].filter(row => !row.hidden && row.cells.length === heads.length);
          const values = rows.map(row => numbers(row.cells[column])).filter(own => own.length);
          const falls = (a, b) => sign * (b - a) < -1e-9 - 0.02 * Math.abs(b);  // what is shown is rounded
          const wrong = pick => values.some((own, i) => i && falls(pick(values[i - 1]), pick(own)));
          if (wrong(own => own[0]) && wrong(own => own.at(-1)))
            found.push('"' + head.textContent.trim() + '" says ' + order + ' and is not');
        }
      }
      for (let i = 0; i < 3 && head.hasAttribute('aria-sort'); i++) button.click();
    });
  }
  return [...new Set(found)].slice(0, 3);
}"""
"""Columns of numbers that, once sorted by their heads, are in another order than the heads say."""

LOOKS = {"broken words": BROKEN, "tiny text": TINY, "cut text": CUT, "gaps": GAPS}
"""What is looked at as wide and as narrow, by the check's name."""
