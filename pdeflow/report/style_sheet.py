"""The style sheet of the report page: light and dark by the reader's preference, no fonts or files from elsewhere."""

STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1c2126; --soft: #5b6670; --line: #d8dde2;
  --panel: #f5f7f9; --link: #0060a8; --green: #1a7f4b; --amber: #a86500; --red: #b3261e; --mark: #e8f3ec; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181c; --ink: #e4e8ec; --soft: #9aa6b1; --line: #343c44; --panel: #1d2329; --link: #7cb8f0;
    --green: #5cc58e; --amber: #e0aa4e; --red: #f0857d; --mark: #1d3328; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1.25rem 4rem; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p { margin: .5rem 0; max-width: 48rem; }
a { color: var(--link); }
nav { margin: 1rem 0; } nav a { margin-right: 1rem; white-space: nowrap; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.note { color: var(--soft); background: var(--panel); border-left: 3px solid var(--line); padding: .5rem .8rem; }
.verdict { background: var(--panel); border: 1px solid var(--line); border-left: 6px solid var(--soft);
  border-radius: 6px; padding: .7rem 1.1rem; }
.verdict h2 { border: 0; margin: .1rem 0 .3rem; padding: 0; }
.verdict ul { list-style: none; margin: .3rem 0; padding: 0; } .verdict li { margin: .3rem 0; display: flex; gap: .6rem; align-items: baseline; }
.badge { flex: none; width: 3.6rem; font-size: .8rem; font-weight: 600; text-transform: uppercase; }
.green { border-left-color: var(--green); } .amber { border-left-color: var(--amber); }
.red { border-left-color: var(--red); }
.badge.green { color: var(--green); } .badge.amber { color: var(--amber); } .badge.red { color: var(--red); }
.equation { font-family: ui-monospace, Menlo, Consolas, monospace; background: var(--panel); padding: .6rem .9rem;
  border-radius: 6px; overflow-x: auto; max-width: none; }
.wide { overflow-x: auto; margin: .7rem 0; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.marked td { background: var(--mark); font-weight: 600; }
figure { margin: 1.2rem 0; }
figure img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); border-radius: 6px;
  padding: 6px; }
figcaption { margin-top: .3rem; max-width: 48rem; }
pre { background: var(--panel); border-radius: 6px; padding: .8rem 1rem; overflow-x: auto; font-size: .85rem; }
summary { cursor: pointer; margin: .8rem 0; }
@media print { body { max-width: none; } section { break-inside: auto; } figure { break-inside: avoid; } }
"""
