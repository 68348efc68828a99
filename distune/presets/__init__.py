"""The built-in studies, as JSON files beside this module, and the starter of one's own."""
