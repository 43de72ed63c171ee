"""The catalogue as pages to browse: an index, and a page with a picture for every loss. No script, no network."""
