"""One HTML file about a study, for people: the dashboard's page, with what is drawn in it.

`reading` alone reads the share. What the page cannot work out by itself is a section: a function of
the `StudyData` that was read, which hands out blocks of plain text and charts.
"""
