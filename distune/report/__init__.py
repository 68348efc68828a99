"""One HTML file about a study, for people: it opens offline, on a phone, in dark mode.

Its modules, each of which uses only those before it: `material` (what was read of a study),
`blocks` (texts, tables, plots: what a section is made of), the sections (`summary`, `search`,
`curves`, `importance`, `slices`, `cost`, `workers`, `workload`), `contents` (which of them, in
which order), `page` (HTML, the only place that knows any), and `writing`, which alone reads
the share and writes a file.

A section is a function of the material. It hands out plain text; `page` and `blocks` escape it.
"""
