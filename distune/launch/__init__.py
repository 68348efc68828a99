"""Starting workers through an engine: from options to the text of a file for it. Pure."""
