"""Two ways to look and listen in the browser, as widgets for notebooks: they load nothing from the network."""
