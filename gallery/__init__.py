"""The gallery: a page that shows the outputs in a browser, and what serves it on this machine."""
