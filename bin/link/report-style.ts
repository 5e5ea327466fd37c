/** Style of the report, for light and dark, on screen and on paper. Colours that people with any colour vision can tell apart. */
export const reportStyle = `
:root { --ground: #fbfbfa; --card: #ffffff; --text: #1c2024; --quiet: #5d666f; --line: #dfe3e6;
  --s1: #0072b2; --s2: #b45f06; --s3: #00795c; --s4: #b3217a; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171a; --card: #1c2125; --text: #e8ebed; --quiet: #9aa5af;
  --line: #353c43; --s1: #58b4e9; --s2: #f0a04b; --s3: #3ec9a3; --s4: #ee7fbd; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1220px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25; }
h2 { margin: 32px 0 8px; font-size: 1.1rem; }
.verdict { margin: 6px 0 20px; color: var(--quiet); font-size: 1.05rem; }
ul { list-style: none; margin: 0; padding: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 12px; }
.tiles li, figure { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tiles li { display: flex; flex-direction: column; padding: 12px 16px; }
.tiles span { color: var(--quiet); font-size: .86rem; }
.tiles strong { font-size: 1.45rem; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 14px; margin-top: 14px; }
figure { margin: 0; padding: 14px 16px 10px; }
figcaption { font-weight: 600; }
figure svg { display: block; width: 100%; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; min-height: 1.5em; color: var(--quiet); font-size: .84rem; }
.key { display: inline-block; width: 16px; height: 3px; margin-right: 6px; vertical-align: middle; background: var(--c); }
.key.dots { width: 9px; height: 9px; border-radius: 50%; }
.s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); } .s4 { --c: var(--s4); }
text { fill: var(--text); font-size: 12px; }
.tick, .note { fill: var(--quiet); font-size: 11px; }
.grid { stroke: var(--line); stroke-width: 1; }
.line { fill: none; stroke: var(--c); stroke-width: 2.2; stroke-linejoin: round; }
.dot { fill: var(--c); stroke: var(--card); stroke-width: 1.5; }
.spread { stroke: var(--c); stroke-width: 1.5; }
.limit { stroke: var(--quiet); stroke-width: 1.2; stroke-dasharray: 5 4; }
.bar { fill: var(--s1); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: 5px 12px 5px 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
td:last-child { white-space: normal; }
th { color: var(--quiet); font-weight: 600; }
dl { display: grid; grid-template-columns: minmax(180px, max-content) 1fr; gap: 4px 20px; margin: 0; font-size: .9rem; }
dt { color: var(--quiet); }
dd { margin: 0; }
@media print { figure, .tiles li { break-inside: avoid; } }
`
