"""From a URI to the files of a package: stores, download, archive, the files beside the graph. Knows no session."""
