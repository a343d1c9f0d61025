// The style sheet: light and dark, narrow screens and paper. Colour always
// means precision (blue INT8, orange FP32), red what is clipped or bad.
#include "quant/report/page.h"

namespace quantserve::report {

const char kStyle[] = R"css(
:root {
  color-scheme: light dark;
  --paper: #fff; --card: #f6f7f9; --ink: #1a1f26; --soft: #56606c;
  --rule: #dfe3e8; --behind: #c3cad3;
  --int8: #0b63c4; --fp32: #b5520a; --clip: #c81e4a; --good: #17743a;
  --band: rgb(181 82 10 / .12);
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0e1216; --card: #171c22; --ink: #e7ebf0; --soft: #a0abb8;
    --rule: #2b333d; --behind: #46515e;
    --int8: #5aa9ff; --fp32: #f2a15c; --clip: #ff6d8d; --good: #56ca8a;
    --band: rgb(242 161 92 / .15);
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
main, footer { max-width: 72rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding: 2.5rem 0 0; }
h1 { font-size: 2rem; line-height: 1.15; margin: 0; letter-spacing: -.015em; }
h2 { font-size: 1.3rem; line-height: 1.25; margin: 0 0 .6rem;
  letter-spacing: -.01em; }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
section { margin: 3.25rem 0 0; }
p { margin: 0 0 .75rem; max-width: 46rem; }
.small, figcaption, small { font-size: .8125rem; color: var(--soft); }
header > .small { margin: 0 0 .15rem; }
a { color: inherit; text-decoration-color: var(--behind);
  text-underline-offset: .2em; }
a:hover { text-decoration-color: currentColor; }
:focus-visible { outline: 2px solid var(--int8); outline-offset: 2px; }
em { color: var(--clip); font-style: normal; font-weight: 600; }

/* The verdict */
.verdict { font-size: 1.3rem; line-height: 1.4; margin: 1.5rem 0 1.25rem;
  max-width: 60rem; text-wrap: pretty; }
.budget { padding: .6rem .9rem; border-left: 4px solid; background: var(--card);
  max-width: none; }
.budget.good { border-color: var(--good); }
.budget.bad { border-color: var(--clip); }
.budget strong { margin-right: .5em; }
.good strong, span.good { color: var(--good); }
.bad strong { color: var(--clip); }
.tiles { display: grid; margin: 1.25rem 0 0; gap: 1px; background: var(--rule);
  border: 1px solid var(--rule); border-radius: .5rem; overflow: hidden;
  grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
.tiles div { background: var(--paper); padding: .8rem 1rem; }
.tiles dt { font-size: .8125rem; color: var(--soft); }
.tiles dd { margin: 0; }
.tiles strong { display: block; font-size: 1.5rem; line-height: 1.25;
  letter-spacing: -.01em; white-space: nowrap; }

/* Tables */
.scroll { overflow-x: auto; }
.scroll + .small { margin-top: .6rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { padding: .4rem .6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule); }
td, thead th { white-space: nowrap; }
thead th { font-weight: 600; font-size: .8125rem; color: var(--soft);
  vertical-align: bottom; }
tbody th { font-weight: 500; min-width: 8rem; }
th:first-child, td:first-child { padding-left: 0; }
.n { text-align: right; }
.kept th { font-weight: 700; }
td.wide { width: 30%; min-width: 8rem; vertical-align: middle; }
th button { all: unset; cursor: pointer; }
th button:hover { color: var(--ink); }
th button:focus-visible { outline: 2px solid var(--int8); }
th[aria-sort] { color: var(--ink); }
th[aria-sort=ascending] button::after { content: " ↑"; }
th[aria-sort=descending] button::after { content: " ↓"; }
#layer-table { font-size: .8125rem; }
#layer-table :is(th, td) { padding-left: .4rem; padding-right: .4rem; }
#layer-table thead th { white-space: normal; overflow-wrap: normal; }
#layer-table tbody tr:hover { background: var(--card); }
#layer-table .f { background: var(--band); }
#layer-table .why { white-space: normal; min-width: 9rem; }
input { font: inherit; font-size: .875rem; color: inherit; width: 100%;
  max-width: 20rem; margin: .25rem 0 .75rem; padding: .4rem .7rem;
  background: var(--paper); border: 1px solid var(--soft);
  border-radius: .4rem; }
b.int8, b.fp32 { font-size: .6875rem; letter-spacing: .03em;
  padding: .05rem .35rem; border-radius: .25rem; border: 1px solid;
  white-space: nowrap; }
b.int8 { color: var(--int8); }
b.fp32 { color: var(--paper); background: var(--fp32);
  border-color: var(--fp32); }

/* Pictures */
svg { display: block; overflow: visible; fill: currentColor; }
svg .int8 { fill: var(--int8); }
svg .fp32 { fill: var(--fp32); }
svg .clip { fill: var(--clip); }
svg .behind { fill: var(--behind); }
svg .band { fill: var(--band); }
.bar { width: 100%; height: .7rem; }
td:has(.bar) { position: relative; }
td.n .bar { position: absolute; bottom: 0; right: .4rem; width: calc(100% - .8rem);
  height: 3px; transform: scaleX(-1); }
.strip { width: 100%; height: 1.25rem; border-radius: .2rem; overflow: hidden; }
figure { margin: 1.25rem 0 0; break-inside: avoid; }
.chart { display: grid; grid-template-columns: 3.6rem minmax(0, 1fr);
  column-gap: .5rem; padding-top: .75rem; }
.ticks { width: 100%; font-size: .75rem; fill: var(--soft);
  text-anchor: end; }
.plot { width: 100%; }
.ticks, .plot { height: 15rem; }
#compute :is(.ticks, .plot) { height: 9rem; }
.plot .grid { stroke: var(--rule); }
.plot .zero { stroke: var(--soft); }
.over path { vector-effect: non-scaling-stroke; }
.thick { fill: none; stroke: var(--ink); stroke-width: 2.5;
  stroke-linejoin: round; stroke-linecap: round; }
.thin { fill: none; stroke: var(--int8); stroke-width: 1; opacity: .45; }
.note { font-size: .8125rem; font-weight: 600; paint-order: stroke;
  stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.tips rect { fill: transparent; }
.tips rect:hover { fill: var(--ink); fill-opacity: .1; }
.groups { grid-column: 2; position: relative; height: 1.6rem; }
.groups span { position: absolute; top: .3rem; border-left: 1px solid
  var(--behind); padding-left: .35rem; font-size: .75rem; color: var(--soft);
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
figcaption { max-width: 46rem; }
.key { font-size: .8125rem; margin: 0 0 .35rem; max-width: none; }
.key i, .phases i { display: inline-block; width: .8rem; height: .8rem;
  margin: 0 .4em 0 0; border-radius: 2px; vertical-align: -.06em; }
.key span { display: inline-block; margin-right: 1.1em; }
.key .k-line { height: 3px; width: 1.2rem; background: var(--ink);
  vertical-align: .25em; }
.key .k-dot { width: .5rem; height: .5rem; border-radius: 50%;
  background: var(--int8); vertical-align: .06em; }
.key .k-band { background: var(--band); border-bottom: 3px solid var(--fp32); }
.key .k-int8 { background: var(--int8); }
.key .k-fp32 { background: var(--fp32); }
.key .k-behind { background: var(--behind); }
.key .k-clip { background: var(--clip); }
.key .k-range { width: 2px; background: var(--ink); border-radius: 0; }
.split { display: grid; gap: .1rem 1rem; align-items: center; margin: .4rem 0;
  font-size: .875rem; grid-template-columns: 11rem minmax(0, 1fr) 16rem; }
.split span { white-space: nowrap; }
.split b { margin-left: .5em; }

/* Islands */
.islands { list-style: none; padding: 0; margin: 0; }
.islands > li { border-left: 4px solid var(--fp32); padding: .1rem 0 .1rem
  .9rem; margin: 0 0 1rem; }
.islands p { margin: 0 0 .3rem; font-size: .875rem; color: var(--soft); }
.islands p strong { color: var(--ink); font-size: 1rem; margin-right: .4em; }
.chips { list-style: none; padding: 0; margin: 0; display: flex;
  flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .875rem; }
details > summary { cursor: pointer; font-size: .875rem; color: var(--soft);
  padding: .2rem 0 .5rem; }

/* Histograms */
.cards { display: grid; gap: 1.5rem 1.75rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
article { content-visibility: auto; contain-intrinsic-size: auto 12rem;
  break-inside: avoid; min-width: 0; }
article:target { outline: 2px solid var(--int8); outline-offset: .5rem;
  border-radius: .2rem; }
article h3 { margin: 0 0 .4rem; font-size: .875rem; line-height: 1.35; }
article h3 span { color: var(--soft); font-weight: 400; }
article h3 small { display: block; font-weight: 400; font-size: .75rem; }
.hist { width: 100%; height: 4.5rem; border-bottom: 1px solid var(--soft); }
.hist .range { stroke: var(--ink); stroke-width: 1.5; }
.hist .origin { stroke: var(--behind); stroke-dasharray: 2 3; }
.ends { display: flex; justify-content: space-between; margin: .1rem 0 .3rem;
  font-size: .75rem; color: var(--soft); }
article dl { display: grid; grid-template-columns: 1.3fr 1fr 1fr;
  gap: .25rem .6rem; margin: 0; font-size: .75rem; line-height: 1.35; }
article dt { color: var(--soft); }
article dd { margin: 0; }
article .small { margin: .2rem 0 0; }

/* Facts */
.facts { display: grid; gap: .35rem 1.5rem; margin: 0; font-size: .875rem;
  grid-template-columns: minmax(9rem, max-content) minmax(0, 1fr); }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; }
.facts .code { font-family: ui-monospace, "SF Mono", Menlo, Consolas,
  "DejaVu Sans Mono", monospace; font-size: .8125rem; }
.notes { padding-left: 1.2rem; margin: 0 0 1.25rem; max-width: 46rem; }
#facts h3:first-of-type { margin-top: 0; }
.phases { list-style: none; padding: 0; display: flex; flex-wrap: wrap;
  gap: .2rem 1.5rem; font-size: .875rem; margin: .6rem 0 0; }
/* Shades of ink: the colours mean precision. */
.strip rect { stroke: var(--paper); }
.phases i { background: var(--ink); }
.phase1, .k-phase1 { opacity: .35; }
.phase2, .k-phase2 { opacity: .7; }
.phase3, .k-phase3 { opacity: .2; }
.phase4, .k-phase4 { opacity: .85; }
.phase5, .k-phase5 { opacity: .5; }
footer { margin-top: 3rem; padding-bottom: 2rem; }

@media screen and (max-width: 46rem) {
  main, footer { padding: 0 1rem; }
  header { padding-top: 1.5rem; }
  h1 { font-size: 1.6rem; }
  .verdict { font-size: 1.125rem; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tiles strong { font-size: 1.25rem; }
  .tiles div { padding: .6rem .75rem; }
  section { margin-top: 2.5rem; }
  .split { grid-template-columns: 1fr; margin-bottom: 1rem; }
  .split b:first-child { margin-left: 0; }
  .chart { grid-template-columns: 2.9rem minmax(0, 1fr); }
  #sqnr :is(.ticks, .plot) { height: 12rem; }
  .note tspan { display: none; }
  /* The name stays while the numbers scroll. */
  #layer-table td:first-child, #layer-table th:first-child { display: none; }
  tbody th { position: sticky; left: 0; background: var(--paper); z-index: 1;
    max-width: 9rem; min-width: 7rem; padding-left: 0; }
  tr.f th { background: linear-gradient(var(--band), var(--band)),
    var(--paper); }
  #layer-table .why { min-width: 14rem; }
  /* Operator and shape are said again above the histogram. */
  #layer-table :is(td, th):nth-child(3),
  #layer-table :is(td, th):nth-child(4) { display: none; }
  /* Short tables as cards. */
  #variant-table, #variant-table tbody, #trial-table, #trial-table tbody {
    display: block; }
  :is(#variant-table, #trial-table) thead { position: absolute; width: 1px;
    height: 1px; overflow: hidden; clip-path: inset(50%); }
  :is(#variant-table, #trial-table) tr { display: grid; padding: .6rem 0;
    grid-template-columns: repeat(3, 1fr); gap: .35rem .75rem;
    border-bottom: 1px solid var(--rule); }
  :is(#variant-table, #trial-table) :is(th, td) { display: block; border: 0;
    padding: 0; text-align: left; max-width: none; position: static; }
  :is(#variant-table, #trial-table) :is(tbody th, .wide) {
    grid-column: 1 / -1; width: auto; }
  .wide { order: 1; }
  :is(#variant-table, #trial-table) tbody th { font-weight: 600; }
  td[data-l]::before { content: attr(data-l); display: block;
    font-size: .75rem; color: var(--soft); }
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dd { margin-bottom: .5rem; }
}
@media print {
  @page { margin: 14mm; }
  :root { --paper: #fff; --card: #f6f7f9; --ink: #000; --soft: #444;
    --rule: #ccc; --behind: #c3cad3; --int8: #0b63c4; --fp32: #b5520a;
    --clip: #c81e4a; --good: #17743a; --band: rgb(181 82 10 / .12); }
  html { font-size: 11.5px; }
  input { display: none; }
  .scroll { overflow: visible; }
  header { padding-top: 0; }
  #layer-table, #layer-table thead th { font-size: .65rem; }
  #layer-table :is(td, th) { min-width: 0; padding: .2rem .25rem; }
  #layer-table tbody th { min-width: 6rem; }
  #layer-table .bar { display: none; }
  tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  article { content-visibility: visible; }
  .cards { grid-template-columns: repeat(3, 1fr); }
  details::details-content { content-visibility: visible; height: auto; }
}
)css";

}  // namespace quantserve::report
