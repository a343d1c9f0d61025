// Sorting and filtering. Everything is readable without it.
#include "quant/report/page.h"

namespace quantserve::report {

const char kScript[] = R"js(
'use strict';
// A click on a head sorts; the same again turns the order round.
function sortable(table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    const button = document.createElement('button');
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.onclick = () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const key = row => {
        const cell = row.cells[column];
        const value = cell.dataset.v;
        if (value !== undefined) return value === '' ? null : Number(value);
        const text = cell.textContent;
        return /^\d+$/.test(text) ? Number(text) : text;
      };
      const sorted = rows.map(row => [key(row), row]).sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        const order = typeof a === 'number' && typeof b === 'number'
            ? a - b : String(a).localeCompare(String(b), 'en', {numeric: true});
        return down ? -order : order;
      });
      body.append(...sorted.map(([, row]) => row));
    };
  });
}
document.querySelectorAll('table').forEach(sortable);

const layers = document.getElementById('layer-table');
if (layers) {
  const input = document.createElement('input');
  input.type = 'search';
  input.placeholder = 'Filter: name, operator, FP32 …';
  input.setAttribute('aria-label', 'Filter the layers');
  input.oninput = () => {
    const wanted = input.value.toLowerCase();
    for (const row of layers.tBodies[0].rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  };
  layers.parentElement.before(input);
}

// Links into folded groups, and paper, want them open.
function unfold() {
  const target = document.getElementById(location.hash.slice(1));
  const folded = target && target.closest('details:not([open])');
  if (folded) { folded.open = true; target.scrollIntoView(); }
}
addEventListener('hashchange', unfold);
unfold();
let folded = [];
addEventListener('beforeprint', () => {
  folded = [...document.querySelectorAll('details:not([open])')];
  folded.forEach(details => { details.open = true; });
});
addEventListener('afterprint', () => {
  folded.forEach(details => { details.open = false; });
});
)js";

}  // namespace quantserve::report
