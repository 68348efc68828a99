"""One HTML file about a study, for people: it opens offline, on a phone, in dark mode.

`reading` alone reads the share. A section is a function of the `StudyData` that it made; it hands
out blocks of plain text, which `page.html` makes HTML.
"""
