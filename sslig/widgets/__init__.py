"""The explorer and the annotator, widgets for the browser that load nothing from the network, and their server."""
